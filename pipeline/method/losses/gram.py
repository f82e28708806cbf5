"""The Gram matrix, as in the paper: the default style loss.

In: features. Out: Gram matrices, perhaps with means, and how far they are from their targets.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pipeline.method.losses.squares import apart
from pipeline.method.losses.statistic import StyleStatistic
from pipeline.method.onednn import inner, linear, multiplies


def _product(wide: Tensor) -> Tensor:
    """F F^T for F of N x C x M; in float32, in which products of bfloat16 numbers are exact."""
    if wide.device.type == "cpu":
        turned = wide.mT
        if multiplies(turned):
            return inner(turned)
        # The batched product copies its transposed factor there.
        return torch.stack([one @ one.T for one in wide])
    parts = _parts(*wide.shape[1:])
    if parts == 1:
        return torch.bmm(wide, wide.mT)
    # A GPU has a block of threads for each part of the result, and a small one has few of them.
    cut = wide.view(len(wide), wide.shape[1], parts, -1).transpose(1, 2)
    return torch.matmul(cut, cut.mT).sum(1)


# Parts have at least so many positions; with them there are as many tiles as 512 channels have.
_SHORTEST, _TILE = 1024, 64


def _parts(channels: int, positions: int) -> int:
    """Into how many equal parts the positions of few channels are cut (split-K)."""
    wanted = (512 // max(channels, _TILE)) ** 2
    while wanted > 1 and (positions % wanted or positions // wanted < _SHORTEST):
        wanted //= 2
    return wanted


class _GramSum(torch.autograd.Function):
    """G = F F^T for F of N x C x M, with the gradient in F as one product instead of two.

    For a gradient D in G it is (D + D^T) F, since F stands on both sides. Both are taken in F's own
    precision, which its gradient has in any case.
    """

    @staticmethod
    def forward(context: Any, flat: Tensor) -> Tensor:
        """N x C x C, float32."""
        context.save_for_backward(flat.mT)
        return _product(flat.float())

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """N x C x M, in channels-last order if the features came so."""
        (turned,) = context.saved_tensors
        both = (gradient + gradient.mT).to(turned.dtype)
        if multiplies(turned):
            return linear(turned, both).mT
        if turned.stride(2) == 1:  # or what follows would walk two layouts at once
            return torch.bmm(turned, both).mT
        return torch.bmm(both, turned.mT)


class _MomentSum(torch.autograd.Function):
    """The same with F w^T as one more column, w the roots of the positions' weights; N x C x (C +
    1). The gradient in F has the outer product of that column's and w beside it."""

    @staticmethod
    def forward(context: Any, flat: Tensor, weights: Tensor | None) -> Tensor:
        context.save_for_backward(flat.mT, weights)
        wide = flat.float()
        means = wide.sum(2, keepdim=True) if weights is None else torch.bmm(wide, weights.mT)
        return torch.cat((_product(wide), means), 2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        turned, weights = context.saved_tensors
        second, first = gradient[..., :-1], gradient[..., -1:]
        both = (second + second.mT).to(turned.dtype)
        if weights is None and multiplies(turned):
            return linear(turned, both, first.mT).mT, None
        spread = (first if weights is None else first * weights).to(turned.dtype)
        if turned.stride(2) == 1:
            return torch.baddbmm(spread.mT, turned, both).mT, None
        return torch.baddbmm(spread, both, turned.mT), None


def gram_sum(flat: Tensor, weights: Tensor | None = None) -> Tensor:
    """Gram matrices G = F F^T (Gatys et al. 2016, equation 3): N x C x M -> N x C x C, float32.

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
    takes_bfloat16=True,
    divisors={"paper": lambda n: 4 * n**2, "mean": lambda n: n**4},
)
