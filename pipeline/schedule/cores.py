"""The machine's cores.

In: nothing but the machine. Out: how many there are to share. Must not load torch.
"""

from __future__ import annotations

import os


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
