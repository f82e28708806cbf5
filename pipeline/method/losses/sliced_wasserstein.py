"""Distributions of the features' projections as a style loss.

Heitz et al. 2021, "A Sliced Wasserstein Loss for Neural Texture Synthesis", arXiv 2006.07229. The
features are projected on C orthonormal directions, which are the same for every picture and step
(the paper draws new ones at each), and each projection's quantile function is kept as the means of
`QUANTILES` equal shares; C x QUANTILES. Quantiles need all positions at once: no tiles, no regions.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.method.lacking import area_means
from pipeline.method.losses.squares import relative_norm, squares
from pipeline.method.losses.statistic import StyleStatistic

QUANTILES = 256


def _sums(features: Tensor) -> Tensor:
    """Quantiles times the number of positions: B x C x h x w -> B x C x QUANTILES."""
    flat = features.flatten(2)
    channels, positions = flat.shape[1:]
    sorted_ = (_directions(channels).to(flat) @ flat).sort(2).values
    if positions >= QUANTILES:
        return area_means(sorted_, [QUANTILES]) * positions
    return F.interpolate(sorted_, QUANTILES, mode="linear") * positions


@cache
def _directions(channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(channels)
    square = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    orthonormal: Tensor = torch.linalg.qr(square)[0]
    return orthonormal.mT.float()


def _mean(found: Tensor, target: Tensor, channels: int) -> Tensor:
    """Mean squared difference of quantiles (Heitz et al. 2021, equations 3, 4), over N directions;
    B x R."""
    return squares(found - target) / (channels * QUANTILES)


SLICED_WASSERSTEIN = StyleStatistic(
    sums=_sums,
    measures={"paper": _mean, "mean": _mean, "relative": relative_norm},
    additive=False,
)
