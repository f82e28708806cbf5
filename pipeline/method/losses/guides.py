"""Guidance channels: where each region of a picture lies (Gatys et al. 2017, "Controlling
Perceptual Factors in Neural Style Transfer").

In: channels at the picture's size. Out: the same at a layer's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline.layers import shrink_of
from pipeline.method.lacking import area_means
from pipeline.method.losses.squares import TINY


def guides_at(guides: Tensor, size: Sequence[int]) -> Tensor:
    """Guidance channels at a layer's height and width, each position the mean of what it covers."""
    return area_means(guides, size)


def size_of(layer: str, size: Sequence[int]) -> list[int]:
    """A layer's height and width for a picture's."""
    return [side // shrink_of(layer) for side in size]


def positions_of(layer: str, size: Sequence[int]) -> int:
    """How many positions a layer has for a picture's height and width."""
    return math.prod(size_of(layer, size))


@dataclass(frozen=True)
class Regions:
    """Where each of R regions lies.

    Attributes:
        guides: guidance channels T, B x R x H x W in [0, 1].
        shares: weight of each region's style loss, B x R; 0 for a region without a style.
    """

    guides: Tensor
    shares: Tensor

    def shares_at(self, layer: str) -> Tensor:
        """The channels at a layer, each over the root of its sum of squares: what is multiplied by
        them sums up to means. B x R x h x w; 0 for a region that is nowhere."""
        guides = guides_at(self.guides, size_of(layer, self.guides.shape[2:]))
        return guides / guides.square().sum((2, 3), keepdim=True).clamp_min(TINY).sqrt()
