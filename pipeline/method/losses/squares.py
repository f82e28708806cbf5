"""Sums of squares that the losses share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Keeps roots' gradients finite where a picture has reached its target; far below rounding.
TINY = 1e-12


class _Apart(torch.autograd.Function):
    """sum (x - y)^2, with the gradient 2 (x - y) as one product: a step has many of these."""

    @staticmethod
    def forward(context: Any, values: Tensor, target: Tensor) -> Tensor:
        difference = values - target
        context.save_for_backward(difference)
        return energy(difference)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        (difference,) = context.saved_tensors
        slope = difference * (2 * gradient).view(-1, *[1] * (difference.dim() - 1))
        return slope, -slope if context.needs_input_grad[1] else None


def apart(values: Tensor, target: Tensor) -> Tensor:
    """Sum of (values - target)^2 for each picture; both B x ... and of one shape -> B."""
    summed: Tensor = _Apart.apply(values, target)
    return summed


def energy(values: Tensor) -> Tensor:
    """Sum of squares for each picture: B x ... -> B."""
    return values.square().sum(tuple(range(1, values.dim())))
