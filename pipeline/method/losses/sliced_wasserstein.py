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
from pipeline.method.losses.squares import apart
from pipeline.method.losses.statistic import StyleStatistic

QUANTILES = 256


def _sums(flat: Tensor, weights: Tensor | None) -> Tensor:
    """Quantiles times the number of positions: N x C x M -> N x C x QUANTILES."""
    channels, positions = flat.shape[1:]
    sorted_ = (directions(channels, flat.device) @ flat).sort(2).values
    if positions >= QUANTILES:
        return area_means(sorted_, [QUANTILES]) * positions
    return F.interpolate(sorted_, QUANTILES, mode="linear") * positions


@cache
def directions(channels: int, device: torch.device) -> Tensor:
    """So many orthonormal directions, the same on every device: C x C, made once for each."""
    generator = torch.Generator().manual_seed(channels)
    square = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    orthonormal: Tensor = torch.linalg.qr(square)[0]
    return orthonormal.mT.float().to(device)


# Mean squared difference of quantiles (Heitz et al. 2021, equations 3, 4), over N directions.
SLICED_WASSERSTEIN = StyleStatistic(
    sums=_sums,
    distance=lambda found, prepared: apart(found, prepared[0]),
    divisors={"paper": lambda n: n * QUANTILES, "mean": lambda n: n * QUANTILES},
    additive=False,
)
