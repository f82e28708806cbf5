"""The run folder's lock: one process at a time, or shards side by side.

In: a run folder. Out: a block in which nobody else writes there. Must not load torch.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from types import TracebackType

from pipeline.errors import RunFolderError
from pipeline.store.forms import now, to_json
from pipeline.store.headers import Owner
from pipeline.store.run_folder import RunFolder


def is_alive(owner: Owner) -> bool | None:
    """Whether the process that holds a run folder lives; None where that cannot be seen from here,
    on another machine or on Windows."""
    if owner.host != socket.gethostname() or os.name == "nt":
        return None
    try:
        os.kill(owner.pid, 0)
    except PermissionError:  # somebody else's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


class RunLock:
    """Holds a run folder for this process; the system frees it when the process dies.

    A shard holds its own lock, so shards run side by side; a whole run and shards shut each other
    out.

    Attributes:
        taken_over: who held the folder before and died without letting go, or None.

    Raises:
        RunFolderError: another process holds it, or the folder cannot be written.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.taken_over: str | None = None
        # Here alone: whoever only asks who holds a folder needs none, and it takes a while to load.
        from filelock import FileLock

        self._lock = FileLock(self._path)

    @property
    def _path(self) -> Path:
        return self.folder.state / f"run{self.folder.suffix}.lock"

    def _owner(self, suffix: str) -> Path:
        return self.folder.state / f"owner{suffix}.json"

    def __enter__(self) -> RunLock:
        from filelock import Timeout

        suffix = self.folder.suffix
        try:
            self.folder.inside.make_folder(self.folder.state)
            self.folder.inside.writable(self._path)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise self._in_use(suffix) from error
        except OSError as error:
            raise RunFolderError(
                f"{self.folder.path}: cannot be made or written ({error.strerror}); check the path "
                f"and your rights, or choose another `output`"
            ) from error
        try:
            self._check_others()
            if self._owner(suffix).exists():
                self.taken_over = self._describe_owner(suffix)
            owner = Owner(host=socket.gethostname(), pid=os.getpid(), since=now())
            self.folder.inside.write(self._owner(suffix), to_json(owner.plain()))
        except RunFolderError:
            self._lock.release()
            raise
        return self

    def _check_others(self) -> None:
        """A whole run looks for running shards, a shard for a whole run."""
        from filelock import FileLock, Timeout

        pattern = "run.lock" if self.folder.part else "run-*.lock"
        for path in self.folder.inside.files(self.folder.state, pattern):
            other = FileLock(self.folder.inside.writable(path))
            try:
                other.acquire(timeout=0)
            except Timeout as error:
                raise self._in_use(path.stem.removeprefix("run")) from error
            other.release()

    def _in_use(self, suffix: str) -> RunFolderError:
        return RunFolderError(
            f"{self.folder.path}: in use by {self._describe_owner(suffix)}; wait until it ends, "
            f"stop it, or choose another `output`"
        )

    def _describe_owner(self, suffix: str) -> str:
        owner = self.folder.owner(suffix.removeprefix("-"))
        if owner is None:
            return "another process"
        return f"process {owner.pid} on {owner.host} since {owner.since}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):  # a folder that cannot be written any more
            self.folder.inside.remove(self._owner(self.folder.suffix))
        self._lock.release()
