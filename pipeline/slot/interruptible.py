"""Long steps that can be ended within: a stop is looked for between the network's convolutions.

In: steps, and what looks. Out: the same steps; what looks may raise within one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pipeline.method import looking

Made = TypeVar("Made")

# Shorter steps are not worth looking into; the first of the next scale is about four times as long.
_LONG_S = 0.5


def interruptible(steps: Iterator[Made], look: Callable[[], None]) -> Iterator[Made]:
    """The steps; within the first, and within one that follows a step of half a second or more,
    `look` is called after each convolution, forward and backward, and each block of the search for
    nearest neighbors. What it raises ends the step, of which nothing is left.

    Each of torch's calls takes some microseconds more for it: 1 ms a step of half a second.
    """
    took = _LONG_S  # the first may be a long one
    while True:
        began = time.perf_counter()
        with _looking(look) if took >= _LONG_S else contextlib.nullcontext():
            step = next(steps, None)
        if step is None:
            return
        took = time.perf_counter() - began
        yield step


@contextlib.contextmanager
def _looking(look: Callable[[], None]) -> Iterator[None]:
    """In the network's own pass, and where torch's functions are taken instead of it."""
    with looking(look), _AfterConvolutions(look):
        yield


class _AfterConvolutions(TorchFunctionMode):
    """Calls a function after each convolution, and when its gradient comes by."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self._look = look

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if func is torch.conv2d:
            self._look()
            if isinstance(made, Tensor) and made.requires_grad:
                made.register_hook(self._seen)  # type: ignore[no-untyped-call]
        return made

    def _seen(self, gradient: Tensor) -> None:
        """Leaves the gradient as it is."""
        self._look()


def can_be_interrupted(device: str, *, compiles: bool) -> bool:
    """Whether a device's steps last as long as their calls, and torch makes each of these: a GPU's
    calls return at once, and what is compiled is one."""
    return device == "cpu" and not compiles
