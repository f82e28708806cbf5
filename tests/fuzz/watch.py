"""What hostile input must not do, watched: other errors, time, memory, processes, files elsewhere.

In: a callable. Out: what it did that it must not, as words; empty where all is right.
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import NstError

LONGEST_S = 5.0
LARGEST_BYTES = 1e9
_STARTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec")
_started: list[str] = []


class _TooLongError(BaseException):
    """Not to be caught by anything but the watch."""


def _note_processes(event: str, _: object) -> None:
    if event in _STARTS:
        _started.append(event)


sys.addaudithook(_note_processes)


def watch(attempt: Callable[[], object], *, longest_s: float = LONGEST_S) -> str:
    """What an attempt did that it must not; its own errors, those of `pipeline.errors`, it may."""
    _started.clear()
    most, began, found = _most_bytes(), time.monotonic(), ""
    try:
        with _deadline(longest_s):
            attempt()
    except NstError:
        pass
    except _TooLongError:
        found = f"over {longest_s:g} s"
    except SystemExit as error:
        found = f"exit with {error.code!r}"
    except Exception as error:  # noqa: BLE001 - to be told, with the place it came from
        found = f"{type(error).__name__}: {str(error)[:80]!r}{_place(error)}"
    if not found and time.monotonic() - began > longest_s:
        found = f"over {longest_s:g} s"
    if not found and _most_bytes() - most > LARGEST_BYTES:
        found = "over 1 GB"
    return found or ("started " + ", ".join(sorted(set(_started))) if _started else "")


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _most_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _place(error: BaseException) -> str:
    """The last line of ours that it went through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "pipeline" in f.filename]
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file, folder and link below a folder, with what it holds."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root) / name
            below = str(path.relative_to(folder))
            if path.is_symlink():
                found[below] = f"link to {path.readlink()}"
            elif path.is_file():
                found[below] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[below] = "folder" if path.is_dir() else "special"
    return found
