"""The run folder's lock: one process at a time, or shards side by side.

In: a run folder. Out: a block in which nobody else writes there. Must not load torch.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from types import TracebackType

from pipeline.address import Address
from pipeline.errors import RunFolderError
from pipeline.store.forms import now, to_json
from pipeline.store.headers import Owner
from pipeline.store.holder import Beats, living_holder, shard_words, shut_out
from pipeline.store.run_folder import RunFolder

# For a lock that another process may hold for a moment, as it looks itself.
_LOOK_S = 0.5


class RunLock:
    """Holds a run folder for this process; the system frees it when the process dies. Of a remote
    one it does so for this machine alone, and others go by signs of life; see `holder.py`.

    A shard holds its own lock, so shards of one division run side by side; those of another, such
    as 1/2 beside 1/3 or auto, and a whole run shut each other out, since they share jobs.

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
        self._beats: Beats | None = None

    @property
    def _path(self) -> Path:
        return self.folder.state / f"run{self.folder.suffix}.lock"

    def _owner(self, suffix: str) -> Path:
        return self.folder.path / ".nst" / f"owner{suffix}.json"

    def __enter__(self) -> RunLock:
        from filelock import Timeout

        suffix = self.folder.suffix
        try:
            self.folder.inside.make_folder(self.folder.state)
            self.folder.inside.writable(self._path)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise self._in_use(self._describe_owner(suffix)) from error
        except OSError as error:
            raise RunFolderError(
                f"{self.folder.path}: cannot be made or written ({error.strerror}); check the path "
                f"and your rights, or choose another `output`"
            ) from error
        try:
            self._check_others()
            self._take()
        except RunFolderError:
            self._lock.release()
            raise
        return self

    def _take(self) -> None:
        """Notes in the folder who holds it."""
        remote, path = isinstance(self.folder.path, Address), self._owner(self.folder.suffix)
        try:
            if remote and (held := living_holder(self.folder)):
                raise self._in_use(_described(*held))
        except OSError as error:
            raise RunFolderError(f"{self.folder.path}: {error.strerror}") from error
        if self.folder.inside.is_file(path):
            self.taken_over = self._describe_owner(self.folder.suffix)
        owner = Owner(host=socket.gethostname(), pid=os.getpid(), since=now())
        self.folder.inside.write(path, to_json(owner.plain()))
        self._beats = Beats(self.folder, path, owner) if remote else None

    def _check_others(self) -> None:
        """Looks for a run, or shards, that have jobs of this one."""
        from filelock import FileLock, Timeout

        for path in self.folder.inside.files(self.folder.state, "run*.lock"):
            if not shut_out(self.folder.part, path.stem.removeprefix("run").removeprefix("-")):
                continue
            other = FileLock(self.folder.inside.writable(path))
            try:
                other.acquire(timeout=_LOOK_S)
            except Timeout as error:
                raise self._in_use(self._describe_owner(path.stem.removeprefix("run"))) from error
            other.release()

    def _in_use(self, holder: str) -> RunFolderError:
        return RunFolderError(
            f"{self.folder.path}: in use by {holder}; wait until it ends, "
            f"stop it, or choose another `output`"
        )

    def _describe_owner(self, suffix: str) -> str:
        part = suffix.removeprefix("-")
        return _described(self.folder.owner(part), part)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._beats is not None:
            self._beats.end()
        with contextlib.suppress(OSError):  # a folder that cannot be written any more
            self.folder.inside.remove(self._owner(self.folder.suffix))
        self._lock.release()


def _described(owner: Owner | None, part: str) -> str:
    who = "another process"
    if owner is not None:
        who = f"process {owner.pid} on {owner.host} since {owner.since}"
    return f"{who} with --shard {shard_words(part)}" if part else who
