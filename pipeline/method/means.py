"""Means over squares of positions, and positions repeated; on a CPU with gradients in few passes.

In: features. Out: features of another size; gradients pass.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.function import once_differentiable


def spread_mean(gradient: Tensor, height: int, width: int, side: int = 2) -> Tensor:
    """The gradient of means over squares: B x C x h x w -> B x C x height x width.

    Args:
        height, width: of what was averaged; rows and columns that were in no whole square get 0.
        side: of the squares.
    """
    # On a CPU torch's own takes twice as long as a copy.
    spread = F.interpolate(gradient * (1 / side**2), scale_factor=side, mode="nearest")
    below, aside = height - spread.shape[2], width - spread.shape[3]
    return F.pad(spread, (0, aside, 0, below)) if below or aside else spread


class _Means(torch.autograd.Function):
    """Means over squares; the gradient is brought to the features' precision while it is small."""

    @staticmethod
    def forward(context: Any, x: Tensor, side: int, dtype: torch.dtype) -> Tensor:
        context.height, context.width = x.shape[2:]
        context.side, context.dtype = side, x.dtype
        return F.avg_pool2d(x.to(dtype), side)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        narrow = gradient.to(context.dtype)
        return spread_mean(narrow, context.height, context.width, context.side), None, None


class _Repeated(torch.autograd.Function):
    """Each position so many times down and across. On a CPU the gradient of torch's own takes ten
    times as long as a sum."""

    @staticmethod
    def forward(context: Any, x: Tensor, times: int, dtype: torch.dtype) -> Tensor:
        context.times, context.dtype = times, x.dtype
        grown: Tensor = F.interpolate(x.to(dtype), scale_factor=times, mode="nearest")
        return grown

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        summed = F.avg_pool2d(gradient, context.times).mul_(context.times**2)
        return summed.to(context.dtype), None, None


def _plain(x: Tensor) -> bool:
    """Whether torch's own gradients are taken."""
    return x.device.type != "cpu" or torch.compiler.is_compiling()


def means(x: Tensor, side: int, dtype: torch.dtype | None = None) -> Tensor:
    """Means over squares of `side`: B x C x H x W -> B x C x H/side x W/side, rounded down.

    Args:
        dtype: of the means; None for that of `x`.
    """
    dtype = dtype or x.dtype
    if _plain(x):
        return F.avg_pool2d(x.to(dtype), side)
    found: Tensor = _Means.apply(x, side, dtype)
    return found


def repeated(x: Tensor, times: int, dtype: torch.dtype | None = None) -> Tensor:
    """Each position `times` times: B x C x h x w -> B x C x (times h) x (times w).

    Args:
        dtype: of what is given; None for that of `x`.
    """
    dtype = dtype or x.dtype
    if _plain(x):
        return F.interpolate(x.to(dtype), scale_factor=times, mode="nearest")
    grown: Tensor = _Repeated.apply(x, times, dtype)
    return grown
