"""Signals: the first asks a run to stop in order, the second ends it at once.

In: a function that stops the run. Out: a block in which signals are heard. Must not load torch.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def heard_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, SIGINT and SIGTERM call `stop` with the signal's name; the second one
    raises KeyboardInterrupt."""
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop(signal.Signals(number).name)

    try:
        before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread, as in a notebook's helper thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
