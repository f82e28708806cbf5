"""A dataset's other files beside its pictures."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from pipeline.errors import DiskFullError, RunFolderError
from pipeline.store import mirror_others


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "in/train/cat/1.png",
        "in/train/cat/1.txt",
        "in/labels.csv",
        "in/.git/config",
        "in/run/x.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize("how", ["copy", "link"])
def test_all_but_pictures_and_hidden_files_go_along(tree: Path, how: str) -> None:
    (tree / "tmp").mkdir()
    assert mirror_others([tree / "in"], tree / "out", how, tree / "tmp", tree / "in/run") == 2
    found = sorted(p.relative_to(tree / "out").as_posix() for p in (tree / "out").rglob("*.*"))
    assert found == ["labels.csv", "train/cat/1.txt"]
    linked = (tree / "out/labels.csv").stat().st_nlink == 2
    assert linked == (how == "link")
    assert mirror_others([tree / "in"], tree / "out", how, tree / "tmp", tree / "in/run") == 0
    (tree / "in/labels.csv").write_text("new")
    os.utime(tree / "in/labels.csv", (4e9, 4e9))
    assert mirror_others([tree / "in"], tree / "out", "copy", tree / "tmp", tree / "in/run") == (
        how == "copy"
    )
    assert (tree / "out/labels.csv").read_text() == "new"
    assert not list((tree / "tmp").iterdir())


def test_two_files_of_one_name_are_told(tree: Path) -> None:
    (tree / "tmp").mkdir()
    with pytest.raises(RunFolderError, match="would both be"):
        mirror_others(
            [tree / "in", tree / "in/train/.."], tree / "out", "copy", tree / "tmp", tree / "in/run"
        )


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_links_do_not_go_files_are_copied(
    tree: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tree / "tmp").mkdir()

    def refuse(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    assert mirror_others([tree / "in"], tree / "out", "link", tree / "tmp", tree / "in/run") == 2
    copy = tree / "out/labels.csv"
    assert copy.read_text() == "in/labels.csv" and copy.stat().st_nlink == 1


@pytest.mark.parametrize("how", ["copy", "link"])
def test_a_file_that_cannot_be_placed_is_named(
    tree: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (tree / "tmp").mkdir()

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(DiskFullError, match=r"out/labels.csv: cannot be written .*make room"):
        mirror_others([tree / "in"], tree / "out", how, tree / "tmp", tree / "in/run")


def test_a_folder_that_may_not_be_read_is_named(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "cat":
            raise PermissionError(13, "Permission denied", str(path))
        return allowed(path)

    (tree / "tmp").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(RunFolderError, match=r"train/cat: cannot be read .*leave `others` out"):
        mirror_others([tree / "in"], tree / "out", "copy", tree / "tmp", tree / "in/run")
