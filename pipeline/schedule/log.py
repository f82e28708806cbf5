"""`run.log`: what happened when, for whoever looks in the morning.

In: a run folder. Out: a logger that writes there, or nowhere when the disk is full. Must not load
torch.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import logging
import sys
from collections.abc import Iterator

from pipeline.errors import RunFolderError
from pipeline.files import cannot_write
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
def open_log(
    store: RunFolder, form: str = "text", also: str | None = None
) -> Iterator[logging.Logger]:
    """The run's log file, with times and levels; later runs of the folder are added to it. A log of
    the other form is put aside first, so that a file is of one form.

    Args:
        form: one of `LOG_FORMATS`.
        also: where the same entries go beside: a file, to which they are added, or `-` for standard
            error.

    Raises:
        RunFolderError: the file beside cannot be written, or the log not be put aside.
    """
    log = logging.Logger(f"nst {store.path}")
    try:
        _put_other_form_aside(store, form)
    except OSError as error:
        raise cannot_write(store.log, error) from error
    path = store.inside.writable(store.log)
    handlers: list[logging.Handler] = []
    if also is not None:
        handlers.append(_beside(also))
    handlers.append(logging.FileHandler(path, encoding="utf-8", errors="backslashreplace"))
    for handler in handlers:
        handler.setFormatter(LOG_FORMATS[form]())
        handler.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk
        log.addHandler(handler)
    try:
        yield log
    finally:
        for handler in handlers:
            with contextlib.suppress(OSError):  # a full disk
                handler.close()
        with contextlib.suppress(RunFolderError):
            store.inside.send(store.log)


def _beside(also: str) -> logging.Handler:
    if also == "-":
        return logging.StreamHandler(sys.stderr)
    try:
        return logging.FileHandler(also, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise RunFolderError(
            f"--log {also}: cannot be written ({error.strerror}); name another file, or - for "
            f"standard error (it may come from NST_LOG)"
        ) from error


def _put_other_form_aside(store: RunFolder, form: str) -> None:
    """Moves a log of the other form to `run.1.log`, or the next number that is free."""
    if not store.inside.is_file(store.log) or not store.inside.size(store.log):
        return
    with store.inside.open(store.log) as file:
        found = "json" if file.read(1) == b"{" else "text"
    if found == form:
        return
    names = (store.log.with_name(f"{store.log.stem}.{n}.log") for n in itertools.count(1))
    store.inside.move(store.log, next(path for path in names if not store.inside.is_file(path)))
