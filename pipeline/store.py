"""The run folder: atomic writes, records, what is already done, the lock.

In: jobs and their results. Out: files. An image appears only whole, its record only after it, so a
job is done exactly when its record is there, the record's key matches and its image is there.
Knows nothing of how pictures are made.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from pipeline.errors import RunFolderError
from pipeline.files import write_atomic
from pipeline.settings import Settings

RECORD_SCHEMA = 1


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def to_json(data: object) -> bytes:
    """JSON as it is written to files: indented, UTF-8, with a newline at the end."""
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


class RunFolder:
    """One run's folder.

    Layout: `manifest.yaml`, `plan.json`, `images/<name>.<format>` with `.json` beside each,
    `failures.jsonl`, `run.json`, and `.nst/` for the lock, temporary files and live state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images = path / "images"
        self.state = path / ".nst"
        self.temporary = self.state / "tmp"

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
        record = self.record(name)
        if record is None or record.get("key") != key:
            return False
        try:
            size = self.image_path(name, settings).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return False
        return bool(size == record.get("output", {}).get("bytes"))

    def write_job(
        self, name: str, settings: Settings, image: bytes, record: Mapping[str, Any]
    ) -> None:
        """Writes a job's picture, then its record; an older record goes first, so that no record
        ever stands beside a picture that is not its own.

        Raises:
            RunFolderError: no space or no rights; nothing half-written stays.
        """
        self.record_path(name).unlink(missing_ok=True)
        write_atomic(self.image_path(name, settings), image, self.temporary)
        write_atomic(self.record_path(name), to_json(record), self.temporary)

    def records(self) -> Iterator[dict[str, Any]]:
        """All records in the folder, in the order of their names."""
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
            raise RunFolderError(
                f"{self.path}: cannot be written ({error.strerror}); check space and rights"
            ) from error
        self.clear_stop()
        write_atomic(self.path / "manifest.yaml", manifest.encode(), self.temporary)
        write_atomic(self.path / "plan.json", to_json(header), self.temporary)

    def end(self) -> None:
        """Removes temporary files and live state."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.clear_stop()

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Rewrites `run.json`."""
        write_atomic(self.path / "run.json", to_json(summary), self.temporary)

    def add_failure(self, failure: Mapping[str, Any]) -> None:
        """Appends one line to `failures.jsonl`, in one write."""
        line = json.dumps(failure, ensure_ascii=False) + "\n"
        with (self.path / "failures.jsonl").open("ab", buffering=0) as file:
            file.write(line.encode())
            os.fsync(file.fileno())

    # -- stopping: a file, so that workers in any process see it --

    @property
    def _stop_file(self) -> Path:
        return self.state / "stop"

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

    def write_slot(self, slot: int, state: Mapping[str, Any]) -> None:
        """What slot `slot` is doing, for whoever watches; not flushed, since it is news."""
        path = self.temporary / f"slot-{slot}.json"
        draft = path.with_suffix(".new")
        try:
            draft.write_text(json.dumps(state))
            draft.replace(path)
        except FileNotFoundError:
            return  # the run is ending and has removed its live state

    def slots(self) -> list[dict[str, Any]]:
        """What each slot was last seen doing."""
        states = []
        for path in sorted(self.temporary.glob("slot-*.json")):
            try:
                states.append(json.loads(path.read_text()))
            except (OSError, json.JSONDecodeError):
                continue  # removed or replaced while it was read; the next look sees the new one
        return states


class RunLock:
    """Holds a run folder for this process; the system frees it when the process dies.

    Raises:
        RunFolderError: another process holds it, or the folder cannot be written.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._lock = FileLock(folder.state / "run.lock")

    @property
    def _owner(self) -> Path:
        return self.folder.state / "owner.json"

    def __enter__(self) -> RunLock:
        try:
            self.folder.state.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise RunFolderError(
                f"{self.folder.path}: in use by {self._describe_owner()}; wait until it ends, stop "
                f"it, or choose another `output`"
            ) from error
        except OSError as error:
            raise RunFolderError(
                f"{self.folder.path}: cannot be made or written ({error.strerror}); check the path "
                f"and your rights, or choose another `output`"
            ) from error
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": now()}
        write_atomic(self._owner, to_json(owner))
        return self

    def _describe_owner(self) -> str:
        try:
            owner = json.loads(self._owner.read_bytes())
        except (OSError, json.JSONDecodeError):
            return "another process"
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._owner.unlink(missing_ok=True)
        self._lock.release()
