"""The normalized variant: filters rescaled so that each one's mean activation is 1.

In: weights and pictures as tensors. Out: mean activations, and other weights of the same function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from pipeline.method.backbone import Backbone
from pipeline.method.convolutions import Padding, Pooling
from pipeline.method.weights.tensors import Weights


@torch.no_grad()
def mean_activations(
    weights: Weights,
    images: Iterable[Tensor],
    pooling: Pooling = "avg",
    padding: Padding = "zeros",
) -> dict[str, Tensor]:
    """Each filter's mean activation over images and positions, per layer a vector of C values.

    Args:
        images: each 3 x H x W or B x 3 x H x W in [0, 1], of any size; every image counts the same.
    """
    plain = replace(weights, heads={})
    network = Backbone(plain, weights.convs, pooling, padding)
    sums: dict[str, Tensor] = {}
    count = 0
    for image in images:
        batch = image if image.dim() == 4 else image[None]
        for layer, features in network(batch).items():
            total = features.mean((2, 3)).double().sum(0)
            sums[layer] = sums[layer] + total if layer in sums else total
        count += batch.shape[0]
    return {layer: (total / count).float() for layer, total in sums.items()}


def normalize(weights: Weights, means: Mapping[str, Tensor]) -> Weights:
    """Rescales filters so that each one's mean activation becomes 1 (Gatys et al. 2016, section 2).

    Scaling a filter by 1/m and its readers by m leaves the network's function as it was, since
    ReLU and both poolings are positively homogeneous: W'_l[i, j] = W_l[i, j] m_{l-1}[j] / m_l[i],
    b'_l[i] = b_l[i] / m_l[i]. Filters that never fire keep their scale, and so do those weaker
    than a thousandth of their layer's mean: rescaling them would only amplify rounding. A small
    network hands out another's features, through heads; those are divided by one number a
    layer (`Weights.means`), since that one's filters are not there one by one.

    Args:
        means: what `mean_activations` gave; every layer of `weights`.
    """
    convs, heads = {}, {}
    before = torch.ones(3)
    for layer, (weight, bias) in weights.convs.items():
        mean = means[layer]
        mean = torch.where(mean > 1e-3 * mean.mean(), mean, torch.ones_like(mean))
        convs[layer] = (
            weight * before[None, :, None, None] / mean[:, None, None, None],
            bias / mean,
        )
        if layer in weights.heads:
            head, head_bias = weights.heads[layer]
            own = weights.means.get(layer, 1.0)
            heads[layer] = (head * mean[None, :, None, None] / own, head_bias / own)
        before = mean
    return replace(weights, convs=convs, heads=heads, means={}).with_digest()
