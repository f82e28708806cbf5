"""A device that is not there, whose tensors have shapes, types and layouts, and no values.

It is torch's `PrivateUse1`, registered from Python, under `FakeTensorMode`: each operator, backward
too, gives what it would give there, and refuses tensors of two devices. It is not the CPU, so what
is written for GPUs runs on it as on one; and what would wait for a GPU's values cannot be had.

Registering is for a process and for good: torch then takes the device for the machine's own, also
where there is a GPU, and caches here and there keep tensors of it. So all of this happens in a
process of its own.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import get_context
from typing import Any, TypeVar

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Module
from torch.utils import backend_registration

NAME = "pretend"
Found = TypeVar("Found")
Network = TypeVar("Network", bound=Module)


@lru_cache
def registered() -> str:
    """The device's name, after it was registered in this process.

    Older versions of torch, such as 2.6, take what backward asks a device for (streams, hooks) from
    C++ alone. Of their own devices `lazy` is then nearest: it has these, and no operators.
    """
    register = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
    if register is None:
        return "lazy:0"
    register(NAME)
    return f"{NAME}:0"


class _NoMemory(FakeTensorMode):
    # So that `torch.tensor(..., device=...)` is made on the CPU and moved, as on a GPU.
    avoid_device_init = True


@lru_cache
def _mode() -> FakeTensorMode:
    """One for a process: tensors of two modes do not mix, and the method keeps some in caches.
    Those with values, which were there before, lose them where they come in."""
    return _NoMemory(allow_non_fake_inputs=True)


@contextmanager
def fake_device() -> Iterator[str]:
    """Within it tensors are without values, wherever they are; gives the device's name."""
    device = registered()
    # Else a device has a thread of its own for backward, which began without it.
    with torch.autograd.set_multithreading_enabled(False), _mode():
        yield device


def without_values(network: Network) -> Network:
    """A network whose tensors are those of `fake_device`, as yet on the CPU. With values torch
    2.6 would have the device itself copy them, which has no operators."""
    return network._apply(_mode().from_tensor)


@lru_cache
def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, get_context("spawn"))


def aside(function: Callable[..., Found], *args: Any) -> Found:
    """What a function of a module gives in the process that has the device."""
    return _process().submit(function, *args).result()
