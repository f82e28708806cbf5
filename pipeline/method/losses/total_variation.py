"""Total variation by name: what differences of neighboring pixels cost.

In: pictures. Out: B values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.method.losses.squares import apart, energy


def tv_mean_squares(images: Tensor) -> Tensor:
    """Mean squared difference of neighboring pixels, down plus across; B values.

    Args:
        images: B x 3 x H x W in [0, 1].
    """
    channels, height, width = images.shape[1:]
    down, across = _squares(images)
    return down / (channels * (height - 1) * width) + across / (channels * height * (width - 1))


class _Squares(torch.autograd.Function):
    """Sums of squared differences, down and across; the gradient goes into one tensor."""

    @staticmethod
    def forward(context: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        steps = tuple(images.diff(dim=dim) for dim in (2, 3))
        context.save_for_backward(*steps)
        context.like = images
        return energy(steps[0]), energy(steps[1])

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        slope = torch.zeros_like(context.like)
        for dim, gradient, step in zip((2, 3), gradients, context.saved_tensors, strict=True):
            twice, count = (2 * gradient).view(-1, 1, 1, 1), step.shape[dim]
            slope.narrow(dim, 1, count).addcmul_(step, twice)
            slope.narrow(dim, 0, count).addcmul_(step, twice, value=-1)
        return slope


def _squares(images: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of squared differences, down and across."""
    found: tuple[Tensor, Tensor] = _Squares.apply(images)
    return found


def tv_sum_squares(images: Tensor) -> Tensor:
    """Sum of squared differences of neighboring pixels; B values. Twice neural-style's."""
    down, across = _squares(images)
    return down + across


def tv_sum_absolute(images: Tensor) -> Tensor:
    """Sum of absolute differences of neighboring pixels; B values. neural-style-pt's."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().sum((1, 2, 3))
    return down + (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().sum((1, 2, 3))


def tv_nine_point(images: Tensor) -> Tensor:
    """Mean squared differences over all eight neighbors, the edge repeated; B values.

    2/3 (down^2 + across^2) + 1/6 (both diagonals^2), each a mean over all positions:
    style-transfer-pytorch's "nine point stencil". For smooth pictures it is `tv_mean_squares`, of
    noise it is 5/6 of that.
    """
    # replication_pad2d's gradient is not deterministic on CUDA
    tall = torch.cat((images[:, :, :1], images, images[:, :, -1:]), 2)
    whole = torch.cat((tall[..., :1], tall, tall[..., -1:]), 3)
    channels, height, width = images.shape[1:]
    straight = apart(whole[:, :, 1:-1, 2:], images) + apart(whole[:, :, 2:, 1:-1], images)
    falling = apart(whole[:, :, 1:, 1:], whole[:, :, :-1, :-1])
    rising = apart(whole[:, :, 1:, :-1], whole[:, :, :-1, 1:])
    inner, around = channels * height * width, channels * (height + 1) * (width + 1)
    return straight * (2 / 3 / inner) + (falling + rising) / (6 * around)


TV_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean_squares": tv_mean_squares,
    "sum_squares": tv_sum_squares,
    "sum_absolute": tv_sum_absolute,
    "nine_point": tv_nine_point,
}
