"""Channels' means and deviations: batch normalization's statistics as a style loss.

Li et al. 2017, "Demystifying Neural Style Transfer", arXiv 1701.01036. Kept as mean and mean
square, which blend and add up; C x 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.method.losses.squares import apart
from pipeline.method.losses.statistic import StyleStatistic


def _sums(flat: Tensor, weights: Tensor | None) -> Tensor:
    """Sums of F and F^2: N x C x M -> N x C x 2."""
    first = flat if weights is None else flat * weights
    return torch.stack((first.sum(2), flat.square().sum(2)), 2)


def mean_std(moments: Tensor) -> Tensor:
    """Mean and deviation from mean and mean square: ... x C x 2 -> ... x C x 2."""
    mean, square = moments.unbind(-1)
    return torch.stack((mean, (square - mean.square()).clamp_min(1e-8).sqrt()), -1)


# 1/N sum (mu - mu')^2 + (sigma - sigma')^2 (Li et al. 2017, equation 13).
MEAN_STD = StyleStatistic(
    sums=_sums,
    distance=lambda found, prepared: apart(mean_std(found), prepared[0]),
    divisors={"paper": float, "mean": float},
    prepare=lambda target, device=None: (mean_std(target),),
)
