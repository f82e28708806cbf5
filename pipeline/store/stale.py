"""Pictures of a run folder that no job of its plan makes: of renamed inputs, of other settings.

In: a run folder and the names of its jobs. Out: `stale.json`, which lists them and failures of such
jobs; pictures that a job would make anew, under its name. Nothing is deleted. Must not load torch.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from pipeline.address import Address
from pipeline.errors import ImageError
from pipeline.files import cannot_write
from pipeline.pictures import read_text
from pipeline.plan import Job
from pipeline.store.forms import parse, to_json
from pipeline.store.headers import StaleList
from pipeline.store.records import Record
from pipeline.store.run_folder import RunFolder
from pipeline.store.shards import jobs_in_shards

_RECORD = ".json"


class Stale:
    """The stale pictures of one run folder.

    Attributes:
        pictures: their paths below the run folder; those of records that no job has, and those that
            are ours by their own text, of jobs that are written in another format now.
        failures: names of jobs that failed and that the plan has no more.
        packed: names of jobs in shards that the plan has no more.
        moved: how many were taken for a job.
    """

    def __init__(self, store: RunFolder) -> None:
        self.store = store
        self.pictures: dict[str, None] = {}
        self.failures: list[str] = []
        self.packed: list[str] = []
        self.moved = 0
        self._by_key: dict[str, list[str]] = {}

    def look(self, names: Iterable[str], formats: Collection[str], *, loose: bool) -> None:
        """Looks through the folder.

        Args:
            names: of all jobs of the plan, not asked for where nothing was made yet.
            formats: in which they are written.
            loose: whether pictures are files; shards are never changed.
        """
        files = self.store.inside.walk(self.store.images) if loose else iter(())
        first, failed = next(files, None), self.store.failures()
        if first is None and not failed and (loose or not self.store.shard_files()):
            return
        wanted = set(map(hash, names))  # a million names as text would take 100 MB
        self.failures = [name for name in failed if hash(name) not in wanted]
        for jobs in () if loose else jobs_in_shards(self.store):
            self.packed += [name for name in jobs if hash(name) not in wanted]
        others = {".png", ".jpg", ".webp", ".tiff"} - {f".{name}" for name in formats}

        def may_be_stale(below: str) -> bool:
            stem, dot, suffix = below.rpartition(".")
            known = hash(stem) in wanted
            return f"{dot}{suffix}" in others if known else f"{dot}{suffix}" == _RECORD

        found = filter(may_be_stale, itertools.chain([first] if first else [], files))
        for picture, name, key in filter(None, self.store.inside.each(found, self._stale)):
            self.pictures[picture] = None
            if name:
                self._by_key.setdefault(key, []).append(name)

    def _stale(self, below: str) -> tuple[str, str, str] | None:
        """The picture that a file makes known as stale, and of a record the name and the key."""
        stem, dot, suffix = below.rpartition(".")
        if f"{dot}{suffix}" != _RECORD:
            return (f"images/{below}", "", "") if self._is_ours(below) else None
        found = self._record(stem)
        if found is None or not _is_whole(self.store, stem, found):
            return None
        return found.output.path, stem, found.key

    def _record(self, name: str) -> Record | None:
        """A record; None of a dataset's own JSON, which went along."""
        try:
            return parse(Record, self.store.inside.read(self.store.record_path(name)))
        except (OSError, ValueError):
            return None

    def _is_ours(self, below: str) -> bool:
        try:
            return read_text(self.store.picture(f"images/{below}")) is not None
        except ImageError:
            return False

    def has_picture_of(self, job: Job) -> bool:
        """Whether a stale picture is the job's but for its name."""
        return bool(self._by_key.get(job.key))

    def take(self, job: Job) -> bool:
        """Whether a stale picture is the job's but for its name, and has it now.

        Equal keys are equal bytes of all inputs, equal settings and weights: of several any is
        right.

        Raises:
            RunFolderError: no space or no rights.
        """
        names = self._by_key.get(job.key, [])
        record = self._record(names.pop(0)) if names else None
        if record is None or len(record.style.pictures) != len(job.style.parts):
            return False
        before = record.output.path
        moved = _as_job(record, job)
        moved.output.path = f"images/{job.name}.{job.settings.format}"
        try:
            self._move(record, moved)
        except OSError as error:
            raise cannot_write(self.store.path / moved.output.path, error) from error
        self.pictures.pop(before, None)
        self.moved += 1
        return True

    def _move(self, old: Record, new: Record) -> None:
        """The picture first: whenever it ends, no record stands beside a picture not its own."""
        store = self.store
        if animation := _animation(old):
            new.animation = f"animations/{new.name}{PurePosixPath(animation).suffix}"
            store.inside.move(store.path / animation, store.path / new.animation)
        store.inside.move(store.frames / old.name, store.frames / new.name)
        store.inside.remove(store.record_path(new.name))
        store.inside.move(store.path / old.output.path, store.path / new.output.path)
        store.write(store.record_path(new.name), to_json(new.plain()))
        store.inside.remove(store.record_path(old.name))

    def write(self) -> None:
        """Writes the list, or removes it where nothing is stale.

        Raises:
            RunFolderError: no space or no rights.
        """
        path = self.store.stale_list
        if self.pictures or self.failures or self.packed:
            listed = StaleList(
                pictures=list(self.pictures), failures=self.failures, packed=self.packed
            )
            self.store.write(path, to_json(listed.plain()))
            return
        with contextlib.suppress(OSError):
            self.store.inside.remove(path)


