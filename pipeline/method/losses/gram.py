"""The Gram matrix, as in the paper: the default style loss.

In: features. Out: Gram matrices, perhaps with means, and how far they are from their targets.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pipeline.method.losses.squares import apart
from pipeline.method.losses.statistic import StyleStatistic


def _product(flat: Tensor, turned: Tensor) -> Tensor:
    """F F^T for F of N x C x M and F^T."""
    if flat.device.type == "cpu":  # the batched product copies its transposed factor there
        return torch.stack([one @ one.T for one in flat])
    return torch.bmm(flat, turned)


class _GramSum(torch.autograd.Function):
    """G = F F^T for F of N x C x M, with the gradient in F as one product instead of two.

    For a gradient D in G it is (D + D^T) F, since F stands on both sides.
    """

    @staticmethod
    def forward(context: Any, flat: Tensor) -> Tensor:
        """N x C x C."""
        turned = flat.mT
        context.save_for_backward(turned)
        return _product(flat, turned)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """N x C x M, in channels-last order if the features came so."""
        (turned,) = context.saved_tensors
        both = gradient + gradient.mT
        if turned.stride(2) == 1:  # or what follows would walk two layouts at once
            return torch.bmm(turned, both).mT
        return torch.bmm(both, turned.mT)


class _MomentSum(torch.autograd.Function):
    """The same with F w^T as one more column, w the roots of the positions' weights; N x C x (C +
    1). The gradient in F has the outer product of that column's and w beside it."""

    @staticmethod
    def forward(context: Any, flat: Tensor, weights: Tensor | None) -> Tensor:
        turned = flat.mT
        context.save_for_backward(turned, weights)
        means = flat.sum(2, keepdim=True) if weights is None else torch.bmm(flat, weights.mT)
        return torch.cat((_product(flat, turned), means), 2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        turned, weights = context.saved_tensors
        second, first = gradient[..., :-1], gradient[..., -1:]
        both = second + second.mT
        spread = first if weights is None else first * weights
        if turned.stride(2) == 1:
            return torch.baddbmm(spread.mT, turned, both).mT, None
        return torch.baddbmm(spread, both, turned.mT), None


def gram_sum(flat: Tensor, weights: Tensor | None = None) -> Tensor:
    """Gram matrices G = F F^T (Gatys et al. 2016, equation 3): N x C x M -> N x C x C.

    Args:
        weights: of no use here; see `StyleStatistic`.
    """
    summed: Tensor = _GramSum.apply(flat)
    return summed


def moment_sum(flat: Tensor, weights: Tensor | None = None) -> Tensor:
    """Gram matrices with the sums of the features as last column: N x C x M -> N x C x (C + 1).

    Args:
        weights: see `StyleStatistic`.
    """
    summed: Tensor = _MomentSum.apply(flat, weights)
    return summed


def gram(features: Tensor) -> Tensor:
    """Gram matrices per position, G / M with G = F F^T (Gatys et al. 2016, equation 3).

    Dividing by the M positions makes pictures of different size comparable.

    Args:
        features: B x C x h x w.

    Returns:
        B x C x C, symmetric, positive semi-definite.

    >>> gram(torch.tensor([[[[1.0, 3.0]], [[2.0, 0.0]]]])).tolist()  # 1 x 2 x 1 x 2
    [[[5.0, 1.0], [1.0, 2.0]]]
    """
    return gram_sum(features.flatten(2)) / features.shape[2:].numel()


# The Gram matrix per position, G / M (equation 3); C x C. `paper` is E_l = 1 / (4 N^2) sum (G/M -
# A/M_a)^2 (equation 4): the paper divides the squared difference by M^2, with one M for both
# pictures; here each matrix is divided by its own number of positions, the same when the sizes are.
# `mean` is neural-style's, the mean over N x N of (G/(N M) - A/(N M_a))^2: its matrices are divided
# by the number of features' values.
GRAM = StyleStatistic(
    sums=gram_sum,
    distance=lambda found, prepared: apart(found, prepared[0]),
    divisors={"paper": lambda n: 4 * n**2, "mean": lambda n: n**4},
)
