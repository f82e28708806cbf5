"""Tar shards: whole, never changed, read by the library they are for."""

import errno
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import webdataset
from fake_run import bare_record

from pipeline.errors import DiskFullError, RunFolderError
from pipeline.manifest import load_manifest
from pipeline.plan import Job, Plan
from pipeline.store import RunFolder, Shards
from pipeline.store.shards import sample_key

MANIFEST = """
output: {path: run, format: webdataset, shard_size: 3}
content: content
style: s.png
settings: {size: 48}
grid: {seed: [0, 1]}
"""


class Folder:
    """A run folder of 4 contents x 2 seeds, whose jobs are done by hand."""

    def __init__(self, path: Path) -> None:
        (path / "m.yaml").write_text(MANIFEST)
        self.plan = Plan(load_manifest(path / "m.yaml"), lambda s: "", 1)
        self.store = RunFolder(path / "run")
        self.store.begin("", {})
        self.jobs = list(self.plan.jobs())

    def shards(self) -> Shards:
        return Shards(self.store, self.plan.shard_size)

    def do(self, job: Job) -> None:
        record, data = bare_record(job.name), job.name.encode()
        self.store.write_job(job.name, job.key, job.settings, data, (1, 1), record)

    def tars(self) -> list[str]:
        return sorted(path.name for path in (self.store.path / "shards").glob("*.tar"))

    def samples(self) -> list[dict[str, bytes]]:
        urls = [str(self.store.path / "shards" / name) for name in self.tars()]
        return list(webdataset.WebDataset(urls, shardshuffle=False))


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Folder:
    for number, name in enumerate(("x/a.v1.png", "x/a.v2.png", "y/a.png", "y/b.png", "../s.png")):
        picture(f"content/{name}", number)
    return Folder(tmp_path)


def test_full_shards_are_written_and_the_rest_at_the_end(folder: Folder) -> None:
    shards = folder.shards()
    for job in folder.jobs:
        assert not shards.settle(job)
        folder.do(job)
        shards.add(job)
    assert folder.tars() == ["000000.tar", "000001.tar"]
    shards.flush()
    assert folder.tars() == ["000000.tar", "000001.tar", "000002.tar"]
    assert not [path for path in folder.store.images.rglob("*") if path.is_file()]
    samples = folder.samples()
    assert len(samples) == len({s["__key__"] for s in samples}) == 8
    for sample, job in zip(samples, folder.jobs, strict=True):
        assert sample["png"] == job.name.encode()
        assert json.loads(sample["json"])["key"] == job.key
    again = folder.shards()
    assert all(again.settle(job) for job in folder.jobs)


def test_keys_hold_no_dot_and_stay_apart() -> None:
    keys = [sample_key(name) for name in ("a.b/c.d", "a.b/c_d", "a.b/c", "c.d")]
    assert len(set(keys)) == 4 and all("." not in key.rpartition("/")[2] for key in keys)


def test_a_run_killed_between_any_two_writes_goes_on(folder: Folder) -> None:
    shards = folder.shards()
    for job in folder.jobs[:3]:
        folder.do(job)
        shards.add(job)
    tar = folder.store.path / "shards" / "000000.tar"
    # Killed before the index was written, and before the loose files were removed.
    tar.with_suffix(".json").unlink()
    folder.do(folder.jobs[1])
    resumed = folder.shards()
    assert [resumed.settle(job) for job in folder.jobs[:4]] == [True, True, True, False]
    assert not list(folder.store.images.rglob("*.png"))
    # Killed with loose files that no shard holds yet.
    folder.do(folder.jobs[3])
    resumed = folder.shards()
    assert all(resumed.settle(job) for job in folder.jobs[:4])
    resumed.flush()
    assert [sample["png"].decode() for sample in folder.samples()] == [
        job.name for job in folder.jobs[:4]
    ]


def test_other_settings_want_another_folder(folder: Folder) -> None:
    shards = folder.shards()
    for job in folder.jobs[:3]:
        folder.do(job)
        shards.add(job)
    changed = Plan(folder.plan.manifest, lambda s: "other weights", 1)
    with pytest.raises(RunFolderError, match="choose another `output`"):
        folder.shards().is_done(next(changed.jobs()))


