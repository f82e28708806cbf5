"""The machine's cores: those that this process may use, and those near a GPU.

In: nothing but the machine. Out: numbers of cores. Must not load torch.
"""

from __future__ import annotations

import os
from pathlib import Path

_PCI = Path("/sys/bus/pci/devices")


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_near(address: str) -> None:
    """Keeps this thread, and those that it begins, to the cores on a device's side of the machine;
    they stay as they are where the system does not say, or gives this process none of those.

    Args:
        address: on the PCI bus, such as `0000:3b:00.0`.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    try:
        said = (_PCI / address / "local_cpulist").read_text()
    except OSError:
        return
    near = _numbers(said) & os.sched_getaffinity(0)
    if near:
        os.sched_setaffinity(0, near)


def _numbers(text: str) -> set[int]:
    """A list of cores in the kernel's words.

    >>> sorted(_numbers("0-2,8,10-11"))
    [0, 1, 2, 8, 10, 11]
    """
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found
