"""The Gram matrix, as in the paper: the default style loss.

In: features. Out: Gram matrices and how far they are from their targets.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pipeline.method.losses.squares import relative_norm, squares
from pipeline.method.losses.statistic import StyleStatistic


class _GramSum(torch.autograd.Function):
    """G = F F^T for F of B x C x M, with the gradient in F as one product instead of two.

    For a gradient D in G it is (D + D^T) F, since F stands on both sides.
    """

    @staticmethod
    def forward(context: Any, flat: Tensor) -> Tensor:
        """B x C x C."""
        context.save_for_backward(flat)
        if flat.device.type == "cpu":  # the batched product copies its transposed factor there
            return torch.stack([one @ one.T for one in flat])
        return flat @ flat.transpose(1, 2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """B x C x M, in channels-last order if the features came so."""
        flat: Tensor = context.saved_tensors[0]
        both = gradient + gradient.transpose(1, 2)
        if flat.stride(1) == 1:  # or what follows would walk two layouts at once
            return (flat.transpose(1, 2) @ both).transpose(1, 2)
        return both @ flat


def gram_sum(features: Tensor) -> Tensor:
    """Gram matrices G = F F^T (Gatys et al. 2016, equation 3): B x C x h x w -> B x C x C."""
    gram: Tensor = _GramSum.apply(features.flatten(2))
    return gram


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
    return gram_sum(features) / features.shape[2:].numel()


def gram_paper(found: Tensor, target: Tensor, channels: int) -> Tensor:
    """E_l = 1 / (4 N^2) sum (G/M - A/M_a)^2 (Gatys et al. 2016, equation 4); B x R.

    The paper divides the squared difference by M^2, with one M for both pictures; here each Gram
    matrix is divided by its own number of positions, the same when the sizes are.

    Args:
        channels: N.
    """
    return squares(found - target) / (4 * channels**2)


def gram_mean(found: Tensor, target: Tensor, channels: int) -> Tensor:
    """Mean over N x N of (G/(N M) - A/(N M_a))^2; B x R.

    It is neural-style's, whose Gram matrices are divided by the number of features' values.
    """
    return squares(found - target) / channels**4


# The Gram matrix per position, G / M (equation 3); C x C.
GRAM = StyleStatistic(
    sums=gram_sum,
    measures={"paper": gram_paper, "mean": gram_mean, "relative": relative_norm},
)
