"""Signals: the first asks a run to stop in order, the second ends it at once. And the time to stop.

In: a function that stops the run. Out: a block in which signals are heard. Must not load torch.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

_HANGUP = getattr(signal, "SIGHUP", None)


def _signals() -> list[int]:
    """Those that ask this process to end, as far as its system has them."""
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


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
    """While the block runs, SIGINT, SIGTERM, SIGHUP (of a terminal that closes) and SIGBREAK (of
    Windows) call `stop` with the signal's name; the second one raises KeyboardInterrupt."""
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == _HANGUP:
            return  # of one terminal that closes the shell and the system may each tell
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop(signal.Signals(number).name)

    # What was begun with `nohup` ignores SIGHUP, and is to go on doing so.
    chosen = [s for s in _signals() if signal.getsignal(s) != signal.SIG_IGN or s != _HANGUP]
    try:
        before = {s: signal.signal(s, handle) for s in chosen}
    except ValueError:  # not the main thread, as in a notebook's helper thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
