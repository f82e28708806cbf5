"""Memory that a step lets go of and the next one takes again stays with the process.

In: nothing. Out: the C library's allocator is told so, where it is glibc's. A step's tensors are of
the same sizes every time; without this the system takes the large ones back at once and hands them
out page by page again, which costs up to a tenth of a step.
"""

from __future__ import annotations

import ctypes
import sys

# Of glibc's <malloc.h>: from where on memory is asked of the system piece by piece, and how much
# may lie free at the end before it is given back.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE = 2**30
_LARGEST_OF_OLD = 2**25  # earlier versions refuse more


def keep_freed_memory() -> bool:
    """Has this process keep up to 1 GiB that is free; whether its C library can be told so."""
    if sys.platform != "linux":
        return False
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is None:  # another C library
        return False
    told = tell(_MMAP_THRESHOLD, _LARGE) or tell(_MMAP_THRESHOLD, _LARGEST_OF_OLD)
    return bool(told and tell(_TRIM_THRESHOLD, _LARGE))
