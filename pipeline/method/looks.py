"""What is done now and then within long computations, such as to look for a stop.

In: a function. Out: the same, called between the parts of what takes long. Knows of no torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_looks: ContextVar[Callable[[], None] | None] = ContextVar("looks", default=None)


@contextlib.contextmanager
def looking(look: Callable[[], None]) -> Iterator[None]:
    """Within, a function is called after each convolution of a CPU's pass, forward and backward,
    and each block of nearest neighbors. What it raises ends the computation, of which nothing is
    left."""
    before = _looks.set(look)
    try:
        yield
    finally:
        _looks.reset(before)


def look() -> None:
    """Called by what takes long, between its parts."""
    found = _looks.get()
    if found is not None:
        found()
