"""Pixels that are the same every time, where a device's operations add up in any order.

In: whether that is wanted. Out: a context, in which torch takes deterministic algorithms alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.errors import DeviceError
from pipeline.slot.visible import CUBLAS, CUBLAS_ORDERED

# In torch's words; the operation stands first.
_REFUSED = re.compile(r"(\S+) does not have a deterministic implementation")


@contextmanager
def deterministic(wanted: bool, device: str) -> Iterator[None]:
    """Has torch take deterministic algorithms alone within it, if `wanted`.

    Raises:
        DeviceError: an operation that has no such form on the device.
    """
    if not wanted:
        yield
        return
    # Our workers begin with it; an engine's, or a run within one process, may still be in time.
    os.environ.setdefault(CUBLAS, CUBLAS_ORDERED)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    except RuntimeError as error:
        refused = _REFUSED.search(str(error))
        if refused is None:
            raise
        raise DeviceError(
            f"--deterministic: {refused[1]} has no deterministic form on {device}; leave the "
            f"option out, or what needs it (on a GPU pooling max, style_loss sliced_wasserstein)"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before)
