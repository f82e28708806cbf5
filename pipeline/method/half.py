"""Float16 within a network: features are kept small, and gradients are scaled.

In: float32. Out: float32. Float16 ends at 65,504, and has next to nothing left below 1e-7. A
network of convolutions, ReLUs and pooling whose input and biases are multiplied by `SHRUNK` gives
its features times `SHRUNK`: those of VGG-19, which reach tens of thousands, stay far below that
end. Gradients of a picture's loss lie where nothing is left, so on their way back each picture's
are multiplied by a power of two, which rounds nothing, and divided by it at the input.
(Micikevicius et al. 2018, "Mixed Precision Training", scale the whole loss by one number that is
sought by trial; here each picture has its own, by its gradients alone, so that its neighbors in
the batch change nothing.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SHRUNK = 2.0**-4
# What each picture's largest gradient is brought to, at most. On their way back gradients add up,
# to infinity from 2^8 on with `lite`; the room above it is rather kept than that below.
_LARGEST = 2.0**-2


class _Scale:
    """What one pass's gradients were multiplied by, B values; None before they came back."""

    value: Tensor | None = None


class _Enter(torch.autograd.Function):
    """x -> float16(SHRUNK x); gradients come out as they were before `_Leave` scaled them."""

    @staticmethod
    def forward(context: Any, x: Tensor, scale: _Scale) -> Tensor:
        context.scale = scale
        return (x * SHRUNK).half()

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        assert context.scale.value is not None
        return gradient.float() * (SHRUNK / context.scale.value).view(-1, 1, 1, 1), None


class _Leave(torch.autograd.Function):
    """Features y -> float32(y) / SHRUNK; all of a pass at once, so that all gradients are there
    when they are scaled."""

    @staticmethod
    def forward(context: Any, scale: _Scale, *features: Tensor) -> tuple[Tensor, ...]:
        context.scale = scale
        context.set_materialize_grads(False)
        return tuple(values.float() / SHRUNK for values in features)

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        found = [g.abs().amax((1, 2, 3)) for g in gradients if g is not None]
        largest = torch.stack(found).amax(0) / SHRUNK
        # Of no gradient at all a finite scale, of one that is not finite none that hides it.
        context.scale.value = torch.exp2(torch.log2(_LARGEST / largest.clamp_min(1e-30)).floor())
        factor = (context.scale.value / SHRUNK).view(-1, 1, 1, 1)
        return None, *(None if g is None else (g * factor).half() for g in gradients)


class HalfPass:
    """One pass of a network in float16: every tensor that enters or leaves it goes through here."""

    def __init__(self) -> None:
        self._scale = _Scale()

    def enter(self, x: Tensor) -> Tensor:
        """B x C x H x W of float32, as the network takes it."""
        entered: Tensor = _Enter.apply(x, self._scale)
        return entered

    def leave(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All features of the pass, in float32 at their own size; once."""
        left = _Leave.apply(self._scale, *features.values())
        return dict(zip(features, left, strict=True))
