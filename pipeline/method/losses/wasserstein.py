"""The squared 2-Wasserstein distance of Gaussians with the features' means and covariances.

d^2 = ||mu - mu'||^2 + tr(S + S' - 2 (S'^(1/2) S S'^(1/2))^(1/2)). Kept as second raw moments and
means, which blend and add up; C x (C + 1). To both covariances a 10,000th of the style's mean
variance is added on the diagonal; style-transfer-pytorch adds 1e-4, which for features near 1 is
the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.method.lacking import precise
from pipeline.method.losses.gram import gram_sum
from pipeline.method.losses.roots import trace_of_root
from pipeline.method.losses.squares import TINY
from pipeline.method.losses.statistic import StyleStatistic

_LIFT = 1e-4


def _sums(features: Tensor) -> Tensor:
    """Sums of F F^T and F: B x (C + 1) x h x w, the last channel ones -> B x C x (C + 1)."""
    return gram_sum(features)[:, :-1]


def _moments(target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance, ... x C and ... x C x C, of second raw moments and means, float64."""
    # The smallest eigenvalues of a product of covariances are lost in float32, and the gradient is
    # steepest there.
    values = precise(target)
    second, mean = values[..., :-1], values[..., -1]
    return mean, second - mean[..., :, None] * mean[..., None, :]


def _lifted(covariance: Tensor, like: Tensor) -> Tensor:
    """`covariance` with a 10,000th of the mean variance of `like` on its diagonal.

    Directions in which nothing varies have an infinite slope. How much is added must follow the
    features' scale: it is 1 in one network and hundreds in another.
    """
    variance = like.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(TINY)
    own = torch.eye(covariance.shape[-1], device=covariance.device, dtype=covariance.dtype)
    return covariance + _LIFT * variance[..., None, None] * own


def _prepare(target: Tensor) -> Tensor:
    """B x R x C x (2 C + 1): the targets, and the root of their covariance."""
    covariance = _moments(target)[1]
    values, vectors = torch.linalg.eigh(_lifted(covariance, covariance))
    root = (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mT
    return torch.cat((target.to(root), root), -1)


def _distance(found: Tensor, target: Tensor) -> Tensor:
    """d^2, B x R."""
    wanted, root = torch.split(target, [found.shape[-1], found.shape[-2]], -1)
    (mean, covariance), (other, its) = _moments(found), _moments(wanted)
    covariance, its = _lifted(covariance, its), _lifted(its, its)
    traces = (covariance + its).diagonal(dim1=-2, dim2=-1).sum(-1)
    both = trace_of_root(covariance, root)
    distance: Tensor = (mean - other).square().sum(-1) + (traces - 2 * both)
    return distance.to(found)


def _mean(found: Tensor, target: Tensor, channels: int) -> Tensor:
    """d^2 / N, as style-transfer-pytorch has it; B x R."""
    return _distance(found, target) / channels


def _relative(found: Tensor, target: Tensor, channels: int) -> Tensor:
    """d over the root of the target's mean square, ||mu'||^2 + tr S'; B x R."""
    second = target[..., : found.shape[-2]].diagonal(dim1=-2, dim2=-1).sum(-1).to(found)
    share = _distance(found, target) / second.clamp_min(TINY)  # 0 where there is no style
    return (share.clamp_min(0) + TINY).sqrt()


WASSERSTEIN = StyleStatistic(
    sums=_sums,
    measures={"paper": _mean, "mean": _mean, "relative": _relative},
    prepare=_prepare,
    with_ones=True,
)
