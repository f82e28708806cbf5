"""Signals that ask this process to end, and what is said of it while no run hears them yet.

In: a block. Out: the same block, in which signals are heard. Loads next to nothing, so that it can
stand before everything that takes a while.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

from pipeline.terminal import say

HANGUP = getattr(signal, "SIGHUP", None)
_STOPPED = 130
# By command: of those that are stopped before they have begun to make anything.
_SAID = {
    "batch": "stopped before the first batch; the same command goes on",
    "run": "stopped before the first step; nothing was written",
    "again": "stopped before the first step; nothing was written",
}


class Interrupted(BaseException):
    """A signal asked the process to end; says what became of its work. As `KeyboardInterrupt` it
    is no `Exception`, and command line libraries do not take it for their own."""


@contextlib.contextmanager
def heard(handle: Callable[[int], None]) -> Iterator[None]:
    """While the block runs, SIGINT, SIGTERM, SIGHUP (of a terminal that closes) and SIGBREAK (of
    Windows) call `handle` with their number; not outside the main thread."""
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # What was begun with `nohup` ignores SIGHUP, and is to go on doing so.
    chosen = [n for n in numbers if signal.getsignal(n) != signal.SIG_IGN or n != HANGUP]

    def take(number: int, frame: FrameType | None) -> None:
        handle(number)

    before: dict[int, Any] = {}
    with contextlib.suppress(ValueError):  # not the main thread, as in a notebook's helper thread
        before = {number: signal.signal(number, take) for number in chosen}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interrupted_saying(words: str) -> Iterator[None]:
    """While the block runs, a signal raises `Interrupted`, which says these words."""

    def handle(number: int) -> None:
        raise Interrupted(words)

    with heard(handle):
        yield


@contextlib.contextmanager
def ending_in_words(command: Sequence[str]) -> Iterator[None]:
    """A command's whole life: where a signal ends it, it says so and exits with 130.

    Args:
        command: its words, without the program's name.
    """
    words = _SAID.get(command[0], "") if command else ""
    try:
        with interrupted_saying(words) if words else contextlib.nullcontext():
            yield
    except Interrupted as stopped:
        say(stopped, file=sys.stderr)
        sys.exit(_STOPPED)
    except KeyboardInterrupt:
        sys.exit(_STOPPED)
