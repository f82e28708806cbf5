"""Style targets of one picture, computed: all its sizes through the float32 network.

In: pixels, a network. Out: tensors by name, as the cache keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from pipeline.layers import LAYERS
from pipeline.manifest import Settings
from pipeline.method import Backbone, full_float32, style_targets
from pipeline.pictures import Mask, guides_of
from pipeline.slot.neighbors import compute_vectors

# What is compared, beside style losses.
NEIGHBORS = "neighbors"


def compute_targets(
    network: Backbone,
    pixels: Sequence[Tensor],
    settings: Settings,
    mask: Mask | None,
    tile: Callable[[int, int], int],
    compared: str,
) -> dict[str, Tensor]:
    """A style picture's targets at each of its sizes, named `scale.layer`.

    Args:
        network: float32, whatever the loop's precision, so that all runs share them; its
            convolutions and all products round as float32 does, too.
        pixels: the picture at each scale, 3 x h x w.
        tile: width, height -> side of tiles in px, 0 for none.
        compared: a style loss, or `NEIGHBORS`.
    """
    with full_float32():
        if compared == NEIGHBORS:
            return compute_vectors(network, pixels, settings, mask, tile)
        return _compute_statistics(network, pixels, settings, mask, tile, compared)


def _compute_statistics(
    network: Backbone,
    pixels: Sequence[Tensor],
    settings: Settings,
    mask: Mask | None,
    tile: Callable[[int, int], int],
    style_loss: str,
) -> dict[str, Tensor]:
    """The same of a style loss."""
    layers = tuple(layer for layer in LAYERS if layer in settings.style_layers)
    tensors: dict[str, Tensor] = {}
    for index, image in enumerate(pixels):
        height, width = image.shape[1:]
        guides = None
        if mask is not None:
            guides = guides_of(mask, width, height, settings.fit == "stretch").to(image.device)
        side = tile(width, height)
        found = style_targets(network, image, layers, style_loss, side, guides)
        tensors |= {f"{index}.{layer}": values for layer, values in found.items()}
    return tensors
