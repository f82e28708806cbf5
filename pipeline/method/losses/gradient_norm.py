"""A layer's gradient divided by its own size, as neural-style's -normalize_gradients does.

In: features. Out: the same features, whose gradient is changed on its way back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pipeline.method.losses.squares import TINY


class NormalizeGradient(torch.autograd.Function):
    """Divides a loss's gradient in its layer's features by its L1 norm to some power.

    As neural-style's -normalize_gradients: g becomes s g / |g|_1^p, where g is the gradient of the
    loss before its weight s; one norm a picture.
    """

    @staticmethod
    def forward(context: Any, features: Tensor, weight: Tensor, power: Tensor) -> Tensor:
        """The features as they are."""
        context.save_for_backward(weight, power)
        return features.view_as(features)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The gradient, divided."""
        weight, power = context.saved_tensors
        plain = gradient.flatten(1).abs().sum(1) / weight.clamp_min(TINY)
        return gradient / (plain.pow(power) + 1e-8).view(-1, 1, 1, 1), None, None
