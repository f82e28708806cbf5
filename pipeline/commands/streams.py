"""Standard output and error that may go away: a pipe that ends, a full disk, a closed terminal.

In: the process's streams. Out: streams that never raise, and what was lost. Must not load torch.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


class Lenient:
    """A text stream that drops what can no longer be written, and says why in `lost`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.lost: OSError | ValueError | None = None

    def write(self, text: str) -> int:
        """Writes, or drops."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flushes, or drops."""
        self._try(self._stream.flush)

    def _try(self, act: Any) -> None:
        if self.lost is not None:
            return
        try:
            act()
        except (OSError, ValueError) as error:  # the latter of a stream that is closed
            self.lost = error
            with contextlib.suppress(OSError, ValueError):
                # What its buffer holds goes nowhere too, when Python flushes it at the end.
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def make_lenient() -> Lenient:
    """Makes standard output and error lenient; standard output.

    Where one is closed, it leads nowhere: its number would else be the next file's that is opened.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # paths need not be UTF-8
    output: Any = Lenient(sys.stdout)
    errors: Any = Lenient(sys.stderr)
    sys.stdout, sys.stderr = output, errors
    found: Lenient = output
    return found


def lost_answer(output: Lenient) -> str:
    """What to say where a command's answer could not be written; empty if it was, or if whoever
    read it wanted no more."""
    output.flush()
    lost = output.lost
    if lost is None or isinstance(lost, BrokenPipeError):
        return ""
    return f"standard output cannot be written ({getattr(lost, 'strerror', None) or lost})"
