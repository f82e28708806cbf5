"""The run folder: what counts as done, what a killed run leaves, who owns it."""

import json
import os
from pathlib import Path

import pytest

from pipeline.errors import RunFolderError
from pipeline.files import write_atomic
from pipeline.manifest import Settings
from pipeline.store import RunFolder, RunLock

SETTINGS = Settings()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    store = RunFolder(tmp_path / "run")
    store.begin("output: run\n", {"jobs": 1})
    return store


def put(folder: RunFolder, name: str, key: str, image: bytes = b"pixels") -> None:
    folder.write_job(name, key, SETTINGS, image, (4, 3), {"name": name})


def test_done_needs_record_key_and_picture(folder: RunFolder) -> None:
    assert not folder.is_done("deep/a", "k", SETTINGS)
    put(folder, "deep/a", "k")
    assert folder.is_done("deep/a", "k", SETTINGS)
    assert not folder.is_done("deep/a", "other", SETTINGS)
    folder.image_path("deep/a", SETTINGS).write_bytes(b"pix")
    assert not folder.is_done("deep/a", "k", SETTINGS)
    folder.image_path("deep/a", SETTINGS).unlink()
    assert not folder.is_done("deep/a", "k", SETTINGS)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": "k"}', "\x00\xff"])
def test_a_record_that_is_not_whole_is_none(folder: RunFolder, text: str) -> None:
    put(folder, "a", "k")
    folder.record_path("a").write_bytes(text.encode("latin-1"))
    assert not folder.is_done("a", "k", SETTINGS)


def test_what_a_killed_run_left_is_cleared(folder: RunFolder) -> None:
    (folder.temporary / ".tmp-left").write_bytes(b"half")
    folder.ask_to_stop()
    folder.begin("output: run\n", {"jobs": 1})
    assert list(folder.temporary.iterdir()) == []
    assert not folder.stop_asked()


def test_one_folder_has_one_owner(folder: RunFolder) -> None:
    with RunLock(folder), pytest.raises(RunFolderError, match="in use by process"):
        RunLock(folder).__enter__()
    with RunLock(folder):
        assert json.loads((folder.state / "owner.json").read_text())["pid"] == os.getpid()


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match="cannot be made or written"):
        RunLock(RunFolder(tmp_path / "file")).__enter__()


def test_failures_are_a_line_each(folder: RunFolder) -> None:
    folder.add_failure({"name": "ä\n", "error": "x"})
    folder.add_failure({"name": "b", "error": "y"})
    lines = (folder.path / "failures.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["ä\n", "b"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_atomic(tmp_path / "taken", b"data")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_records_take_paths_that_are_not_utf8(folder: RunFolder) -> None:
    folder.write_job("a", "k", SETTINGS, b"x", (1, 1), {"path": "a\udc80"})
    record = folder.record("a")
    assert record is not None and record["path"] == "a\udc80"
    assert folder.is_done("a", "k", SETTINGS)
