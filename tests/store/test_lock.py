"""The lock: one owner, shards side by side, and what a dead owner leaves."""

import json
import os
from pathlib import Path

import pytest

from pipeline.errors import RunFolderError
from pipeline.store import RunFolder, RunLock


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_one_folder_has_one_owner(folder: RunFolder) -> None:
    with RunLock(folder), pytest.raises(RunFolderError, match="in use by process"):
        RunLock(folder).__enter__()
    with RunLock(folder):
        assert json.loads((folder.state / "owner.json").read_text())["pid"] == os.getpid()


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match="cannot be made or written"):
        RunLock(RunFolder(tmp_path / "file")).__enter__()


def test_shards_run_side_by_side_but_not_beside_a_whole_run(folder: RunFolder) -> None:
    one, two = (RunFolder(folder.path, part) for part in ("1-of-2", "2-of-2"))
    with RunLock(one), RunLock(two):
        with pytest.raises(RunFolderError, match="in use by process"):
            RunLock(folder).__enter__()
    with RunLock(folder), pytest.raises(RunFolderError, match="in use by process"):
        RunLock(one).__enter__()
    for free in (folder, one):  # what was refused holds nothing
        with RunLock(free) as lock:
            assert lock.taken_over is None


@pytest.mark.parametrize(
    ("held", "words", "asked"),
    [
        ("1-of-auto", "auto", "1-of-2"),
        ("1-of-2", "1/2", "1-of-auto"),
        ("2-of-3", "2/3", "1-of-2"),
        ("1-of-2", "1/2", ""),
    ],
)
def test_shards_that_have_the_same_jobs_shut_each_other_out(
    folder: RunFolder, held: str, words: str, asked: str
) -> None:
    with RunLock(RunFolder(folder.path, held)):
        with pytest.raises(RunFolderError, match=f"since .* with --shard {words}; wait until"):
            RunLock(RunFolder(folder.path, asked)).__enter__()
    with RunLock(RunFolder(folder.path, asked)) as lock:  # once the other has ended
        assert lock.taken_over is None


def test_whom_a_run_goes_on_for_is_told(folder: RunFolder) -> None:
    folder.state.mkdir(parents=True)
    owner = folder.state / "owner.json"
    owner.write_text(json.dumps({"host": "there", "pid": 7, "since": "then"}))
    with RunLock(folder) as lock:
        assert lock.taken_over == "process 7 on there since then"
    assert not owner.exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"pid": 7}'])
def test_an_owner_who_cannot_be_read_is_another_process(folder: RunFolder, text: str) -> None:
    folder.state.mkdir(parents=True)
    (folder.state / "owner.json").write_text(text)
    with RunLock(folder) as lock:
        assert lock.taken_over == "another process"


def test_an_owner_that_cannot_be_written_frees_the_folder(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes, temporary: Path | None = None) -> None:
        raise RunFolderError(f"{path}: cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.store.disk.write_atomic", refuse)
        lock = RunLock(folder)
        with pytest.raises(RunFolderError, match="cannot be written"):
            lock.__enter__()
    with RunLock(folder):  # `lock` still lives, and holds nothing
        assert lock.taken_over is None
