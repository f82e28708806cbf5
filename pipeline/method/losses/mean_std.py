"""Channels' means and deviations: batch normalization's statistics as a style loss.

Li et al. 2017, "Demystifying Neural Style Transfer", arXiv 1701.01036. Kept as mean and mean
square, which blend and add up; C x 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.method.losses.squares import relative_norm, squares
from pipeline.method.losses.statistic import StyleStatistic


def _sums(features: Tensor) -> Tensor:
    """Sums of F and F^2: B x (C + 1) x h x w, the last channel ones -> B x C x 2."""
    values, ones = features[:, :-1].flatten(2), features[:, -1:].flatten(2)
    return torch.stack(((values * ones).sum(2), values.square().sum(2)), 2)


def mean_std(moments: Tensor) -> Tensor:
    """Mean and deviation from mean and mean square: ... x C x 2 -> ... x C x 2."""
    mean, square = moments.unbind(-1)
    return torch.stack((mean, (square - mean.square()).clamp_min(1e-8).sqrt()), -1)


def _mean(found: Tensor, target: Tensor, channels: int) -> Tensor:
    """1/N sum (mu - mu')^2 + (sigma - sigma')^2 (Li et al. 2017, equation 13); B x R."""
    return squares(mean_std(found) - target) / channels


def _relative(found: Tensor, target: Tensor, channels: int) -> Tensor:
    """The root of the same sum over that of mu'^2 + sigma'^2; B x R."""
    return relative_norm(mean_std(found), target)


MEAN_STD = StyleStatistic(
    sums=_sums,
    measures={"paper": _mean, "mean": _mean, "relative": _relative},
    prepare=mean_std,
    with_ones=True,
)