def test_a_damaged_shard_is_named(folder: Folder) -> None:
    shards = folder.shards()
    for job in folder.jobs[:3]:
        folder.do(job)
        shards.add(job)
    tar = folder.store.path / "shards" / "000000.tar"
    tar.write_bytes(tar.read_bytes()[:700])
    with pytest.raises(RunFolderError, match=r"000000.tar: damaged shard"):
        folder.shards()


def test_parts_of_a_run_write_shards_of_their_own(folder: Folder) -> None:
    part = Shards(RunFolder(folder.store.path, "2-of-4"), 3)
    part.store.temporary.mkdir(parents=True)
    folder.do(folder.jobs[0])
    part.add(folder.jobs[0])
    part.flush()
    assert folder.tars() == ["2-of-4-000000.tar"]
    with tarfile.open(folder.store.path / "shards" / folder.tars()[0]) as tar:
        assert len(tar.getnames()) == 2
    assert folder.shards().is_done(folder.jobs[0])


def fill(folder: Folder) -> Shards:
    """Three jobs done, two of them waiting for a shard."""
    shards = folder.shards()
    for job in folder.jobs[:3]:
        folder.do(job)
    for job in folder.jobs[:2]:
        shards.add(job)
    return shards


@pytest.mark.parametrize("suffix", ["json", "png"])
def test_what_was_deleted_before_its_shard_is_named(folder: Folder, suffix: str) -> None:
    shards, gone = fill(folder), folder.jobs[1]
    (folder.store.images / f"{gone.name}.{suffix}").unlink()
    with pytest.raises(RunFolderError, match=rf"{gone.name}.{suffix}: is gone; was it deleted"):
        shards.add(folder.jobs[2])
    assert folder.tars() == [] and list(folder.store.temporary.iterdir()) == []
    assert folder.store.is_done(folder.jobs[0].name, folder.jobs[0].key, folder.jobs[0].settings)


def test_a_full_disk_costs_the_shard_but_no_job(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = fill(folder)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFullError, match=r"000000.tar: cannot be written"):
            shards.add(folder.jobs[2])
    assert folder.tars() == [] and list(folder.store.temporary.iterdir()) == []
    shards.flush()
    assert len(folder.samples()) == 3


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"bytes": 1, "jobs": {}}'])
def test_an_index_that_is_not_the_shards_own_is_not_believed(folder: Folder, text: str) -> None:
    fill(folder).add(folder.jobs[2])
    (folder.store.path / "shards/000000.json").write_text(text)
    assert all(folder.shards().is_done(job) for job in folder.jobs[:3])


def test_a_record_in_a_shard_that_is_none_is_told(folder: Folder) -> None:
    fill(folder).add(folder.jobs[2])
    tar, index = (folder.store.path / f"shards/000000.{kind}" for kind in ("tar", "json"))
    index.unlink()
    tar.write_bytes(tar.read_bytes().replace(b'"key"', b'"kez"'))
    with pytest.raises(RunFolderError, match=r"000000.tar: damaged shard \(key: Field required"):
        folder.shards()


def test_the_end_writes_what_waits_and_leaves_no_empty_folder(folder: Folder) -> None:
    shards = folder.shards()
    for job in (folder.jobs[0], folder.jobs[-1]):
        folder.do(job)
    shards.add(folder.jobs[0])
    shards.end()
    assert folder.tars() == ["000000.tar"] and len(folder.samples()) == 1
    left = [path for path in folder.store.images.rglob("*") if path.is_dir()]
    assert [path.name for path in left] == ["y"]  # the last job's, which is in no shard


def test_loose_files_stay_where_no_shards_are_asked_for(folder: Folder) -> None:
    shards = Shards(folder.store, 0)
    folder.do(folder.jobs[0])
    assert shards.settle(folder.jobs[0])
    shards.flush()
    shards.end()
    assert folder.tars() == []
    assert (folder.store.images / f"{folder.jobs[0].name}.png").exists()


def test_exact_copies_of_a_picture_are_samples_of_their_own(folder: Folder, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "content/y/a.png", tmp_path / "content/y/copy.png")
    folder = Folder(tmp_path)
    assert len(folder.jobs) == 10 and len({job.key for job in folder.jobs}) == 8
    shards = folder.shards()
    for job in folder.jobs:
        assert not shards.settle(job)
        folder.do(job)
        shards.add(job)
    shards.end()
    assert len({sample["__key__"] for sample in folder.samples()}) == 10
    assert all(folder.shards().settle(job) for job in folder.jobs)
