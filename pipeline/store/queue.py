"""A run's jobs shared out among processes as they come to them: `--shard auto`.

In: jobs that a process is about to run. Out: those that are its own to run. Claims lie in the run
folder, under a lock of the file system; those of a process that died are void. Must not load torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import RunFolderError
from pipeline.files import cannot_write
from pipeline.plan import Job
from pipeline.store.run_folder import RunFolder

_LOOKED_S = 2.0  # between two looks at what others have claimed
_BYTES = 8  # of a claim
_WAIT_S = 60.0  # for the lock, which is held for moments
_PART = re.compile(r"(\d+-of-auto)\.claims")


def open_again(store: RunFolder, job: Job) -> bool:
    """Removes the record of a job that is done, so that it is made again; its picture stays until
    then. Whether it was done.

    Raises:
        RunFolderError: the record cannot be removed.
    """
    if not store.is_done(job.name, job.key, job.settings):
        return False
    store.inside.drop(store.record_path(job.name))
    return True


def _folder(store: RunFolder) -> Path:
    return store.state / "queue"


@contextlib.contextmanager
def joining(store: RunFolder) -> Iterator[str]:
    """The name of a new part of a run that shares its jobs, which is to be locked in the block.

    Where no other part runs, what parts of before had claimed is forgotten.

    Args:
        store: the run folder.

    Raises:
        RunFolderError: it cannot be written, or its disk has no locks that hold.
    """
    folder = _folder(store)
    try:
        store.inside.make_folder(folder)
        lock = FileLock(store.inside.writable(folder / "lock"))
        with lock.acquire(timeout=_WAIT_S):
            _check_locks(lock)
            parts = [found[1] for path in folder.iterdir() if (found := _PART.match(path.name))]
            if not any(_runs(store, part) for part in parts):
                for path in folder.iterdir():
                    if path.name != "lock":
                        store.inside.remove(path)
                for path in store.inside.files(store.path, "run-*-of-auto.json"):
                    store.inside.remove(path)
                parts = []
            number = 1 + max((int(part.partition("-")[0]) for part in parts), default=0)
            store.inside.write(folder / f"{number}-of-auto.claims", b"")
            yield f"{number}-of-auto"
    except Timeout as error:
        raise _held_too_long(folder) from error
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise cannot_write(folder, error) from error
        raise _no_locks(store) from error


def _check_locks(lock: FileLock) -> None:
    """Whether a lock that is held keeps others out, as on NFS without locking it does not."""
    other = FileLock(lock.lock_file, is_singleton=False)
    try:
        other.acquire(timeout=0)
    except Timeout:
        return
    other.release()
    raise NotImplementedError


def _held_too_long(folder: Path) -> RunFolderError:
    return RunFolderError(
        f"{folder / 'lock'}: held by another process for {_WAIT_S:.0f} s; end the one that hangs"
    )


def _no_locks(store: RunFolder) -> RunFolderError:
    return RunFolderError(
        f"{store.path}: --shard auto needs a local or a shared disk whose locks hold; here use "
        f"--shard 1/n to n/n"
    )


def _runs(store: RunFolder, part: str) -> bool:
    """Whether a process holds this part."""
    path = store.state / f"run-{part}.lock"
    if not path.exists():
        return False
    lock = FileLock(store.inside.writable(path), is_singleton=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


class Queue:
    """What one part of a run may run of its jobs.

    A part that waits, with all of its own jobs ended, says so by a file: what it claimed is then
    done or has failed, also after its end.
    """

    def __init__(self, store: RunFolder) -> None:
        self.store, self.folder = store, _folder(store)
        self._own: set[bytes] = set()
        self._claims: dict[str, set[bytes]] = {}  # of every other part
        self._offsets: dict[str, int] = {}
        self._void: set[str] = set()  # parts that died over their jobs
        self._taken_over: set[str] = set()
        self._busy = False  # whether any other part is at work
        self._looked = -_LOOKED_S

    def takes(self, job: Job) -> bool:
        """Whether nobody else has claimed a job, as far as is known by now."""
        self._look()
        return not self._claimed(_short(job))

    def _claimed(self, claim: bytes) -> bool:
        return any(
            claim in claims for part, claims in self._claims.items() if part not in self._void
        )

    def claim(self, jobs: Sequence[Job]) -> tuple[Job, ...]:
        """Those of some jobs that are neither done nor claimed; nobody else gets them.

        Raises:
            RunFolderError: the claims cannot be written, or another process holds their lock.
        """
        with self._locked():
            self._read()
            mine = tuple(job for job in jobs if self._is_free(job))
            path = self.folder / f"{self.store.part}.claims"
            with self.store.inside.writable(path).open("ab") as file:
                file.write(b"".join(_short(job) for job in mine))
            self._own.update(map(_short, mine))
        return mine

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The queue's lock: also looking needs it, since it tries the locks of other parts."""
        try:
            with FileLock(self.folder / "lock").acquire(timeout=_WAIT_S):
                yield
        except Timeout as error:
            raise _held_too_long(self.folder) from error
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def take_back(self, jobs: Sequence[Job]) -> int:
        """Removes the records of those of some jobs that are done and that no part of this run has
        claimed: what was claimed is made anew already. How many.

        Raises:
            RunFolderError: a record cannot be removed, or another process holds the lock.
        """
        with self._locked():
            self._read()
            claimed = set().union(self._own, *self._claims.values())  # also a dead part's
            return sum(_short(job) not in claimed and open_again(self.store, job) for job in jobs)

    def owns(self, job: Job) -> bool:
        """Whether this part has claimed a job."""
        return _short(job) in self._own

    def _is_free(self, job: Job) -> bool:
        claim = _short(job)
        if claim in self._own:
            return True
        return not self._claimed(claim) and not self.store.is_done(job.name, job.key, job.settings)

    def _look(self) -> None:
        """Reads what others have claimed, if the last look was some time ago."""
        if time.monotonic() - self._looked >= _LOOKED_S:
            with self._locked():
                self._read()

    def _read(self) -> None:
        self._looked, self._busy = time.monotonic(), False
        for path in self.folder.iterdir():
            found = _PART.match(path.name)
            if not found or found[1] == self.store.part:
                continue
            part, claims = found[1], self._claims.setdefault(found[1], set())
            waits = self._idle_file(part).exists()
            if not waits and _runs(self.store, part):
                self._busy = True
                self._void.discard(part)
            elif not waits:
                self._void.add(part)
            with path.open("rb") as file:
                file.seek(self._offsets.get(part, 0))
                data = file.read()
            whole = len(data) - len(data) % _BYTES
            claims.update(data[at : at + _BYTES] for at in range(0, whole, _BYTES))
            self._offsets[part] = self._offsets.get(part, 0) + whole

    def _idle_file(self, part: str) -> Path:
        return self.folder / f"{part}.idle"

    def wait(self, asked: Callable[[], bool], pause_s: float = _LOOKED_S) -> bool:
        """Waits while others are at work; whether one died over jobs that are to be taken over.

        Args:
            asked: whether the run is to end.

        Raises:
            RunFolderError: the folder cannot be written any more.
        """
        own = self._idle_file(self.store.part)
        self.store.inside.write(own, b"")
        while not asked():
            with self._locked():
                self._read()
            if new := self._void - self._taken_over:
                self._taken_over |= new
                self.store.inside.drop(own)
                return True
            if not self._busy:
                return False
            time.sleep(pause_s)
        return False


def _short(job: Job) -> bytes:
    return hashlib.sha256(job.name.encode(errors="surrogatepass")).digest()[:_BYTES]
