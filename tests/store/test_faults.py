"""Disks that are full, folders that cannot be written: told by name, and nothing half-written."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_run import bare_record

from pipeline.address import as_path
from pipeline.errors import DiskFullError, RunFolderError
from pipeline.files import cannot_write, write_atomic
from pipeline.manifest import Settings, write_map
from pipeline.plan import Job
from pipeline.store import Failure, RunFolder, Shards, mirror_others
from pipeline.store.inside import Inside

SETTINGS = Settings()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every flush to disk finds it full."""

    def fsync(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.fixture
def store(tmp_path: Path) -> RunFolder:
    store = RunFolder(tmp_path / "run")
    store.begin("", {})
    return store


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_full_disk_leaves_no_picture_and_no_record(store: RunFolder, full: None) -> None:
    before = files(store.path)
    with pytest.raises(DiskFullError, match=r"a.png: cannot be written .* make room"):
        store.write_job("a", "k", SETTINGS, b"x", (1, 1), bare_record("a"))
    with pytest.raises(DiskFullError, match=r"failures.jsonl"):
        RunFolder(store.path, "").add_failure(Failure(name="a"))
    assert [name for name in files(store.path) if name not in before] == ["failures.jsonl"]


def test_a_map_is_whole_or_not_there(store: RunFolder, full: None) -> None:
    with pytest.raises(DiskFullError):
        write_map(store.path / "pairs.csv", [], store.temporary)
    assert not (store.path / "pairs.csv").exists()


@pytest.mark.parametrize("where", ["disk", "memory://bucket/run"])
@pytest.mark.parametrize("broken", ["remove", "write"])
def test_what_fails_behind_a_shard_is_told_and_leaves_one_shard(
    store: RunFolder, world: Callable[..., object], monkeypatch: pytest.MonkeyPatch,
    where: str, broken: str,
) -> None:  # fmt: skip
    if where != "disk":
        store = RunFolder(as_path(where))
        store.begin("", {})
    job: Job = next(iter(world([1]).plan.jobs()))  # type: ignore[attr-defined]
    store.write_job(job.name, job.key, job.settings, b"x", (1, 1), bare_record(job.name))
    shards = Shards(store, 1)

    def fails(self: Inside, path: Path, *_: object) -> None:
        error = OSError(errno.EIO, "not reached in 4 tries: reset")
        raise error if broken == "remove" else cannot_write(path, error)

    with monkeypatch.context() as patched:
        patched.setattr(Inside, broken, fails)
        with pytest.raises(RunFolderError, match=r"json: cannot be written \(not reached in 4"):
            shards.add(job)
    shards.end()
    assert [path.name for path in store.shard_files()] == ["000000.tar"]
    again = Shards(store, 1)
    assert again.settle(job) and store.record(job.name) is None


@pytest.mark.parametrize("where", ["disk", "memory://bucket/run"])
def test_a_file_that_cannot_be_deleted_is_told(
    store: RunFolder, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    folder = store if where == "disk" else RunFolder(as_path(where))

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "reset")

    monkeypatch.setattr(Inside, "remove", fails)
    with pytest.raises(RunFolderError, match=r"a.json: cannot be written \(reset\)"):
        folder.inside.drop(folder.record_path("a"))


def test_a_shard_is_whole_or_not_there(
    store: RunFolder, world: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    job: Job = next(iter(world([1]).plan.jobs()))  # type: ignore[attr-defined]
    store.write_job(job.name, job.key, job.settings, b"x", (1, 1), bare_record(job.name))
    shards = Shards(store, 1)

    def fsync(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(DiskFullError, match=r"000000.tar"):
        patched.setattr(os, "fsync", fsync)
        shards.add(job)
    assert not list(store.path.rglob("*.tar")) and store.record(job.name) is not None
    shards.flush()
    assert len(list(store.path.rglob("*.tar"))) == 1


def test_a_record_that_vanished_before_its_shard_is_told(
    store: RunFolder, world: Callable[..., object]
) -> None:
    job: Job = next(iter(world([1]).plan.jobs()))  # type: ignore[attr-defined]
    with pytest.raises(RunFolderError, match=r"c.png__s__seed-1.json: is gone; was it deleted"):
        Shards(store, 1).add(job)


def test_no_rights_are_told_otherwise_than_no_space(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="check space and rights") as raised:
        write_atomic(tmp_path / "file/below.txt", b"x")
    assert not isinstance(raised.value, DiskFullError)


def test_a_run_folder_below_a_file_cannot_begin(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="cannot be written"):
        RunFolder(tmp_path / "file/run").begin("", {})


def test_other_files_are_linked_or_copied_where_links_do_not_go(
    tmp_path: Path, store: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/labels.txt").write_text("cat")

    def link(source: object, target: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def mirror(where: str) -> int:
        return mirror_others([tmp_path / "data"], store, "link", lambda name: f"{where}/{name}")

    assert mirror("linked") == 1
    source, linked = tmp_path / "data/labels.txt", store.images / "linked/labels.txt"
    assert linked.stat().st_ino == source.stat().st_ino
    monkeypatch.setattr(os, "link", link)
    assert mirror("copied") == 1
    copied = store.images / "copied/labels.txt"
    assert copied.read_text() == "cat" and copied.stat().st_ino != source.stat().st_ino
    assert mirror("copied") == 0  # there already, and as new

    def refused(source: object, target: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(
        RunFolderError, match=r"labels.txt: cannot be written \(Permission denied\)"
    ):
        mirror("refused")
