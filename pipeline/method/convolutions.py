"""Convolutions, padding and pooling of a frozen network, as torch has them.

In: features and kernels. Out: features; gradients pass. Knows of no layers. What a CPU does in
fewer passes is in `onednn.py` and `cpu_pass.py`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor

from pipeline.method.means import means

Pooling = Literal["avg", "max", "l2"]
Padding = Literal["zeros", "replicate", "reflect", "replicate_first"]

# Under the root of l2 pooling: its gradient stays finite at zero.
L2_TINY = 1e-8


def inset_of(padding: Padding, first: bool) -> int | None:
    """Which position is repeated beyond an edge: the edge itself, 0, or the one before it, 1; None
    where zeros stand there.

    Args:
        padding: see `Backbone`.
        first: whether it is of the network's first convolution, which sees the picture.
    """
    if padding == "zeros" or (padding == "replicate_first" and not first):
        return None
    return 1 if padding == "reflect" else 0


def with_edges(x: Tensor, inset: int) -> Tensor:
    """One position beyond each edge: B x C x H x W -> B x C x (H + 2) x (W + 2).

    Args:
        inset: see `inset_of`.
    """
    b, c, h, w = x.shape
    layout = torch.channels_last
    whole = torch.empty((b, c, h + 2, w + 2), dtype=x.dtype, device=x.device,
                        memory_format=layout)  # fmt: skip
    whole[:, :, 1:-1, 1:-1] = x
    whole[:, :, 0, 1:-1], whole[:, :, -1, 1:-1] = x[:, :, inset], x[:, :, -1 - inset]
    whole[..., 0], whole[..., -1] = whole[..., 1 + inset], whole[..., -2 - inset]
    return whole


def without_edges(gradient: Tensor, inset: int) -> Tensor:
    """The gradient of `with_edges`: B x C x (H + 2) x (W + 2) -> B x C x H x W, a view.

    Args:
        gradient: in the whole, which is changed: what went to the edges is added where it is from.
    """
    tall = gradient[..., 1:-1]
    tall[..., inset] += gradient[..., 0]
    tall[..., -1 - inset] += gradient[..., -1]
    own = tall[:, :, 1:-1]
    own[:, :, inset] += tall[:, :, 0]
    own[:, :, -1 - inset] += tall[:, :, -1]
    return own


class _Pad(torch.autograd.Function):
    """`with_edges`. On a GPU torch's own padding forgets channels-last, and its gradient adds up
    in any order."""

    @staticmethod
    def forward(context: Any, x: Tensor, inset: int) -> Tensor:
        context.inset = inset
        return with_edges(x, inset)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return without_edges(gradient.clone(memory_format=torch.channels_last), context.inset), None


def _padded(x: Tensor, inset: int, few: bool) -> Tensor:
    """B x C x H x W -> B x C x (H + 2) x (W + 2); see `_Pad`.

    Args:
        few: whether there are so few channels that on a GPU copies cost nothing and calls do.
    """
    few = few and x.device.type != "cpu"
    if not few and not torch.compiler.is_compiling():
        padded: Tensor = _Pad.apply(x, inset)
        return padded
    for dim in (2, 3):
        last = x.shape[dim] - 1 - inset
        x = torch.cat((x.narrow(dim, inset, 1), x, x.narrow(dim, last, 1)), dim)
    return x


def padded_conv(x: Tensor, weight: Tensor, bias: Tensor, padding: Padding, first: bool) -> Tensor:
    """A 3x3 convolution that keeps the size: B x C x H x W -> B x C_out x H x W.

    Args:
        padding, first: see `inset_of`.
    """
    inset = inset_of(padding, first)
    if inset is None:
        return F.conv2d(x, weight, bias, padding=1)
    return F.conv2d(_padded(x, inset, first), weight, bias)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 1x1 convolution: B x C x H x W -> B x C_out x H x W."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.compiler.is_compiling():
        return F.conv2d(x, weight, bias)
    # Of float32 torch's own falls to a slow kernel there.
    return F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)


def pooled(x: Tensor, pooling: Pooling) -> Tensor:
    """2 x 2 with stride 2: B x C x H x W -> B x C x H/2 x W/2, sides rounded down.

    Args:
        pooling: see `Backbone`.
    """
    if pooling == "l2":
        # In float16 squares are soon too large.
        wide = x.float() if x.dtype == torch.float16 else x
        return (F.avg_pool2d(wide.square(), 2) + L2_TINY).sqrt().to(x.dtype)
    return means(x, 2) if pooling == "avg" else F.max_pool2d(x, 2)
