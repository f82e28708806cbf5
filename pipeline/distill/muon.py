"""Muon: momentum made orthogonal, for the 3x3 kernels.

In: kernels with gradients. Out: kernels moved. Must not know what they belong to.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, for the 3x3 kernels.

    Keller Jordan's Muon (2024): the update U S V^T of a kernel, seen as a matrix C_out x 9 C_in, is
    replaced by U V^T, approximated by five Newton-Schulz iterations, so that rare directions move
    as far as common ones. Here it needs half of Adam's steps for the same error.
    """

    def __init__(self, kernels: Sequence[Tensor], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(list(kernels), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Moves every kernel once."""
        for group in self.param_groups:
            for kernel in group["params"]:
                state = self.state[kernel]
                velocity = state.setdefault("velocity", torch.zeros_like(kernel))
                velocity.lerp_(kernel.grad, 1 - group["momentum"])
                update = _orthogonal(kernel.grad.lerp(velocity, group["momentum"]).flatten(1))
                tall = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                kernel.add_(update.view_as(kernel), alpha=-group["lr"] * tall)


def _orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with equal singular values, roughly: a quintic Newton-Schulz iteration
    with the coefficients of Jordan et al., which bring singular values to 0.7..1.2."""
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x
