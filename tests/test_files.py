"""Files written once and whole."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import DiskFullError, RunFolderError
from pipeline.files import tells_case, write_atomic


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_atomic(tmp_path / "taken", b"data")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_is_told_from_no_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def full(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="make room"):
        write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_on_windows_a_file_that_someone_reads_is_replaced_a_little_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace, tries = tmp_path / "a", os.replace, list[int]()

    def refuse(draft: str, place: Path) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "in use")
        replace(draft, place)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(RunFolderError, match="in use"):
        write_atomic(path, b"data")
    tries.clear()
    monkeypatch.setattr("sys.platform", "win32")
    write_atomic(path, b"data")
    assert path.read_bytes() == b"data" and len(tries) == 3
    tries.clear()
    monkeypatch.setattr("pipeline.files._READ_WITHIN_S", 0.0)
    with pytest.raises(RunFolderError, match="in use"):
        write_atomic(path, b"more")
    assert path.read_bytes() == b"data"


def test_folders_are_made_and_rights_are_those_of_any_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "deep/a", b"data", tmp_path / "temporary")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "deep/a").read_bytes() == b"data"
    assert (tmp_path / "deep/a").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert not list((tmp_path / "temporary").iterdir())


def test_a_folder_says_whether_it_tells_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert tells_case(tmp_path) is not (tmp_path / "A").exists()
    monkeypatch.setattr(Path, "exists", lambda path: True)  # as where `A` is `a`
    assert not tells_case(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
