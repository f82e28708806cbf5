"""The run folder: what counts as done, what a killed run leaves."""

import errno
import json
import os
from pathlib import Path

import pytest
from fake_run import bare_record

from pipeline.errors import DiskFullError, RunFolderError
from pipeline.manifest import Settings
from pipeline.store import Failure, RunFolder, Summary

SETTINGS = Settings()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    store = RunFolder(tmp_path / "run")
    store.begin("output: run\n", {"jobs": 1})
    return store


def put(folder: RunFolder, name: str, key: str, image: bytes = b"pixels") -> None:
    folder.write_job(name, key, SETTINGS, image, (4, 3), bare_record(name))


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
    folder.live.ask_to_stop()
    folder.begin("output: run\n", {"jobs": 1})
    assert list(folder.temporary.iterdir()) == []
    assert not folder.live.stop_asked()


def test_failures_are_a_line_each(folder: RunFolder) -> None:
    folder.add_failure(Failure(name="ä\n", error="x"))
    folder.add_failure(Failure(name="b", error="y"))
    lines = (folder.path / "failures.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["ä\n", "b"]


def test_records_take_paths_that_are_not_utf8(folder: RunFolder) -> None:
    folder.write_job("a", "k", SETTINGS, b"x", (1, 1), bare_record("a\udc80"))
    record = folder.record("a")
    assert record is not None and record.name == "a\udc80"
    assert folder.is_done("a", "k", SETTINGS)


def test_a_job_whose_place_is_taken_is_an_error_of_the_folder(folder: RunFolder) -> None:
    (folder.images / "a").write_text("a file where a folder is wanted")
    with pytest.raises(RunFolderError, match=r"a/b.json: cannot be written"):
        put(folder, "a/b", "k")


def test_a_key_that_is_no_text_is_another_key(folder: RunFolder) -> None:
    put(folder, "a", "k")
    path = folder.record_path("a")
    path.write_bytes(path.read_bytes().replace(b'"key": "k"', b'"key": "\xff"'))
    assert not folder.is_done("a", "k", SETTINGS)


def test_a_record_without_its_end_is_not_done(folder: RunFolder) -> None:
    put(folder, "a", "k")
    path = folder.record_path("a")
    path.write_bytes(path.read_bytes()[:-1])
    assert not folder.is_done("a", "k", SETTINGS)


def test_a_run_that_cannot_begin_says_so(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(RunFolderError, match=r"run: cannot be written"):
        RunFolder(tmp_path / "run").begin("", {})


def test_a_failure_that_cannot_be_written_is_told(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=r"failures.jsonl: cannot be written"):
        folder.add_failure(Failure(name="a"))


def test_a_line_cut_within_a_letter_costs_only_itself(folder: RunFolder) -> None:
    folder.add_failure(Failure(name="a", error="x"))
    path = folder.path / "failures.jsonl"
    path.write_bytes(path.read_bytes() + '{"name": "ä'.encode()[:-1] + b"\n")
    folder.add_failure(Failure(name="a", error="y"))
    assert {name: failure.error for name, failure in folder.failures().items()} == {"a": "y"}


def test_a_summary_that_is_not_ours_is_left_out(folder: RunFolder) -> None:
    folder.write_summary(Summary(jobs=3))
    (folder.path / "run-1-of-2.json").write_text("{")
    (folder.path / "run-2-of-2.json").write_bytes(b'"\xff"')
    assert {part: found.jobs for part, found in folder.summaries().items()} == {"": 3}


def test_pictures_in_shards_are_not_looked_for_as_files(folder: RunFolder) -> None:
    (folder.path / "shards").mkdir()
    (folder.path / "shards/000000.tar").touch()
    with pytest.raises(RunFolderError, match="its pictures are in shards"):
        list(folder.records())
