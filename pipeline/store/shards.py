"""Finished jobs as WebDataset tar shards: picture and record of one job under one key.

In: a run folder and jobs that are done in it. Out: `shards/<number>.tar`, and beside each an index
of what is in it. A shard is written whole, then renamed, and never changed again; only then do its
loose files go.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.errors import RunFolderError
from pipeline.files import cannot_write
from pipeline.plan import Job
from pipeline.store.forms import parse, to_json, why_not
from pipeline.store.headers import ShardIndex
from pipeline.store.inside import Inside
from pipeline.store.records import Record
from pipeline.store.run_folder import RunFolder

_MOST_BYTES = 2**30  # of a picture, a record or an index


class Shards:
    """The shards of a run, and what is done but in none of them yet.

    Args:
        store: the run folder; a part of a run writes shards of its own.
        size: jobs in a shard; 0 keeps loose files, and then nothing here does anything.
    """

    def __init__(self, store: RunFolder, size: int) -> None:
        self.store, self.size = store, size
        self.folder = store.path / "shards"
        self._held: dict[int, int] = {}  # name -> key of each job in a shard, both shortened
        self._loose: list[tuple[str, str]] = []  # name and suffix of the picture
        if size:
            for path in store.shard_files():
                self._hold(jobs_in(store.inside, path))

    def _hold(self, jobs: Mapping[str, str]) -> None:
        self._held.update((_short_name(name), _short(key)) for name, key in jobs.items())

    def is_done(self, job: Job) -> bool:
        """Whether a job is done, in a shard or as loose files.

        Raises:
            RunFolderError: a shard holds the job as made by other settings.
        """
        if self._holds(job):
            return True
        if self.size and _short_name(job.name) in self._held:
            raise RunFolderError(
                f"{self.folder}: holds {job.name} made of other pictures or settings, and shards "
                f"are never changed; choose another `output`"
            )
        return self.store.is_done(job.name, job.key, job.settings)

    def _holds(self, job: Job) -> bool:
        # By name and key: exact copies of a picture have one key, and each is a sample of its own.
        return bool(self.size) and self._held.get(_short_name(job.name)) == _short(job.key)

    def settle(self, job: Job) -> bool:
        """As `is_done`; loose files then wait for a shard, or go if they are in one already.

        Raises:
            RunFolderError: as `is_done` and `add`.
        """
        if not self.is_done(job):
            return False
        if self._holds(job):
            self._remove(job.name, job.settings.format)  # left by a run that was killed just then
        else:
            self.add(job.name, job.settings.format)
        return True

    def add(self, name: str, suffix: str) -> None:
        """A job is done; full shards are written.

        Raises:
            RunFolderError: no space or no rights; the loose files stay.
        """
        if self.size:
            self._loose.append((name, suffix))
            if len(self._loose) >= self.size:
                self.flush()

    def flush(self) -> None:
        """Writes what waits as a shard.

        Raises:
            RunFolderError: no space or no rights; the loose files stay.
        """
        if not self._loose:
            return
        path = self._next_path()
        held: dict[str, str] = {}
        draft = self.store.temporary / path.name
        try:
            self.store.inside.make_folder(path.parent)
            with self.store.inside.writable(draft).open("wb") as file:
                with tarfile.open(fileobj=file, mode="w") as tar:
                    for name, suffix in self._loose:
                        self._pack(tar, name, suffix, held)
                file.flush()
                os.fsync(file.fileno())
            size = draft.stat().st_size
            self.store.inside.replace(draft, path)
        except OSError as error:
            raise cannot_write(path, error) from error
        finally:
            draft.unlink(missing_ok=True)
        index = ShardIndex(bytes=size, jobs=held)
        self.store.write(path.with_suffix(".json"), to_json(index.plain()))
        for name, suffix in self._loose:
            self._remove(name, suffix)
        self._hold(held)
        self._loose = []

    def _next_path(self) -> Path:
        prefix = f"{self.store.part}-" if self.store.part else ""
        there = (path.stem for path in self.store.shard_files())
        taken = [stem.removeprefix(prefix) for stem in there if stem.startswith(prefix)]
        numbers = [int(name) for name in taken if name.isdigit()]
        return self.folder / f"{prefix}{max(numbers, default=-1) + 1:06}.tar"

    def _pack(self, tar: tarfile.TarFile, name: str, suffix: str, held: dict[str, str]) -> None:
        picture = self.store.images / f"{name}.{suffix}"
        record = self.store.record(name)
        if record is None:
            raise _gone(self.store.record_path(name))
        key = sample_key(name)
        for kind, path in ((suffix, picture), ("json", self.store.record_path(name))):
            try:
                data = self.store.inside.read(path, _MOST_BYTES)
            except FileNotFoundError as error:
                raise _gone(path) from error
            info = tarfile.TarInfo(f"{key}.{kind}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        held[name] = record.key

    def _remove(self, name: str, suffix: str) -> None:
        self.store.inside.remove(self.store.record_path(name))
        self.store.inside.remove(self.store.images / f"{name}.{suffix}")

    def end(self) -> None:
        """Writes what waits, and removes the folders that are empty now; no worker runs any more.

        Raises:
            RunFolderError: as `flush`.
        """
        if self.size:
            self.flush()
            self.store.inside.remove_empty(self.store.images)


def _gone(path: Path) -> RunFolderError:
    return RunFolderError(f"{path}: is gone; was it deleted while the run went on?")


def sample_key(name: str) -> str:
    """A job's key in a shard. WebDataset ends keys at the first dot of the file's name, so there is
    none; `~` stands for it, and where there is a `~` already a hash keeps keys apart.

    >>> sample_key("town/a.jpg__wave"), sample_key("town/a~1.jpg__wave")
    ('town/a~jpg__wave', 'town/a~1~jpg__wave-acd18b02f0c81b90')
    """
    folder, slash, last = name.rpartition("/")
    mark = f"-{_short_name(name):016x}" if "~" in last and "." in last else ""
    return f"{folder}{slash}{last.replace('.', '~')}{mark}"


def _short(key: str) -> int:
    return int(key[:16], 16)


def _short_name(name: str) -> int:
    return _short(hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest())


def jobs_in(inside: Inside, path: Path) -> dict[str, str]:
    """Names and keys of the jobs in a shard; from the shard itself if its index is not there.

    Raises:
        RunFolderError: damaged, or not inside the folder.
    """
    try:
        index = parse(ShardIndex, inside.read(path.with_suffix(".json"), _MOST_BYTES))
        if inside.size(path) == index.bytes:
            return index.jobs
    except (OSError, ValueError):
        pass  # the run was killed between the two, or it is not ours; the shard itself is whole
    return {record.name: record.key for record in records_in(inside, path)}


def every_record(store: RunFolder) -> Iterator[Record]:
    """All records of a run that can be read, loose or in shards.

    Raises:
        RunFolderError: a shard is damaged.
    """
    shards = store.shard_files()
    if not shards:
        yield from store.records()
    for shard in shards:
        yield from records_in(store.inside, shard)


def records_in(inside: Inside, path: Path) -> Iterator[Record]:
    """The records in a shard of a run folder.

    Raises:
        RunFolderError: damaged, or not inside the folder.
    """
    try:
        with inside.open(path) as shard, tarfile.open(fileobj=shard, mode="r:") as tar:
            for member in tar:
                wanted = member.isreg() and member.name.endswith(".json")
                file = tar.extractfile(member) if wanted and member.size < _MOST_BYTES else None
                if file is not None:
                    yield parse(Record, file.read())
    except (tarfile.TarError, OSError, ValueError) as error:
        why = why_not(error) if isinstance(error, ValueError) else error
        raise RunFolderError(
            f"{path}: damaged shard ({why}); delete it, and its jobs are made again"
        ) from error
