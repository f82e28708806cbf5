"""Guidance channels: where each region of a picture lies (Gatys et al. 2017, "Controlling
Perceptual Factors in Neural Style Transfer").

In: channels at the picture's size. Out: the same at a layer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline.method.lacking import area_means


def guides_at(guides: Tensor, size: Sequence[int]) -> Tensor:
    """Guidance channels at a layer's height and width, each position the mean of what it covers."""
    return area_means(guides, size)


@dataclass(frozen=True)
class Regions:
    """Where each of R regions lies.

    Attributes:
        guides: guidance channels T, B x R x H x W in [0, 1].
        shares: weight of each region's style loss, B x R; 0 for a region without a style.
    """

    guides: Tensor
    shares: Tensor
