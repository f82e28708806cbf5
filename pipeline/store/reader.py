"""What a run folder says: records, failures, the plan's header, summaries.

In: a run folder of this version or an older one, perhaps damaged, perhaps from someone else. Out:
typed values; what cannot be read is noted and left out. Must not load torch.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ImageError, RunFolderError
from pipeline.files import cannot_write
from pipeline.store.forms import parse, why_not
from pipeline.store.headers import Owner, PlanHeader, StaleList
from pipeline.store.inside import Inside
from pipeline.store.records import Failure, Record, Summary

_LONGEST_LINE = 2**20
_RUN = re.compile(r"run(?:-\d+-of-(?:\d+|auto))?\.json")


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be read: its path below the run folder, and why."""

    path: str
    why: str


class RunReader:
    """The reader of one run folder, for every command. All that it opens lies inside.

    Attributes:
        inside: its files.
        unread: files that were found and could not be read, by path below the folder, and why.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.images = path, path / "images"
        self.stale_list = path / "stale.json"
        self.inside = Inside(path)
        self.unread: dict[str, str] = {}

    def record_path(self, name: str) -> Path:
        """Where a job's record lies."""
        return self.images / f"{name}.json"

    def record(self, name: str) -> Record | None:
        """A job's record, or None if it is not there or cannot be read."""
        found = self._read_record(self.record_path(name))
        return found if isinstance(found, Record) else None

    def check_loose(self) -> None:
        """Whether pictures lie here as files.

        Raises:
            RunFolderError: they are in tar shards.
        """
        if self.shard_files():
            raise RunFolderError(
                f"{self.path}: its pictures are in shards, which this cannot look into; run a "
                f"part of the manifest with `format: files` for that"
            )

    def check_inside(self) -> None:
        """Whether the pictures lie inside the folder.

        Raises:
            RunFolderError: a link leads out of it.
        """
        try:
            self.inside.check(self.images)
        except OSError as error:
            raise cannot_write(self.images, error) from error

    def shard_files(self) -> list[Path]:
        """Its shards, tars and Parquet tables.

        Raises:
            RunFolderError: a link leads out of the folder.
        """
        try:
            found = self.inside.files(self.path / "shards", "*")
            return [path for path in found if path.suffix in (".tar", ".parquet")]
        except OSError as error:
            raise cannot_write(self.path / "shards", error) from error

    def all_records(self) -> Iterator[Record | Unreadable]:
        """All records in the folder, in the order of their paths, also those that are damaged.

        Raises:
            RunFolderError: they are in tar shards.
        """
        self.check_loose()
        self.check_inside()
        yield from self.inside.each(self._files(self.images, "**/*.json"), self._read_record)

    def records(self) -> Iterator[Record]:
        """All records that can be read, but those of stale pictures.

        Raises:
            RunFolderError: they are in tar shards.
        """
        stale = set(self.stale())
        found = (found for found in self.all_records() if isinstance(found, Record))
        return (record for record in found if record.output.path not in stale)

    def stale(self) -> list[str]:
        """Pictures, below the folder, that no job of the last plan makes and that are there."""
        listed = self.stale_names().pictures
        return [below for below in listed if self.inside.is_file(self.path / below)]

    def stale_names(self) -> StaleList:
        """What the last run found that its plan has no more; nothing if that cannot be read."""
        try:
            return parse(StaleList, self.inside.read(self.stale_list))
        except (OSError, ValueError):
            return StaleList(pictures=[])

    def owner(self, part: str = "") -> Owner | None:
        """Who holds the folder, or a shard of it, or died without letting go; None for nobody."""
        suffix = f"-{part}" if part else ""
        try:
            return parse(Owner, self.inside.read(self.path / ".nst" / f"owner{suffix}.json"))
        except (OSError, ValueError):
            return None

    def failures(self) -> dict[str, Failure]:
        """The last failure of each job that ever failed here, by the job's name."""
        last: dict[str, Failure] = {}
        for path in self._files(self.path, "failures*.jsonl"):
            for line in self._lines(path):
                with contextlib.suppress(ValueError):  # a line cut short by a full disk
                    failure = parse(Failure, line)
                    last[failure.name] = failure
        return last

    def _lines(self, path: Path) -> Iterator[bytes]:
        """A file's lines, however many; what of one is longer than any of ours is another line."""
        try:
            with self.inside.open(path) as file:
                while line := file.readline(_LONGEST_LINE):
                    yield line
        except OSError as error:
            self.note_unread(path, str(error.strerror))

    def header(self) -> PlanHeader | None:
        """What `plan.json` says, or None if it is not there or cannot be read."""
        try:
            return parse(PlanHeader, self.inside.read(self.path / "plan.json"))
        except (OSError, ValueError):
            return None  # readers then go by the records

    def summaries(self) -> dict[str, Summary]:
        """What `run.json` and those of all shards say, by the shard's name ('' for a whole run)."""
        found = {}
        for path in self._files(self.path, "run*.json"):
            if _RUN.fullmatch(path.name) is None:
                continue
            try:
                part = path.stem.removeprefix("run").lstrip("-")
                found[part] = parse(Summary, self._read(path))
            except ValueError as error:  # not ours: we write whole files only
                self.note_unread(path, why_not(error))
        return found

    def left_out(self) -> list[str]:
        """What could not be read so far, each with the reason."""
        return [f"{path}: {why}" for path, why in self.unread.items()]

    def picture(self, below: str) -> Path:
        """Where a picture lies that a record names by its path below the run folder.

        Raises:
            ImageError: it is not one of this folder.
        """
        path = self.path / below
        try:
            return self.inside.place(path)
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror}, so it is left alone") from error

    def _read_record(self, path: Path) -> Record | Unreadable:
        try:
            return parse(Record, self.inside.read(path))
        except (OSError, ValueError) as error:
            why = str(error.strerror) if isinstance(error, OSError) else why_not(error)
            return self.note_unread(path, why)

    def _read(self, path: Path) -> bytes:
        """A file's bytes; none of one that cannot be read, which is noted."""
        try:
            return self.inside.read(path)
        except OSError as error:
            self.note_unread(path, str(error.strerror))
            return b""

    def note_unread(self, path: Path, why: str) -> Unreadable:
        """Notes a file that cannot be read, to be told once."""
        below = path.relative_to(self.path).as_posix()
        self.unread.setdefault(below, why)
        return Unreadable(below, why)

    def _files(self, folder: Path, pattern: str) -> Iterator[Path]:
        """Files of this folder; none where a link leads out of it, which is noted."""
        try:
            yield from self.inside.files(folder, pattern)
        except OSError as error:
            self.note_unread(folder, str(error.strerror))
