"""The features that nearest neighbors are sought by: several layers', brought to one size.

In: features per layer. Out: F, before it is normalized.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipeline.layers import NEIGHBOR_LAYERS, SHRINK, shrink_of
from pipeline.method.means import means, repeated


def joined_features(features: Mapping[str, Tensor]) -> Tensor:
    """F before it is normalized: B x D x h x w at a quarter of the picture's side, rounded down.

    Layers above that size are averaged and the one below it is repeated, so that a tile gives its
    own part of what the whole picture gives.
    """
    size = features["conv3_1"].shape[2:]
    return torch.cat([_resized(features[layer], layer, size) for layer in NEIGHBOR_LAYERS], 1)


def _resized(features: Tensor, layer: str, size: Sequence[int]) -> Tensor:
    """A layer's features at h x w, in float32."""
    shrink = shrink_of(layer)
    if shrink < SHRINK:
        return means(features, SHRINK // shrink, torch.float32)
    times = shrink // SHRINK
    if times == 1:
        return features.float()
    grown = repeated(features, times, torch.float32)
    # Pooling dropped an odd last row or column: there stands what is beside it.
    for dim, side in zip((2, 3), size, strict=True):
        short = side - grown.shape[dim]
        if short:
            last = grown.narrow(dim, grown.shape[dim] - 1, 1)
            grown = torch.cat((grown, *[last] * short), dim)
    return grown
