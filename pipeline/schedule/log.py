"""`run.log`: what happened when, for whoever looks in the morning.

In: a run folder. Out: a logger that writes there, or nowhere when the disk is full. Must not load
torch.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
from collections.abc import Iterator

from pipeline.errors import RunFolderError
from pipeline.store import RunFolder
from pipeline.terminal import json_printable, printable


class _Plain(logging.Formatter):
    """Names hold anything; whoever shows the log on a terminal sees it spelled out."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{_time(record)} {record.levelname} {record.getMessage()}"
        first, *more = printable(text).split("\n")
        return "\n    ".join([first, *more])  # none of it looks like an entry of its own


class _Json(logging.Formatter):
    """A JSON object an entry."""

    def format(self, record: logging.LogRecord) -> str:
        said = {"time": _time(record), "level": record.levelname, "message": record.getMessage()}
        return json_printable(json.dumps(said, ensure_ascii=False))


def _time(record: logging.LogRecord) -> str:
    """In UTC, as records have it, to the millisecond."""
    moment = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds")


LOG_FORMATS: dict[str, type[logging.Formatter]] = {"text": _Plain, "json": _Json}


@contextlib.contextmanager
def open_log(store: RunFolder, form: str = "text") -> Iterator[logging.Logger]:
    """The run's log file, with times and levels; later runs of the folder are added to it.

    Args:
        form: one of `LOG_FORMATS`.
    """
    log = logging.Logger(f"nst {store.path}")
    path = store.inside.writable(store.log)
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(LOG_FORMATS[form]())
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk
    log.addHandler(handler)
    try:
        yield log
    finally:
        with contextlib.suppress(OSError):  # a full disk
            handler.close()
        with contextlib.suppress(RunFolderError):
            store.inside.send(store.log)
