"""No link leads out of a run folder, for whoever reads, writes or deletes in it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_run import bare_record

from pipeline.errors import RunFolderError
from pipeline.manifest import Settings
from pipeline.store import RunFolder
from pipeline.store.inside import Inside


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with links out of it, beside one that must stay as it is."""
    (tmp_path / "run/own").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/precious").write_text("precious")
    (tmp_path / "run/own/file").write_text("own")
    (tmp_path / "run/folder").symlink_to(tmp_path / "other")
    (tmp_path / "run/link").symlink_to(tmp_path / "other/precious")
    (tmp_path / "run/inner").symlink_to(tmp_path / "run/own/file")
    os.mkfifo(tmp_path / "run/pipe")
    return tmp_path / "run"


OUTSIDE = ["link", "folder/precious", "own/../../other/precious"]


@pytest.mark.parametrize("below", OUTSIDE)
@pytest.mark.parametrize("act", [Inside.read, Inside.open, Inside.size, Inside.place])
def test_what_lies_outside_is_not_read(
    run: Path, below: str, act: Callable[[Inside, Path], object]
) -> None:
    with pytest.raises(OSError, match="leads out of the run folder") as caught:
        act(Inside(run), run / below)
    assert caught.value.errno == errno.ELOOP
    assert not Inside(run).is_file(run / below)


def test_what_lies_inside_is(run: Path) -> None:
    inside = Inside(run)
    for below in ("own/file", "inner"):
        assert inside.read(run / below) == b"own" and inside.size(run / below) == 3
    assert [p.name for p in inside.files(run, "**/*")] == ["folder", "inner", "link", "own", "file",
                                                           "pipe"]  # fmt: skip
    assert list(inside.files(run / "nowhere", "*")) == []
    with pytest.raises(OSError, match="leads out"):
        list(inside.files(run / "folder", "*"))


@pytest.mark.parametrize("act", [Inside.read, Inside.open, Inside.size])
def test_what_is_no_file_is_not_waited_for(
    run: Path, act: Callable[[Inside, Path], object]
) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        act(Inside(run), run / "pipe")
    with pytest.raises(OSError, match=r"(?i)directory|not a regular file"):
        act(Inside(run), run / "own")


def test_a_file_larger_than_is_read_is_refused(run: Path) -> None:
    with pytest.raises(OSError, match="larger than"):
        Inside(run).read(run / "own/file", 2)


def test_nothing_outside_is_written_or_deleted(run: Path) -> None:
    inside, precious = Inside(run), run.parent / "other/precious"
    for path in (run / "folder/precious", run / "folder/new"):
        with pytest.raises(RunFolderError, match="take the link away, or choose another `output`"):
            inside.write(path, b"new")
    with pytest.raises(RunFolderError, match="leads out of the run folder"):
        inside.write(run / "own/file", b"new", run / "folder")
    for path in (run / "link", run / "folder/precious", run / "pipe"):
        with pytest.raises(RunFolderError):
            inside.writable(path)
    with pytest.raises(OSError):
        inside.remove(run / "folder/precious")
    with pytest.raises(OSError):
        inside.make_folder(run / "folder/new")
    with pytest.raises(OSError):
        inside.replace(run / "own/file", run / "folder/new")
    inside.remove_tree(run / "folder/new")
    inside.write(run / "link", b"new")  # in place of the link
    inside.remove(run / "inner")
    inside.remove_tree(run / "folder")
    assert (run / "own/file").read_text() == "own" and not (run / "folder").is_symlink()
    assert [p.name for p in precious.parent.iterdir()] == ["precious"]
    assert precious.read_text() == "precious" and (run / "link").read_text() == "new"


def test_a_folder_that_is_itself_reached_by_a_link_is_one(run: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(run)
    inside = Inside(tmp_path / "alias")
    assert inside.read(tmp_path / "alias/own/file") == b"own"
    inside.write(tmp_path / "alias/own/new", b"x")
    assert (run / "own/new").exists()


def test_a_job_whose_files_lead_out_is_not_done_and_says_so_when_written(tmp_path: Path) -> None:
    store, other = RunFolder(tmp_path / "run"), tmp_path / "other"
    other.mkdir()
    store.begin("", {})
    store.write_job("a", "k", Settings(), b"picture", (1, 1), bare_record("a"))
    assert store.is_done("a", "k", Settings())
    store.images.rename(tmp_path / "moved")
    store.images.symlink_to(tmp_path / "moved")
    store = RunFolder(tmp_path / "run")
    assert not store.is_done("a", "k", Settings()) and store.record("a") is None
    with pytest.raises(RunFolderError, match="leads out of the run folder"):
        list(store.records())
    with pytest.raises(RunFolderError, match=r"images.*leads out of the run folder"):
        store.write_job("b", "k", Settings(), b"picture", (1, 1), bare_record("b"))
    assert sorted(p.name for p in (tmp_path / "moved").iterdir()) == ["a.json", "a.png"]


def test_empty_folders_go_and_links_stay(run: Path) -> None:
    (run / "own/a/b").mkdir(parents=True)
    (run / "own/link").symlink_to(run.parent / "other")
    (run.parent / "other/empty").mkdir()
    Inside(run).remove_empty(run / "own")
    assert not (run / "own/a").exists() and (run / "own/link").is_symlink()
    assert (run.parent / "other/empty").is_dir() and (run / "own/file").exists()
    Inside(run).remove_empty(run / "folder")  # which leads out
    assert (run.parent / "other/empty").is_dir()
