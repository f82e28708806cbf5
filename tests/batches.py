"""Runs of small manifests in this process, and what they left, for tests."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.commands import Options
from pipeline.schedule import Progress, RunOptions

INLINE = Options("cpu", run=RunOptions(engine="inline"))
HEAD = "output: run\ncontent: content\nstyle: style\nbackbone: lite\n"


class Said(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def warn(self, message: str, code: str = "") -> None:
        self.lines.append(message)


def write(manifest: Path, text: str) -> Path:
    """Writes a manifest whose `output` is `run`; the run folder."""
    manifest.write_text(text)
    return manifest.parent / "run"


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """The records of a run folder as they stand in the files, by their paths below `images`."""
    found = {}
    for path in sorted((folder / "images").rglob("*.json")):
        found[path.relative_to(folder / "images").as_posix()] = json.loads(path.read_text())
    return found


def assert_whole(folder: Path, count: int) -> None:
    """So many jobs are done, each picture is its record's, and nothing half-written is left."""
    found = records(folder)
    assert len(found) == count
    for record in found.values():
        data = (folder / record["output"]["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == record["output"]["sha256"]
    assert not list(folder.rglob(".tmp-*"))


def summary(folder: Path) -> dict[str, Any]:
    """`run.json`."""
    return json.loads((folder / "run.json").read_text())  # type: ignore[no-any-return]
