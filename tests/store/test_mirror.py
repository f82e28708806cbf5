"""A dataset's other files beside its pictures."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from pipeline.errors import DiskFullError, RunFolderError
from pipeline.store import RunFolder, mirror_others


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


def store_of(tree: Path) -> RunFolder:
    store = RunFolder(tree / "in/run")
    store.temporary.mkdir(parents=True, exist_ok=True)
    return store


@pytest.mark.parametrize("how", ["copy", "link"])
def test_all_but_pictures_and_hidden_files_go_along(tree: Path, how: str) -> None:
    assert mirror_others([tree / "in"], store_of(tree), how) == 2
    images = store_of(tree).images
    found = sorted(p.relative_to(images).as_posix() for p in images.rglob("*.*"))
    assert found == ["labels.csv", "train/cat/1.txt"]
    linked = (images / "labels.csv").stat().st_nlink == 2
    assert linked == (how == "link")
    assert mirror_others([tree / "in"], store_of(tree), how) == 0
    (tree / "in/labels.csv").write_text("new")
    os.utime(tree / "in/labels.csv", (4e9, 4e9))
    assert mirror_others([tree / "in"], store_of(tree), "copy") == (how == "copy")
    assert (images / "labels.csv").read_text() == "new"
    assert not list((store_of(tree).temporary).iterdir())


def test_two_files_of_one_name_are_told(tree: Path) -> None:
    with pytest.raises(RunFolderError, match="would both be"):
        mirror_others([tree / "in", tree / "in/train/.."], store_of(tree), "copy")


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_links_do_not_go_files_are_copied(
    tree: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:

    def refuse(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    assert mirror_others([tree / "in"], store_of(tree), "link") == 2
    copy = tree / "in/run/images/labels.csv"
    assert copy.read_text() == "in/labels.csv" and copy.stat().st_nlink == 1


@pytest.mark.parametrize("how", ["copy", "link"])
def test_a_file_that_cannot_be_placed_is_named(
    tree: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(DiskFullError, match=r"images/labels.csv: cannot be written .*make room"):
        mirror_others([tree / "in"], store_of(tree), how)


def test_a_folder_that_may_not_be_read_is_named(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "cat":
            raise PermissionError(13, "Permission denied", str(path))
        return allowed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(RunFolderError, match=r"train/cat: cannot be read .*leave `others` out"):
        mirror_others([tree / "in"], store_of(tree), "copy")
