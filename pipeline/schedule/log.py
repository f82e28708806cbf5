"""`run.log`: what happened when, for whoever looks in the morning.

In: a run folder. Out: a logger that writes there, or nowhere when the disk is full. Must not load
torch.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from pipeline.store import RunFolder
from pipeline.terminal import printable


class _Plain(logging.Formatter):
    """Names hold anything; whoever shows the log on a terminal sees it spelled out."""

    def format(self, record: logging.LogRecord) -> str:
        first, *more = printable(super().format(record)).split("\n")
        return "\n    ".join([first, *more])  # none of it looks like an entry of its own


@contextlib.contextmanager
def open_log(store: RunFolder) -> Iterator[logging.Logger]:
    """The run's log file, with times and levels; later runs of the folder are added to it."""
    log = logging.Logger(f"nst {store.path}")
    path = store.inside.writable(store.log)
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(message)s"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk
    log.addHandler(handler)
    try:
        yield log
    finally:
        with contextlib.suppress(OSError):  # a full disk
            handler.close()
