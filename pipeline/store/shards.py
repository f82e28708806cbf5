"""Finished jobs as shards, WebDataset's tars or Parquet tables: pictures, records and labels.

In: a run folder and jobs that are done in it. Out: `shards/<split>-<number>.tar`, and beside each
an index of what is in it. A shard is written whole, then renamed, and never changed again; only
then do its loose files go.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.errors import ImageError, RunFolderError
from pipeline.files import cannot_write
from pipeline.json_text import read_json
from pipeline.store.classes import numbered
from pipeline.store.forms import parse, to_json, why_not
from pipeline.store.headers import ShardIndex
from pipeline.store.inside import Inside
from pipeline.store.packing import (
    MOST_BYTES,
    WRITERS,
    Sample,
    records_of_rows,
    records_of_tar,
    samples_of_rows,
    samples_of_tar,
)
from pipeline.store.records import Record
from pipeline.store.run_folder import RunFolder

if TYPE_CHECKING:
    from pipeline.plan import Job, Plan

# The names of classes by number, beside the shards.
CLASSES = "classes.json"


@dataclass(frozen=True)
class _Loose:
    """A finished job as files: its picture's suffix, its class by folder, its content."""

    name: str
    suffix: str
    folder: str
    content: Path


class Shards:
    """The shards of a run, and what is done but in none of them yet.

    A split's jobs go into shards of their own, which its name begins. Folders are classes: a sample
    has its folder's number in `shards/classes.json` as `cls`, or the one that its data set says.

    Args:
        store: the run folder; a part of a run writes shards of its own.
        size: jobs in a shard; 0 keeps loose files, and then nothing here does anything.
        form: one of `WRITERS`.
        classes: all classes, each with the number that its data set has for it, asked for when the
            first shard is written.
    """

    def __init__(
        self,
        store: RunFolder,
        size: int,
        form: str = "webdataset",
        classes: Callable[[], Iterable[tuple[str, int | None]]] = tuple,
    ) -> None:
        self.store, self.size = store, size
        self.folder = store.path / "shards"
        self._suffix, self._write = WRITERS[form if size else "webdataset"]
        self._given = classes
        self._classes: Sequence[str | None] | None = None
        self._held: dict[int, int] = {}  # name -> key of each job in a shard, both shortened
        self._loose: dict[str, list[_Loose]] = {}  # by split
        if size:
            for jobs in jobs_in_shards(store):
                self._hold(jobs)

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
            self.add(job)
        return True

    def add(self, job: Job) -> None:
        """A job is done; full shards are written.

        Raises:
            RunFolderError: no space or no rights, or its labels cannot be read; the loose files
                stay.
        """
        if self.size:
            from pipeline.plan import split_and_class  # here alone: `nst status` plans nothing

            split, folder = split_and_class(job.content)
            waiting = self._loose.setdefault(split, [])
            waiting.append(_Loose(job.name, job.settings.format, folder, job.content.path))
            if len(waiting) >= self.size:
                self.flush(split)

    def flush(self, split: str | None = None) -> None:
        """Writes what waits, of one split or of all, as shards.

        Raises:
            RunFolderError: as `add`.
        """
        for each in [split] if split is not None else sorted(self._loose):
            waiting = self._loose.pop(each, [])
            if waiting:
                try:
                    path, index = self._write_shard(each, waiting)
                except BaseException:
                    self._loose[each] = waiting
                    raise
                self._hold(index.jobs)  # whatever comes now: they are in no other shard, too
                self.store.write(_index_of(path), to_json(index.plain()))
                for loose in waiting:
                    self._remove(loose.name, loose.suffix)

    def _write_shard(self, split: str, waiting: Sequence[_Loose]) -> tuple[Path, ShardIndex]:
        path, classes = self._next_path(split), self._known_classes()
        held: dict[str, str] = {}
        draft = self.store.temporary / path.name
        try:
            self.store.inside.make_folder(path.parent)
            with self.store.inside.writable(draft).open("wb") as file:
                self._write(file, self._samples(split, waiting, held), classes)
                file.flush()
                os.fsync(file.fileno())
            size = draft.stat().st_size
            self.store.inside.replace(draft, path)
        except OSError as error:
            raise cannot_write(path, error) from error
        finally:
            draft.unlink(missing_ok=True)
        return path, ShardIndex(bytes=size, jobs=held)

    def _next_path(self, split: str) -> Path:
        prefix = "".join(f"{word}-" for word in (split, self.store.part) if word)
        there = (path.stem for path in self.store.shard_files())
        taken = [stem.removeprefix(prefix) for stem in there if stem.startswith(prefix)]
        numbers = [int(name) for name in taken if name.isdigit()]
        return self.folder / f"{prefix}{max(numbers, default=-1) + 1:06}{self._suffix}"

    def check_classes(self) -> None:
        """Whether the classes' numbers go with those of earlier shards.

        Raises:
            RunFolderError: they do not.
        """
        if self.size and (kept := self._kept_classes()):
            numbered(self._given(), kept)

    def _kept_classes(self) -> tuple[str | None, ...]:
        """The classes of earlier shards, by number."""
        try:
            read = read_json(self.store.inside.read(self.folder / CLASSES))
            return tuple(None if name is None else str(name) for name in read)
        except (OSError, ValueError, TypeError):
            return ()

    def _known_classes(self) -> Sequence[str | None]:
        """All classes by number; those of earlier shards keep theirs."""
        if self._classes is None:
            kept = self._kept_classes()
            self._classes = numbered(self._given(), kept)
            if self._classes != kept:
                self.store.write(self.folder / CLASSES, to_json(self._classes))
        return self._classes

    def _samples(
        self, split: str, waiting: Iterable[_Loose], held: dict[str, str]
    ) -> Iterator[Sample]:
        from pipeline.pictures import member_others  # here alone: `nst status` needs no pictures

        inside = self.store.inside
        for loose in waiting:
            picture = self.store.images / f"{loose.name}.{loose.suffix}"
            record = self.store.record(loose.name)
            if record is None:
                raise _gone(self.store.record_path(loose.name))
            try:
                others = member_others(loose.content)
            except ImageError as error:
                raise RunFolderError(
                    f"labels of {loose.name} cannot be read any more: {error}"
                ) from error
            try:
                made = inside.read(picture, MOST_BYTES)
            except FileNotFoundError as error:
                raise _gone(picture) from error
            held[loose.name] = record.key
            yield Sample(
                name=loose.name,
                key=sample_key(loose.name),
                suffix=loose.suffix,
                picture=made,
                record=inside.read(self.store.record_path(loose.name), MOST_BYTES),
                split=split,
                folder=loose.folder,
                others=others,
            )

    def _remove(self, name: str, suffix: str) -> None:
        self.store.inside.drop(self.store.record_path(name))
        self.store.inside.drop(self.store.images / f"{name}.{suffix}")

    def end(self) -> None:
        """Writes what waits, and removes the folders that are empty now; no worker runs any more.

        Raises:
            RunFolderError: as `flush`.
        """
        if self.size:
            self.flush()
            self.store.inside.remove_empty(self.store.images)


