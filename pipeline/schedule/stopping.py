"""Signals: the first asks a run to stop in order, the second ends it at once. And the time to stop.

In: a function that stops the run. Out: a block in which signals are heard. Must not load torch.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

from pipeline.interrupts import HANGUP, heard


@contextlib.contextmanager
def stops_at(moment: float | None, stop: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, `stop` is called when that time has come, by `time.monotonic`."""
    if moment is None:
        yield
        return
    timer = threading.Timer(max(0.0, moment - time.monotonic()), stop, ["the time is up"])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def heard_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, the first of the signals that `heard` knows calls `stop` with its name;
    the second one raises KeyboardInterrupt."""
    asked = False

    def handle(number: int) -> None:
        nonlocal asked
        if asked and number == HANGUP:
            return  # of one terminal that closes the shell and the system may each tell
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop(signal.Signals(number).name)

    with heard(handle):
        yield
