"""Frozen convolutions and products of matrices by oneDNN's own operators, on a CPU.

In: features and gradients of them. Out: features, gradients, matrices. Knows of no network and no
loss.

torch's convolution brings a kernel from its plain layout into oneDNN's at each call, and its ReLU
is one more pass. A frozen kernel can be laid out once, and the gradient in the input is a
convolution too, with the kernel turned around. The operators are those that torch's own compiler
emits for CPUs; as they are no part of its public interface, `fits` asks whether they are there.

Products in float32 are taken here too: the library that torch has for them does not make full use
of all CPUs, and takes twice as long on some.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

_ONES = [1, 1]


@cache
def _operators(dtype: torch.dtype) -> bool:
    """Whether the operators are there and made for numbers of this type."""
    # Elsewhere oneDNN has other kernels, and these ways have not been tried.
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    there = (
        torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")
        and hasattr(torch.ops.aten, "mkldnn_reorder_conv2d_weight")
    )
    if dtype == torch.bfloat16:
        return there and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return there and dtype == torch.float32


def fits(x: Tensor) -> bool:
    """Whether a convolution of such features can be taken here."""
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return bool(torch._C._get_mkldnn_enabled()) and _operators(x.dtype)


class _Laid:
    """A kernel, laid out for one shape of the input once that comes twice in a row.

    The layout depends on the shape, and one that is made for another is up to a hundred times
    slower than none. Where shapes change from call to call the kernel stays plain, as it is for
    torch's own convolution. Both give the same numbers.
    """

    def __init__(self, plain: Callable[[], Tensor], padding: int) -> None:
        self.plain, self.padding = plain, [padding, padding]
        self.shape: torch.Size | None = None
        self.kernel: Tensor | None = None
        self.laid = False

    def convolve(self, x: Tensor, bias: Tensor | None, then: str) -> Tensor:
        """B x C x H x W -> B x C_out x h x w, both channels-last; `then` is `relu` or `none`."""
        if self.kernel is None or (self.laid and x.shape != self.shape):
            self.kernel, self.laid = self.plain(), False
        elif not self.laid and x.shape == self.shape:
            self.kernel, self.laid = self._lay_out(self.kernel, x.shape), True
        self.shape = x.shape
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.kernel, bias, self.padding, _ONES, _ONES, 1, then, [], ""
        )
        return found

    def _lay_out(self, kernel: Tensor, shape: torch.Size) -> Tensor:
        own: Tensor = torch.ops.aten.mkldnn_reorder_conv2d_weight(
            kernel.to_mkldnn(), self.padding, _ONES, _ONES, 1, list(shape)
        )
        return own


class Kernel:
    """A frozen convolution with stride 1, and its gradient in the input.

    Args:
        weight: C_out x C x k x k, channels-last, k 1 or 3.
        bias: C_out values.
        padding: zeros around the input, 0 or 1.
        relu: whether a ReLU follows.
    """

    def __init__(self, weight: Tensor, bias: Tensor, padding: int, relu: bool) -> None:
        def turned() -> Tensor:
            around = weight.flip(2, 3).transpose(0, 1)
            return around.contiguous(memory_format=torch.channels_last)

        self.bias, self.then = bias, "relu" if relu else "none"
        self._onward = _Laid(lambda: weight, padding)
        self._back = _Laid(turned, weight.shape[2] - 1 - padding)

    def __call__(self, x: Tensor) -> Tensor:
        """B x C x H x W, channels-last -> B x C_out x h x w, channels-last."""
        return self._onward.convolve(x, self.bias, self.then)

    def back(self, gradient: Tensor) -> Tensor:
        """The gradient in the input, of that in the output before its ReLU; both channels-last."""
        return self._back.convolve(gradient, None, "none")


# Numbers in a product below which a call costs more than it saves.
_FEW = 1 << 14


def multiplies(x: Tensor) -> bool:
    """Whether products with x, N x M x C, are taken here: in full float32, and of some size."""
    if x.dtype != torch.float32 or x.shape[1:].numel() < _FEW or x.stride(2) != 1:
        return False
    return fits(x) and torch.get_float32_matmul_precision() == "highest"


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b, where `multiplies`: N x M x C, N x K x C and N x 1 x K -> N x M x K."""
    # It reads numbers as they lie, whatever the strides say.
    x, weight = x.contiguous(), weight.contiguous()
    biases = [None] * len(x) if bias is None else [*bias[:, 0].contiguous()]
    found = [
        torch.ops.mkldnn._linear_pointwise(*parts, "none", [], "")
        for parts in zip(x, weight, biases, strict=True)
    ]
    return torch.stack(found) if len(found) > 1 else found[0][None]


def inner(x: Tensor) -> Tensor:
    """X^T X, where `multiplies`: N x M x C -> N x C x C.

    As the gradient that a 1x1 convolution's kernel would have if the output's were the input. (Its
    dilation means nothing but that torch leaves it to oneDNN.)
    """
    kernel = x.new_empty(x.shape[2], x.shape[2], 1, 1)
    found = []
    for one in x:
        column = one[None, :, None].permute(0, 3, 1, 2)  # 1 x C x M x 1, channels-last
        _, gradient, _ = torch.ops.aten.convolution_backward(
            column, column, kernel, None, [1, 1], [0, 0], [2, 2], False, [0, 0], 1,
            [False, True, False],
        )  # fmt: skip
        found.append(gradient[:, :, 0, 0])
    return torch.stack(found)
