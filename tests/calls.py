"""What code asks of a device, call by call, and what of it no step loop should ask.

Of tensors without values what waits for them is noticed and given something in their place, so that
the code goes on.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.utils._python_dispatch import TorchDispatchMode

# What reads the device's error code within, which torch does not tell of tensors without values.
_WAITS = {"_linalg_eigh", "_linalg_svd", "_linalg_check_errors"}
_NO_VALUES = (DataDependentOutputException, DynamicOutputShapeException)
# How `torch.tensor(list, device=...)` is seen: the values come from the CPU.
_UPLOADS = {"lift_fresh", "lift"}
_CHANNELS_LAST = torch.channels_last


def tensors_in(values: Any) -> Iterator[Tensor]:
    """All tensors among arguments or results, in lists too."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from tensors_in(list(values.values()))
    elif isinstance(values, Sequence) and not isinstance(values, str):
        for value in values:
            yield from tensors_in(value)


def _last(values: Any) -> bool:
    return all(t.is_contiguous(memory_format=_CHANNELS_LAST) for t in tensors_in(values))


def _counts(name: str, args: Any, found: Any) -> bool:
    """Whether a call counts, and is not one of those of which versions of torch make more or fewer:
    autograd's own, and slices that are the whole."""
    if name == "slice":
        return bool(found.shape != args[0].shape)
    if name == "slice_backward":
        return [*args[0].shape] != [*args[1]]
    return name != "detach"


class Watch(TorchDispatchMode):
    """Keeps the names of all calls while it is `on`, and what is wrong with them.

    Args:
        device: where all tensors should be.
        holds: whether conditions are taken to hold; else truths are false, and of the places where
            something is to be found one is missing.
    """

    def __init__(self, device: str, holds: bool = True) -> None:
        super().__init__()
        self.device, self.holds, self.on = torch.device(device).type, holds, False
        self.calls: list[str] = []
        self.wrong: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        if func is torch.ops.prim.device.default:  # no call: how torch asks where a tensor lies
            return args[0].device
        if self.on:
            self._check_call(name, args, kwargs)
            self._check_tensors(name, [*tensors_in(args), *tensors_in(kwargs)])
        found = self._laid_out(name, args, self._run(func, args, kwargs))
        if self.on:
            self._check_tensors(name, [*tensors_in(found)])
            if _counts(name, args, found):
                self.calls.append(name)
        return found

    def forget(self) -> None:
        """Begins anew."""
        self.calls.clear()
        self.wrong.clear()

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        try:
            return func(*args, **kwargs)
        except _NO_VALUES:
            if self.on:
                self._say(func.overloadpacket.__name__, "waits for the device")
            instead = self._made_up(func, args[0])
            if instead is None:
                raise
            return instead

    def _made_up(self, func: Any, first: Tensor) -> Any:
        """Something in place of values."""
        if func is torch.ops.aten.nonzero.default:
            count = first.numel() if self.holds else first.numel() - 1
            return first.new_empty((count, first.dim()), dtype=torch.long)
        if func is torch.ops.aten._local_scalar_dense.default:
            if first.dtype == torch.bool:
                return self.holds
            return 1.0 if first.dtype.is_floating_point else 1
        return None

    def _laid_out(self, name: str, args: Any, found: Any) -> Any:
        """What cuDNN gives: channels-last where a convolution's input or kernel is. Of a device
        that it does not know torch says that its convolutions forget it."""
        if name == "convolution" and (_last(args[0]) or _last(args[1])):
            return found.contiguous(memory_format=_CHANNELS_LAST)
        if name == "convolution_backward" and (_last(args[1]) or _last(args[2])):
            first, *others = found
            own = None if first is None else first.contiguous(memory_format=_CHANNELS_LAST)
            return own, *others
        return found

    def _say(self, name: str, what: str) -> None:
        frame: FrameType | None = sys._getframe()
        while frame and "pipeline" not in Path(frame.f_code.co_filename).parts:
            frame = frame.f_back
        where = f" ({frame.f_code.co_filename}:{frame.f_lineno})" if frame else ""
        self.wrong.append(f"{name}: {what}{where}")

    def _check_call(self, name: str, args: Any, kwargs: Any) -> None:
        if name in _WAITS:
            self._say(name, "waits for the device")
        elsewhere = torch.device(kwargs.get("device") or self.device).type != self.device
        if name in _UPLOADS or elsewhere:
            self._say(name, "copies between devices")
        masks = tensors_in(args[1]) if name.startswith(("index", "_index")) else ()
        if any(t.dtype in (torch.bool, torch.uint8) for t in masks):
            self._say(name, "by a mask, waits for the device")
        if name.startswith("convolution"):
            images = args[:2] if name == "convolution_backward" else args[0]
            if not _last(images):
                self._say(name, "of what is not channels-last")

    def _check_tensors(self, name: str, tensors: Sequence[Tensor]) -> None:
        if any(t.device.type != self.device for t in tensors):
            self._say(name, "of a tensor on another device")
        if any(t.dtype == torch.float64 for t in tensors):
            self._say(name, "in float64")