def shards_of(plan: Plan, store: RunFolder) -> Shards:
    """The shards of a plan's run.

    Raises:
        RunFolderError: a shard is damaged, or its classes have other numbers than the plan's.
    """
    from pipeline.plan import classes_of

    shards = Shards(
        store, plan.shard_size, plan.manifest.form.format, lambda: classes_of(plan.manifest)
    )
    shards.check_classes()
    return shards


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


def _index_of(shard: Path) -> Path:
    return shard.with_suffix(".json")


def jobs_in_shards(store: RunFolder) -> Iterator[dict[str, str]]:
    """Names and keys of the jobs in each shard of a run.

    Raises:
        RunFolderError: as `jobs_in`.
    """
    return store.inside.each(store.shard_files(), partial(jobs_in, store.inside))


def jobs_in(inside: Inside, path: Path) -> dict[str, str]:
    """Names and keys of the jobs in a shard; from the shard itself if its index is not there.

    Raises:
        RunFolderError: damaged, or not inside the folder.
    """
    try:
        index = parse(ShardIndex, inside.read(_index_of(path), MOST_BYTES))
        if inside.size(path) == index.bytes:
            return index.jobs
    except (OSError, ValueError):
        pass  # the run was killed between the two, or it is not ours; the shard itself is whole
    return {record.name: record.key for record in records_in(inside, path)}


def every_record(store: RunFolder) -> Iterator[Record]:
    """All records of a run that can be read, loose or in shards, but those of jobs that its plan
    has no more.

    Raises:
        RunFolderError: a shard is damaged.
    """
    yield from (record for record, _ in placed_records(store))


def placed_records(store: RunFolder) -> Iterator[tuple[Record, Path | None]]:
    """As `every_record`, with the shard that each is in; None of loose ones.

    Raises:
        RunFolderError: a shard is damaged.
    """
    shards = store.shard_files()
    if not shards:
        yield from ((record, None) for record in store.records())
        return
    stale = set(store.stale_names().packed)
    for shard in shards:
        yield from ((r, shard) for r in records_in(store.inside, shard) if r.name not in stale)


def records_in(inside: Inside, path: Path) -> Iterator[Record]:
    """The records in a shard of a run folder.

    Raises:
        RunFolderError: damaged, or not inside the folder.
        MissingPackageError: a Parquet shard, and pyarrow is missing.
    """
    read = records_of_tar if path.suffix == ".tar" else records_of_rows
    with _reading(inside, path) as shard:
        yield from (parse(Record, data) for data in read(shard))


def samples_in(
    inside: Inside, path: Path, places: Sequence[tuple[str, int]]
) -> Iterator[tuple[Record, bytes, bytes]]:
    """Some samples of a shard: record, the same as JSON, picture.

    Args:
        places: of each `sample_key` and its number in the shard, in this order.

    Raises:
        RunFolderError, MissingPackageError: as `records_in`.
    """
    read = samples_of_tar if path.suffix == ".tar" else samples_of_rows
    with _reading(inside, path) as shard:
        for record, picture in read(shard, places):
            yield parse(Record, record), record, picture


@contextlib.contextmanager
def _reading(inside: Inside, path: Path) -> Iterator[BinaryIO]:
    try:
        with inside.open(path) as shard:
            yield shard
    except (tarfile.TarError, OSError, ValueError) as error:
        why = why_not(error) if isinstance(error, ValueError) else error
        raise RunFolderError(
            f"{path}: damaged shard ({why}); delete it, and its jobs are made again"
        ) from error
