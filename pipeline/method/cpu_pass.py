"""The pass of a frozen network on a CPU, forward and backward, in as few passes over memory.

In: the picture as the network takes it. Out: features of the layers that are asked for; gradients
pass. Knows of no losses.

What `Backbone` does layer by layer with torch's own functions is one function here, whose gradient
is written by hand: convolutions take bias and ReLU along (`onednn.py`), what was padded or pooled
is not kept for the way back, and gradients are added and folded at the edges in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.method.convolutions import (
    Pooling,
    pooled,
    with_edges,
    without_edges,
)
from pipeline.method.looks import look
from pipeline.method.means import spread_mean
from pipeline.method.onednn import Kernel

_CHANNELS_LAST = torch.channels_last


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution with its ReLU, and what stands before and after it.

    Attributes:
        kernel: of the convolution; it pads with zeros where `inset` is None.
        inset: see `inset_of`.
        pools: whether its input is pooled first.
        handed: whether its features are handed out.
        head: what projects them then; None for as they are.
    """

    kernel: Kernel
    inset: int | None
    pools: bool
    handed: bool
    head: Kernel | None


@dataclass(frozen=True)
class Chain:
    """The layers of a network, in order.

    Attributes:
        pooling, scale: how it pools, and what that is multiplied by; see `Backbone`.
    """

    layers: Sequence[Layer]
    pooling: Pooling
    scale: float

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """B x 3 x H x W, channels-last -> the features of each layer that is handed out."""
        if torch.is_grad_enabled() and x.requires_grad:
            features: tuple[Tensor, ...] = _Pass.apply(x, self)
            return features
        return tuple(self.onward(x, None))

    def onward(self, x: Tensor, held: list[Tensor] | None) -> list[Tensor]:
        """The features; to `held` comes what `back` needs: each layer's own, and what was pooled
        where the gradient asks for it."""
        features = []
        for layer in self.layers:
            if layer.pools:
                x = self._pool(x, held)
            x = layer.kernel(x if layer.inset is None else with_edges(x, layer.inset))
            look()
            if held is not None:
                held.append(x)
            if layer.handed:
                features.append(layer.head(x) if layer.head else x)
        return features

    def back(self, held: list[Tensor], gradients: Sequence[Tensor | None]) -> Tensor | None:
        """The gradient in the picture, of those in the features; None without any."""
        given, gradient = list(gradients), None
        for layer in reversed(self.layers):
            own = held.pop()
            mine = gradient is not None or layer.head is not None
            if layer.handed:
                gradient = _joined(gradient, given.pop(), layer.head)
            if gradient is not None:
                gradient = layer.kernel.back(_masked(gradient, own, mine))
                look()
                if layer.inset is not None:
                    gradient = without_edges(gradient, layer.inset)
            if layer.pools:
                gradient = self._pool_back(gradient, held)
        return gradient

    def _pool(self, x: Tensor, held: list[Tensor] | None) -> Tensor:
        found: Tensor
        if self.pooling == "max":
            found, places = torch.ops.aten.max_pool2d_with_indices(x, [2, 2])
            if held is not None:
                held.append(places)
        else:
            found = pooled(x, self.pooling)
            if held is not None and self.pooling == "l2":
                held.append(found)
        return found if self.scale == 1 else found * self.scale

    def _pool_back(self, gradient: Tensor | None, held: list[Tensor]) -> Tensor | None:
        beside = None if self.pooling == "avg" else held.pop()
        if gradient is None:
            return None
        gradient = gradient if self.scale == 1 else gradient * self.scale
        before = held[-1]
        found: Tensor
        if self.pooling == "max":
            found = torch.ops.aten.max_pool2d_with_indices_backward(
                gradient, before, [2, 2], [2, 2], [0, 0], [1, 1], False, beside
            )
            return found
        if beside is None:
            return spread_mean(gradient, *before.shape[2:])
        found = spread_mean(gradient / beside, *before.shape[2:]).mul_(before)
        return found


def _joined(gradient: Tensor | None, given: Tensor | None, head: Kernel | None) -> Tensor | None:
    """The gradient in a layer's features, of what came back to them and what the losses gave."""
    if given is None:
        return gradient
    given = given.contiguous(memory_format=_CHANNELS_LAST)
    given = head.back(given) if head else given
    return given if gradient is None else gradient.add_(given)


def _masked(gradient: Tensor, features: Tensor, mine: bool) -> Tensor:
    """The gradient before a ReLU, channels-last.

    Args:
        mine: whether the gradient may be changed.
    """
    masked: Tensor
    if mine and gradient.is_contiguous(memory_format=_CHANNELS_LAST):
        masked = torch.ops.aten.threshold_backward.grad_input(
            gradient, features, 0, grad_input=gradient
        )
    else:
        masked = torch.ops.aten.threshold_backward(gradient, features, 0)
    return masked


class _Pass(torch.autograd.Function):
    """A chain, with its gradient in the picture."""

    @staticmethod
    def forward(context: Any, x: Tensor, chain: Chain) -> tuple[Tensor, ...]:
        held: list[Tensor] = []
        features = chain.onward(x, held)
        context.chain = chain
        context.set_materialize_grads(False)
        context.save_for_backward(*held)
        return tuple(features)

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None]:
        return context.chain.back(list(context.saved_tensors), gradients), None
