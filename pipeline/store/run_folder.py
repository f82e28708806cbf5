"""The run folder: pictures, records, what is already done, summaries and failures.

In: jobs and their results. Out: files, and what they say. An image appears only whole, its record
only after it, so a job is done exactly when its record is there, the record's key matches and its
image is there. Knows nothing of how pictures are made. Must not load torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import RunFolderError
from pipeline.files import cannot_write, write_atomic
from pipeline.manifest import Settings
from pipeline.store.forms import parse, to_json, why_not
from pipeline.store.headers import PlanHeader
from pipeline.store.live import Live
from pipeline.store.records import About, Failure, Output, Record, Summary
from pipeline.version import RECORD_SCHEMA

# A record begins with what says whether its job is done, so that a resumed run reads only this.
_HEAD = re.compile(rb'\{\s*"schema": \d+,\s*"key": "([^"]*)",\s*"output": \{\s*"bytes": (\d+)')
_HEAD_BYTES = 512


@dataclass(frozen=True)
class Unreadable:
    """A record that could not be read: its path below the run folder, and why."""

    path: str
    why: str


class RunFolder:
    """One run's folder.

    Layout: `manifest.yaml`, `plan.json`, `images/<name>.<format>` with `.json` beside each,
    `failures.jsonl`, `run.json`, `run.log`, and `.nst/` for the lock, temporary files and live
    state. A run that is one shard of several has its own of all but the first two and the images:
    `run-1-of-4.json` and so on.

    Args:
        part: the shard, such as `1-of-4`, or empty for a whole run.
    """

    def __init__(self, path: Path, part: str = "") -> None:
        self.path, self.part = path, part
        self.suffix = f"-{part}" if part else ""
        self.images = path / "images"
        self.frames = path / "frames"
        self.animations = path / "animations"
        self.videos = path / "videos"
        self.means = path / "normalisation.safetensors"  # spelled as older versions have it
        self.state = path / ".nst"
        self.temporary = self.state / f"tmp{self.suffix}"
        self.log = path / f"run{self.suffix}.log"
        self.live = Live(self.state, self.temporary, self.suffix)

    # -- one job --

    def image_path(self, name: str, settings: Settings) -> Path:
        """Where a job's picture lies."""
        return self.images / f"{name}.{settings.format}"

    def record_path(self, name: str) -> Path:
        """Where a job's record lies."""
        return self.images / f"{name}.json"

    def checkpoint_path(self, key: str) -> Path:
        """Where the checkpoint of the job with this key lies."""
        return self.state / "checkpoints" / f"{key}.safetensors"

    def record(self, name: str) -> Record | None:
        """A job's record, or None if it is not there or cannot be read."""
        found = _read_record(self.record_path(name), self.path)
        return found if isinstance(found, Record) else None

    def is_done(self, name: str, key: str, settings: Settings) -> bool:
        """Whether the record is there, its key is `key`, and its image is there in full length."""
        try:
            size = _promised_bytes(self.record_path(name), key)
            return size == self.image_path(name, settings).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return False

    def write_job(
        self,
        name: str,
        key: str,
        settings: Settings,
        image: bytes,
        size: tuple[int, int],
        about: About,
    ) -> None:
        """Writes a job's picture, then its record; an older record goes first, so that no record
        ever stands beside a picture that is not its own.

        Args:
            image: the encoded picture.
            size: its width and height in px.
            about: how it was made.

        Raises:
            RunFolderError: no space or no rights; nothing half-written stays.
        """
        path = self.image_path(name, settings)
        output = Output(
            bytes=len(image),
            sha256=hashlib.sha256(image).hexdigest(),
            size=size,
            path=path.relative_to(self.path).as_posix(),
        )
        first = {"schema": RECORD_SCHEMA, "key": key, "output": output.plain()}
        try:
            self.record_path(name).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.record_path(name), error) from error
        write_atomic(path, image, self.temporary)
        write_atomic(self.record_path(name), to_json(first | about.plain()), self.temporary)

    # -- all jobs --

    def check_loose(self) -> None:
        """Whether pictures lie here as files.

        Raises:
            RunFolderError: they are in tar shards.
        """
        if next((self.path / "shards").glob("*.tar"), None) is not None:
            raise RunFolderError(
                f"{self.path}: its pictures are in tar shards, which this cannot look into; run a "
                f"part of the manifest with `format: files` for that"
            )

    def all_records(self) -> Iterator[Record | Unreadable]:
        """All records in the folder, in the order of their paths, also those that are damaged.

        Raises:
            RunFolderError: they are in tar shards.
        """
        self.check_loose()
        for path in sorted(self.images.rglob("*.json")):
            yield _read_record(path, self.path)

    def records(self) -> Iterator[Record]:
        """All records that can be read.

        Raises:
            RunFolderError: they are in tar shards.
        """
        return (found for found in self.all_records() if isinstance(found, Record))

    def add_failure(self, failure: Failure) -> None:
        """Appends one line to `failures.jsonl`, in one write.

        Raises:
            RunFolderError: no space or no rights.
        """
        line = json.dumps(failure.plain(), ensure_ascii=False) + "\n"
        path = self.path / f"failures{self.suffix}.jsonl"
        try:
            with path.open("ab", buffering=0) as file:
                file.write(line.encode(errors="backslashreplace"))
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(path, error) from error

    def failures(self) -> dict[str, Failure]:
        """The last failure of each job that ever failed here, by the job's name."""
        last: dict[str, Failure] = {}
        for path in sorted(self.path.glob("failures*.jsonl")):
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError):  # a line cut short by a full disk
                    failure = parse(Failure, line)
                    last[failure.name] = failure
        return last

    # -- the run --

    def begin(self, manifest: str, header: Mapping[str, Any]) -> None:
        """Makes the folder, clears what a killed run left, writes `manifest.yaml`, `plan.json`.

        Call it under the lock.

        Raises:
            RunFolderError: no space or no rights.
        """
        try:
            shutil.rmtree(self.temporary, ignore_errors=True)
            self.temporary.mkdir(parents=True, exist_ok=True)
            self.images.mkdir(parents=True, exist_ok=True)
            self.live.clear_stop()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        write_atomic(self.path / "manifest.yaml", manifest.encode(), self.temporary)
        write_atomic(self.path / "plan.json", to_json(header), self.temporary)

    def end(self) -> None:
        """Removes temporary files and live state."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.live.clear_stop()

    def header(self) -> PlanHeader | None:
        """What `plan.json` says, or None if it is not there or cannot be read."""
        try:
            return parse(PlanHeader, (self.path / "plan.json").read_bytes())
        except (OSError, ValueError):
            return None  # readers then go by the records

    def write_summary(self, summary: Summary) -> None:
        """Rewrites `run.json`."""
        path = self.path / f"run{self.suffix}.json"
        write_atomic(path, to_json(summary.whole()), self.temporary)

    def summaries(self) -> dict[str, Summary]:
        """What `run.json` and those of all shards say, by the shard's name ('' for a whole run)."""
        found = {}
        for path in sorted([*self.path.glob("run.json"), *self.path.glob("run-*-of-*.json")]):
            with contextlib.suppress(ValueError):  # not ours: we write whole files only
                part = path.stem.removeprefix("run").lstrip("-")
                found[part] = parse(Summary, path.read_bytes())
        return found


def _read_record(path: Path, root: Path) -> Record | Unreadable:
    """A record of the run folder `root`."""
    try:
        return parse(Record, path.read_bytes())
    except (OSError, ValueError) as error:
        why = str(error.strerror) if isinstance(error, OSError) else why_not(error)
        return Unreadable(path.relative_to(root).as_posix(), why)


def _promised_bytes(path: Path, key: str) -> int | None:
    """The length of the picture that a record is of; None if the record is not whole, or its key is
    not `key`."""
    with path.open("rb") as file:
        head = _HEAD.match(file.read(_HEAD_BYTES))
        if head is None or head[1] != key.encode():
            return None
        file.seek(-2, os.SEEK_END)
        return int(head[2]) if file.read() == b"}\n" else None
