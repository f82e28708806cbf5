"""Who holds a remote run folder: no lock of a file system reaches it, so that its holder writes a
sign of life there every few seconds.

In: a remote run folder. Out: whether another process lives there; a sign of life of this one. Of
two that begin within the same second on two machines both may go on, which costs time and spoils
nothing: every file is written whole, and the same job gives the same picture. Must not load torch.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

from pipeline.errors import RunFolderError
from pipeline.store.forms import parse, to_json
from pipeline.store.headers import Owner, is_alive
from pipeline.store.run_folder import RunFolder

BEAT_S = 10.0
# Without a sign of life for so long, a process on another machine is dead.
DEAD_AFTER_S = 3 * BEAT_S


def shut_out(part: str, other: str) -> bool:
    """Whether two parts of a run may have the same jobs, so that only one may run.

    >>> shut_out("1-of-2", "2-of-2"), shut_out("1-of-2", "1-of-3"), shut_out("1-of-2", "")
    (False, True, True)
    >>> shut_out("1-of-2", "1-of-auto"), shut_out("1-of-auto", "2-of-auto")
    (True, False)
    """
    # The lock of a part itself is asked for before.
    return part != other and part.partition("-of-")[2] != other.partition("-of-")[2]


def shard_words(part: str) -> str:
    """What `--shard` was given for a part: `1/2`, `auto`."""
    return "auto" if part.endswith("-of-auto") else part.replace("-of-", "/")


def living_holder(folder: RunFolder) -> tuple[Owner, str] | None:
    """Who holds a remote run folder, or a part of it that shuts this one out, and lives; and which
    part. Whether a process of another machine does is watched for half a minute.

    Raises:
        OSError: the storage cannot be reached.
    """
    for path in folder.inside.files(folder.path / ".nst", "owner*.json"):
        part = path.stem.removeprefix("owner").removeprefix("-")
        if part != folder.part and not shut_out(folder.part, part):
            continue  # another shard's, beside which this one runs
        owner = _read(folder, path)
        if owner is not None and _lives(folder, path, owner):
            return owner, part
    return None


def _read(folder: RunFolder, path: Path) -> Owner | None:
    try:
        return parse(Owner, folder.inside.read(path))
    except (FileNotFoundError, ValueError):
        return None


def _lives(folder: RunFolder, path: Path, owner: Owner) -> bool:
    known = is_alive(owner)
    if known is not None:
        return known
    deadline = time.monotonic() + DEAD_AFTER_S
    while time.monotonic() < deadline:
        time.sleep(BEAT_S / 4)
        now = _read(folder, path)
        if now is None:
            return False
        if now != owner:
            return True
    return False


class Beats:
    """Signs of life of the process that holds a remote run folder.

    Args:
        path: of the note of who holds it.
    """

    def __init__(self, folder: RunFolder, path: Path, owner: Owner) -> None:
        self._folder, self._path, self._owner = folder, path, owner
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        beat = 0
        while not self._ended.wait(BEAT_S):
            beat += 1
            sign = self._owner.model_copy(update={"beat": beat})
            with contextlib.suppress(RunFolderError):  # the next one may get there
                self._folder.inside.write(self._path, to_json(sign.plain()))

    def end(self) -> None:
        """No more of them."""
        self._ended.set()
        self._thread.join()
