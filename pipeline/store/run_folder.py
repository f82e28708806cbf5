"""The run folder: atomic writes, records, what is already done, the lock.

In: jobs and their results. Out: files. An image appears only whole, its record only after it, so a
job is done exactly when its record is there, the record's key matches and its image is there.
Knows nothing of how pictures are made.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from pipeline.errors import RunFolderError
from pipeline.files import cannot_write, write_atomic
from pipeline.manifest import Settings
from pipeline.version import RECORD_SCHEMA


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def to_json(data: object) -> bytes:
    """JSON as it is written to files: indented, UTF-8, with a newline at the end."""
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")  # paths need not be UTF-8; JSON escapes them so


# A record begins with what says whether its job is done, so that a resumed run reads only this.
_HEAD = re.compile(rb'\{\s*"schema": \d+,\s*"key": "([^"]*)",\s*"output": \{\s*"bytes": (\d+)')
_HEAD_BYTES = 512


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
        self.state = path / ".nst"
        self.temporary = self.state / f"tmp{self.suffix}"
        self.log = path / f"run{self.suffix}.log"

    # -- one job --

    def image_path(self, name: str, settings: Settings) -> Path:
        """Where a job's picture lies."""
        return self.images / f"{name}.{settings.format}"

    def record_path(self, name: str) -> Path:
        """Where a job's record lies."""
        return self.images / f"{name}.json"

    def record(self, name: str) -> dict[str, Any] | None:
        """A job's record, or None if it is not there or not whole JSON."""
        try:
            data = json.loads(self.record_path(name).read_bytes())
        except (
            FileNotFoundError,
            NotADirectoryError,
            json.JSONDecodeError,
            UnicodeDecodeError,
        ):
            return None
        return data if isinstance(data, dict) else None

    def is_done(self, name: str, key: str, settings: Settings) -> bool:
        """Whether the record is there, its key is `key`, and its image is there in full length."""
        try:
            with self.record_path(name).open("rb") as file:
                head = _HEAD.match(file.read(_HEAD_BYTES))
                if head is None or head[1].decode() != key:
                    return False
                file.seek(-2, os.SEEK_END)
                if file.read() != b"}\n":
                    return False
            size = self.image_path(name, settings).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return False
        return size == int(head[2])

    def write_job(
        self,
        name: str,
        key: str,
        settings: Settings,
        image: bytes,
        size: tuple[int, int],
        record: Mapping[str, Any],
    ) -> None:
        """Writes a job's picture, then its record; an older record goes first, so that no record
        ever stands beside a picture that is not its own.

        Args:
            image: the encoded picture.
            size: its width and height in px.
            record: all but schema, key and what is said of the output file.

        Raises:
            RunFolderError: no space or no rights; nothing half-written stays.
        """
        path = self.image_path(name, settings)
        output = {
            "bytes": len(image),
            "sha256": hashlib.sha256(image).hexdigest(),
            "size": list(size),
            "path": path.relative_to(self.path).as_posix(),
        }
        whole = {"schema": RECORD_SCHEMA, "key": key, "output": output, **record}
        self.record_path(name).unlink(missing_ok=True)
        write_atomic(path, image, self.temporary)
        write_atomic(self.record_path(name), to_json(whole), self.temporary)

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

    def records(self) -> Iterator[dict[str, Any]]:
        """All records in the folder, in the order of their names.

        Raises:
            RunFolderError: they are in tar shards.
        """
        self.check_loose()
        for path in sorted(self.images.rglob("*.json")):
            record = self.record(path.relative_to(self.images).with_suffix("").as_posix())
            if record is not None:
                yield record

    # -- the run --

    def begin(self, manifest: str, header: Mapping[str, Any]) -> None:
        """Makes the folder, clears what a killed run left, writes `manifest.yaml`, `plan.json`.

        Call it under the lock.
        """
        try:
            shutil.rmtree(self.temporary, ignore_errors=True)
            self.temporary.mkdir(parents=True, exist_ok=True)
            self.images.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.clear_stop()
        write_atomic(self.path / "manifest.yaml", manifest.encode(), self.temporary)
        write_atomic(self.path / "plan.json", to_json(header), self.temporary)

    def end(self) -> None:
        """Removes temporary files and live state."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.clear_stop()

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Rewrites `run.json`."""
        path = self.path / f"run{self.suffix}.json"
        write_atomic(path, to_json(summary), self.temporary)

    def summaries(self) -> dict[str, dict[str, Any]]:
        """What `run.json` and those of all shards say, by the shard's name ('' for a whole run)."""
        found = {}
        for path in sorted([*self.path.glob("run.json"), *self.path.glob("run-*-of-*.json")]):
            with contextlib.suppress(json.JSONDecodeError):  # not ours: we write whole files only
                found[path.stem.removeprefix("run").lstrip("-")] = json.loads(path.read_bytes())
        return found

    def add_failure(self, failure: Mapping[str, Any]) -> None:
        """Appends one line to `failures.jsonl`, in one write.

        Raises:
            RunFolderError: no space or no rights.
        """
        line = json.dumps(failure, ensure_ascii=False) + "\n"
        path = self.path / f"failures{self.suffix}.jsonl"
        try:
            with path.open("ab", buffering=0) as file:
                file.write(line.encode(errors="backslashreplace"))
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(path, error) from error

    def failures(self) -> dict[str, dict[str, Any]]:
        """The last failure of each job that ever failed here, by the job's name."""
        last: dict[str, dict[str, Any]] = {}
        for path in sorted(self.path.glob("failures*.jsonl")):
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(json.JSONDecodeError):  # a line cut short by a full disk
                    failure = json.loads(line)
                    last[str(failure["name"])] = failure
        return last

    # -- checkpoints of long jobs --

    def checkpoint_path(self, key: str) -> Path:
        """Where the checkpoint of the job with this key lies."""
        return self.state / "checkpoints" / f"{key}.safetensors"

    # -- stopping: a file, so that workers in any process see it --

    @property
    def _stop_file(self) -> Path:
        return self.state / f"stop{self.suffix}"

    def ask_to_stop(self) -> None:
        """Asks all workers of this run to stop at their next step."""
        self._stop_file.touch()

    def stop_asked(self) -> bool:
        """Whether this run was asked to stop."""
        return self._stop_file.exists()

    def clear_stop(self) -> None:
        """Forgets an earlier request to stop."""
        self._stop_file.unlink(missing_ok=True)

    # -- live state of the slots --

    def write_slot(self, slot: str, state: Mapping[str, Any]) -> None:
        """What slot `slot` is doing, for whoever watches; not flushed, since it is news.

        A full disk costs the news, not the job.
        """
        path = self.temporary / f"slot-{slot}.json"
        draft = path.with_suffix(".new")
        with contextlib.suppress(OSError):
            draft.write_text(json.dumps(state))
            draft.replace(path)

    def slot_state(self, slot: str) -> dict[str, Any] | None:
        """What slot `slot` was last seen doing."""
        try:
            state = json.loads((self.temporary / f"slot-{slot}.json").read_text())
        except (OSError, json.JSONDecodeError):
            return None  # nothing yet, or just being replaced; the next look sees it
        return state if isinstance(state, dict) else None

    def slots(self) -> list[dict[str, Any]]:
        """What each slot of the run and of all its shards was last seen doing."""
        states = []
        for path in sorted(self.state.glob("tmp*/slot-*.json")):
            folder = RunFolder(self.path, path.parent.name.removeprefix("tmp").lstrip("-"))
            state = folder.slot_state(path.stem.removeprefix("slot-"))
            if state is not None:
                states.append(state)
        return states


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
        self._lock = FileLock(folder.state / f"run{folder.suffix}.lock")

    def _owner(self, suffix: str) -> Path:
        return self.folder.state / f"owner{suffix}.json"

    def __enter__(self) -> RunLock:
        suffix = self.folder.suffix
        try:
            self.folder.state.mkdir(parents=True, exist_ok=True)
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
        except RunFolderError:
            self._lock.release()
            raise
        if self._owner(suffix).exists():
            self.taken_over = self._describe_owner(suffix)
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": now()}
        write_atomic(self._owner(suffix), to_json(owner))
        return self

    def _check_others(self) -> None:
        """A whole run looks for running shards, a shard for a whole run."""
        pattern = "run.lock" if self.folder.part else "run-*.lock"
        for path in self.folder.state.glob(pattern):
            other = FileLock(path)
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
        try:
            owner = json.loads(self._owner(suffix).read_bytes())
        except (OSError, json.JSONDecodeError):
            return "another process"
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._owner(self.folder.suffix).unlink(missing_ok=True)
        self._lock.release()
