"""What a network's shape says without its numbers: widths, reach, the memory of a step.

In: channels a layer. Out: numbers. Must not load torch, so that a run can be planned without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.layers import LAYERS, block_of, shrink_of


@dataclass(frozen=True)
class Shape:
    """A VGG-shaped network, cut at the deepest layer asked for.

    Attributes:
        chain: its layers, in order.
        own: channels of each layer.
        handed: channels of the features of each layer that is asked for.
        item_bytes: of a number between the convolutions.
    """

    chain: tuple[str, ...]
    own: Mapping[str, int]
    handed: Mapping[str, int]
    item_bytes: int = 4

    @property
    def halo(self) -> int:
        """How far in px, at most, a feature of the deepest layer sees beyond its own position."""
        reach = 0
        for layer, after in zip(self.chain[::-1], (*self.chain[-2::-1], ""), strict=True):
            reach += 1
            if after and block_of(after) != block_of(layer):
                reach = 2 * reach + 1
        return reach

    @property
    def bytes_per_pixel(self) -> float:
        """Memory of one step's forward and backward, per pixel of a picture, counted.

        What the step holds at its peak: every ReLU's output; of each style layer the float32
        features and their gradient; and at the widest place a padded copy, a convolution's output
        and two gradients.
        """
        size = self.item_bytes
        held = widest = 0.0
        for layer in self.chain:
            share = 1 / shrink_of(layer) ** 2
            held += share * self.own[layer] * size
            widest = max(widest, share * self.own[layer] * size)
            if layer in self.handed:
                held += share * self.handed[layer] * (size + 8)
        return held + 4 * widest + 3 * 4 * 8  # the picture, its average, Adam's two moments, ...

    def width(self, layer: str) -> int:
        """How many channels the features of a layer have that was asked for."""
        return self.handed[layer]

    @property
    def smallest_side(self) -> int:
        """The shortest picture side in px that leaves 2 positions at the deepest layer."""
        return 2 * shrink_of(self.chain[-1])


def shape_with(
    widths: Mapping[str, int], heads: Mapping[str, int], layers: Iterable[str], item_bytes: int = 4
) -> Shape:
    """The shape of a network for some of its layers.

    Args:
        widths: channels of all its layers, in order.
        heads: channels of the 1x1 projections of those that have one.
        layers: those whose features are wanted; each is there.
    """
    wanted = sorted(set(layers), key=LAYERS.index)
    there = list(widths)
    chain = tuple(there[: there.index(wanted[-1]) + 1])
    handed = {layer: heads.get(layer, widths[layer]) for layer in wanted}
    return Shape(chain, dict(widths), handed, item_bytes)
