"""The squared 2-Wasserstein distance of Gaussians with the features' means and covariances.

d^2 = ||mu - mu'||^2 + tr(S + S' - 2 (S'^(1/2) S S'^(1/2))^(1/2)). Kept as second raw moments and
means, which blend and add up; C x (C + 1). To both covariances a 10,000th of the style's mean
variance is added on the diagonal; style-transfer-pytorch adds 1e-4, which for features near 1 is
the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pipeline.method.lacking import precise
from pipeline.method.losses.gram import moment_sum
from pipeline.method.losses.roots import covariance_distance
from pipeline.method.losses.squares import TINY, energy
from pipeline.method.losses.statistic import Prepared, StyleStatistic

# Directions in which nothing varies have an infinite slope. How much is added must follow the
# features' scale: it is 1 in one network and hundreds in another.
_LIFT = 1e-4
# By how much a sum of squares over a picture's positions may be wrong in float32, of itself.
_ROUNDING = 64 * torch.finfo(torch.float32).eps


def _moments(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, ... x C x 1, and covariance, ... x C x C, of second raw moments and means."""
    second, mean = moments[..., :-1], moments[..., -1:]
    return mean, second - mean * mean.mT


def _prepare(target: Tensor, device: str | None = None) -> Prepared:
    """A style's mean, N x C x 1, the root of its lifted covariance, N x C x C, and the lift, N x 1.

    In float64, since roots are steepest where values are smallest; a CPU goes on in that, on which
    the distance is found where a device lacks float64. For other GPUs they are rounded, and the
    root is the one whose rows are eigenvectors: see `roots.py`.
    """
    values = precise(target)
    mean, covariance = _moments(values)
    diagonal = covariance.diagonal(dim1=-2, dim2=-1)
    lift = _LIFT * diagonal.mean(-1, keepdim=True).clamp_min(TINY)
    diagonal.add_(lift)
    spread, vectors = torch.linalg.eigh(covariance)
    columns = vectors * spread.clamp_min(0).sqrt()[..., None, :]
    if (device or values.device.type) == "cpu":
        return mean, columns @ vectors.mT, lift
    return tuple(part.float().contiguous() for part in (mean, columns.mT, lift))


class _Distance(torch.autograd.Function):
    """d^2, with the gradient in the moments found; its slope comes with its value."""

    @staticmethod
    def forward(context: Any, found: Tensor, wanted: Tensor, root: Tensor, lift: Tensor) -> Tensor:
        values = found.to(root)
        mean, covariance = _moments(values)
        covariance.diagonal(dim1=-2, dim2=-1).add_(lift)
        rounding = values.diagonal(dim1=-2, dim2=-1) * _ROUNDING
        distance, slope = covariance_distance(covariance, root, rounding)
        beside = mean - wanted
        # Of ||mu - mu'||^2, and of S = E[F F^T] - mu mu^T.
        first = 2 * (beside - (slope * mean.mT).sum(-1, keepdim=True))
        context.save_for_backward(torch.cat((slope, first), -1).to(found))
        return (distance + energy(beside)).to(found)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = context.saved_tensors
        return gradient.view(-1, 1, 1) * slope, None, None, None


def _distance(found: Tensor, prepared: Prepared) -> Tensor:
    """d^2, N values."""
    distance: Tensor = _Distance.apply(found, *prepared)
    return distance


def _size(target: Tensor, prepared: Prepared) -> Tensor:
    """The mean square, ||mu'||^2 + tr S'; 0 where there is no style."""
    return target[..., :-1].diagonal(dim1=-2, dim2=-1).sum(-1)


# `mean` is d^2 / N, as style-transfer-pytorch has it.
WASSERSTEIN = StyleStatistic(
    sums=moment_sum,
    distance=_distance,
    divisors={"paper": float, "mean": float},
    prepare=_prepare,
    size=_size,
    takes_bfloat16=True,
    prepares_once=True,
)
