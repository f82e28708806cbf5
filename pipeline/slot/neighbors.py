"""Style vectors for the nearest-neighbor term: computed, kept as tensors, put together.

In: style pictures, a network, what the cache holds. Out: a job's `StyleVectors` at each scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pipeline.layers import SHRINK
from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    StyleVectors,
    area_means,
    blend_vectors,
    neighbor_targets,
    vector_places,
)
from pipeline.pictures import Mask, guides_of


def compute_vectors(
    network: Backbone,
    pixels: Sequence[Tensor],
    settings: Settings,
    mask: Mask | None,
    tile: Callable[[int, int], int],
) -> dict[str, Tensor]:
    """A style picture's vectors at each of its sizes, the arguments as for `compute_targets`.

    Returns:
        `scale.vectors`, D x n in float16; `scale.moments`, their mean and scale, 2 x D; with a mask
        `scale.places`, the region of each vector.
    """
    tensors: dict[str, Tensor] = {}
    for index, image in enumerate(pixels):
        height, width = image.shape[1:]
        found = neighbor_targets(network, image, tile(width, height))
        tensors[f"{index}.vectors"] = found.vectors.half()
        tensors[f"{index}.moments"] = torch.stack((found.mean, found.scale))
        if mask is not None:
            guides = guides_of(mask, width, height, settings.fit == "stretch").to(image.device)
            size = (height // SHRINK, width // SHRINK)
            regions = area_means(guides[None], size)[0].argmax(0)
            tensors[f"{index}.places"] = regions.flatten()[vector_places(*size).to(image.device)]
    return tensors


def vectors_together(
    parts: Sequence[tuple[Mapping[str, Tensor], float]],
    places: Sequence[Sequence[int | None]],
) -> StyleVectors:
    """One scale's vectors of all the style's pictures.

    Args:
        parts: what `compute_vectors` gave for each picture at this scale, and its weight.
        places: for each of them, which of its regions each of the content's takes; empty without
            regions.
    """
    each = []
    for index, (tensors, weight) in enumerate(parts):
        vectors, (mean, scale) = tensors["vectors"], tensors["moments"]
        allowed = None
        if places:
            own = tensors.get("places", torch.zeros(vectors.shape[1], dtype=torch.long))
            # -1 is no vector's region.
            allowed = torch.stack([own == (-1 if at is None else at) for at in places[index]])
        each.append((StyleVectors(vectors, mean, scale, allowed), weight))
    return blend_vectors(each)
