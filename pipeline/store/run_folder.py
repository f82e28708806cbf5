"""The run folder: pictures, records, what is already done, summaries and failures.

In: jobs and their results. Out: files, and what they say. An image appears only whole, its record
only after it, so a job is done exactly when its record is there, the record's key matches and its
image is there. Knows nothing of how pictures are made. Must not load torch.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.errors import RunFolderError
from pipeline.files import cannot_write
from pipeline.store.forms import to_json
from pipeline.store.inside import Inside, state_of
from pipeline.store.live import Live
from pipeline.store.reader import RunReader
from pipeline.store.records import About, Failure, Output, Summary
from pipeline.version import RECORD_SCHEMA

if TYPE_CHECKING:
    from pipeline.manifest import Settings

# A record begins with what says whether its job is done, so that a resumed run reads only this.
_HEAD = re.compile(rb'\{\s*"schema": \d+,\s*"key": "([^"]*)",\s*"output": \{\s*"bytes": (\d+)')
_HEAD_BYTES = 512
# Of the disk, for the last summary; one with a thousand classes has this many.
_RESERVED_BYTES = 2**18
# Of a remote run's log, at most; a MiB of it takes as long again.
_SENT_EVERY_S = 10.0
# No file, or one that a link leads to outside.
_NOT_OURS = (errno.EINVAL, errno.EISDIR, errno.ELOOP)


class RunFolder(RunReader):
    """One run's folder.

    Layout: `manifest.yaml`, `plan.json`, `images/<name>.<format>` with `.json` beside each,
    `failures.jsonl`, `run.json`, `run.log`, and `.nst/` for the lock, temporary files and live
    state. Of a remote run `.nst/` is a local folder of the cache, but for the note of who holds
    it. A run that is one shard of several has its own of all but the first two and the images:
    `run-1-of-4.json` and so on.

    All that is read, written or deleted here lies inside the folder, wherever its links lead.

    Args:
        part: the shard, such as `1-of-4`, or empty for a whole run.
    """

    def __init__(self, path: Path, part: str = "") -> None:
        super().__init__(path)
        self.part = part
        self.suffix = f"-{part}" if part else ""
        self.frames = path / "frames"
        self.animations = path / "animations"
        self.videos = path / "videos"
        self.means = path / "normalisation.safetensors"  # spelled as older versions have it
        self.state = state_of(path)
        self.temporary = self.state / f"tmp{self.suffix}"
        self._reserve = self.state / f"reserve{self.suffix}"
        self.log = path / f"run{self.suffix}.log"
        self._send_after = 0.0
        self._failures = path / f"failures{self.suffix}.jsonl"
        self.live = Live(self.inside, self.state, self.temporary, self.suffix)

    # -- one job --

    def image_path(self, name: str, settings: Settings) -> Path:
        """Where a job's picture lies."""
        return self.images / f"{name}.{settings.format}"

    def own_picture(self, name: str, settings: Settings) -> Path:
        """A job's picture, to be read.

        Raises:
            ImageError: a link leads out of the folder.
        """
        return self.picture(self.image_path(name, settings).relative_to(self.path).as_posix())

    def checkpoint_path(self, key: str) -> Path:
        """Where the checkpoint of the job with this key lies."""
        return self.state / "checkpoints" / f"{key}.safetensors"

    def under_way(self) -> int:
        """How many jobs go on from a checkpoint."""
        folder = self.checkpoint_path("").parent
        return sum(1 for _ in self.inside.files(folder, "*.safetensors"))

    def is_done(self, name: str, key: str, settings: Settings) -> bool:
        """Whether the record is there, its key is `key`, and its image is there in full length."""
        self.inside.remember(self.images)
        places = self.record_path(name), self.image_path(name, settings)
        return _is_done(self.inside, *places, key)

    def now_done(self, name: str, key: str, settings: Settings) -> bool:
        """As `is_done`, of a job that a worker may have done since: remote storage is asked
        again."""
        places = self.record_path(name), self.image_path(name, settings)
        return _is_done(Inside(self.path), *places, key)

    def look_ahead(self, name: str) -> None:
        """Has the record of a remote job fetched before `is_done` asks for it.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        self.inside.remember(self.images)
        self.inside.look_ahead(self.record_path(name))

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
        self.inside.drop(self.record_path(name))
        self.write(path, image)
        self.write(self.record_path(name), to_json(first | about.plain()))

    def write(self, path: Path, data: bytes) -> None:
        """Writes a file of this folder, whole or not at all.

        Raises:
            RunFolderError: no space or no rights.
        """
        self.inside.write(path, data, self.temporary)

    def check_writable(self) -> None:
        """Whether pictures can be written at all.

        Raises:
            RunFolderError: they cannot.
        """
        probe, inside = self.images / ".writable", Inside(self.path)  # which knows nothing yet
        inside.write(probe, b"", self.temporary)
        with contextlib.suppress(OSError):
            inside.remove(probe)

    # -- all jobs --

    def add_failure(self, failure: Failure) -> None:
        """Appends one line to `failures.jsonl`, in one write.

        Raises:
            RunFolderError: no space or no rights.
        """
        line = json.dumps(failure.plain(), ensure_ascii=False) + "\n"
        try:
            with self.inside.writable(self._failures).open("ab", buffering=0) as file:
                file.write(line.encode(errors="backslashreplace"))
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(self._failures, error) from error

    def send_lines(self, *, at_once: bool = True) -> None:
        """Sends the log and the failures of a remote run, whole, as they are now.

        Args:
            at_once: else only if the last time is a while ago, a longer one the longer they are.

        Raises:
            RunFolderError: not reached, or refused.
        """
        if at_once or time.monotonic() > self._send_after:
            size = self.inside.send(self.log) + self.inside.send(self._failures)
            self._send_after = time.monotonic() + _SENT_EVERY_S * (1 + size / 2**20)

    # -- the run --

    def begin(self, manifest: str, header: Mapping[str, Any]) -> None:
        """Makes the folder, clears what a killed run left, writes `manifest.yaml`, `plan.json`.

        Call it under the lock.

        Raises:
            RunFolderError: no space or no rights.
        """
        try:
            self.inside.remove_tree(self.temporary)
            self.inside.make_folder(self.temporary)
            self.inside.make_folder(self.images)
            self.live.clear_stop()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.write(self._reserve, bytes(_RESERVED_BYTES))
        self.write(self.path / "manifest.yaml", manifest.encode())
        self.write(self.path / "plan.json", to_json(header))

    def make_room(self) -> None:
        """Gives back what was reserved, so that also on a full disk the summary can be written."""
        with contextlib.suppress(OSError):
            self.inside.remove(self._reserve)

    def end(self) -> None:
        """Removes temporary files and live state."""
        with contextlib.suppress(RunFolderError):  # what was sent some seconds ago stands
            self.send_lines()
        self.make_room()
        self.inside.remove_tree(self.temporary)
        with contextlib.suppress(OSError):
            self.live.clear_stop()

    def write_summary(self, summary: Summary) -> None:
        """Rewrites `run.json`; of a remote run the log and the failures, too.

        Raises:
            RunFolderError: no space or no rights.
        """
        self.write(self.path / f"run{self.suffix}.json", to_json(summary.whole()))
        self.send_lines(at_once=False)


def _is_done(inside: Inside, record: Path, image: Path, key: str) -> bool:
    try:
        with inside.open(record) as file:
            size = _promised_bytes(file, key)
        return size == inside.size(image)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno in _NOT_OURS:
            return False
        raise


def _promised_bytes(file: BinaryIO, key: str) -> int | None:
    """The length of the picture that a record is of; None if the record is not whole, or its key is
    not `key`."""
    head = _HEAD.match(file.read(_HEAD_BYTES))
    if head is None or head[1] != key.encode():
        return None
    file.seek(-2, os.SEEK_END)
    return int(head[2]) if file.read() == b"}\n" else None