def _is_whole(store: RunFolder, name: str, record: Record) -> bool:
    """Whether the picture of a record is there in full length, under the record's own name."""
    below = record.output.path
    try:
        size = store.inside.size(store.path / below)
    except OSError:
        return False
    return below.rpartition(".")[0] == f"images/{name}" and size == record.output.bytes


def _animation(record: Record) -> str:
    """A record's animation, below the run folder; empty where it has none, or names a file that is
    no animation."""
    named = record.animation or ""
    return named if named.startswith("animations/") else ""


def _as_job(record: Record, job: Job) -> Record:
    """A record under the names that a job has for the same."""
    found = record.model_copy(deep=True)
    found.name, found.swept = job.name, dict(job.point)
    found.settings = job.settings.model_dump(mode="json")
    content = job.content
    found.content.path = str(content.path)
    if job.place is None:
        found.content.file = content.below
    if content.mask is not None:
        found.content.mask = str(content.mask)
    if content.keep is not None:
        found.content.keep = str(content.keep)
    found.style.name = job.style.label
    masks = job.style.masks or itertools.repeat(None)
    for part, (path, _), mask in zip(found.style.pictures, job.style.parts, masks):  # noqa: B905
        part.path = str(path)
        if mask is not None:
            part.mask = str(mask)
    if found.clip is not None and job.place is not None:
        found.clip.path, found.clip.video = str(job.place.source), job.place.chain
        found.clip.before = job.before.name if job.before else None
    return found


def put_aside(store: RunFolder) -> list[str]:
    """Moves what is stale into `stale/`, with its records, frames and animations.

    Returns:
        the pictures' paths below the run folder, as they were.

    Raises:
        RunFolderError: no space or no rights.
    """
    there = store.stale()
    for below in there:
        picture = store.path / below
        name = PurePosixPath(below).relative_to("images").with_suffix("").as_posix()
        record = store.record(name)
        owned = record is not None and record.output.path == below
        along = [store.record_path(name), store.frames / name] if owned else []
        if record is not None and owned and (animation := _animation(record)):
            along.append(store.path / animation)
        try:
            for path in (picture, *along):
                aside = store.path / "stale" / path.relative_to(store.path)
                store.inside.move(path, _free(store, aside))
        except OSError as error:
            raise cannot_write(store.path / "stale", error) from error
    store.inside.remove_empty(store.images)
    return there


def _free(store: RunFolder, path: Path) -> Path:
    """The path, or one beside it, where nothing lies yet."""

    def there(place: Path) -> bool:
        return store.inside.is_file(place) if isinstance(place, Address) else place.exists()

    numbered = (path.with_stem(f"{path.stem}~{number}") for number in itertools.count(2))
    return next(place for place in itertools.chain([path], numbered) if not there(place))
