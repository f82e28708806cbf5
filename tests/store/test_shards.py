"""Tar shards: whole, never changed, read by the library they are for."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import webdataset

from pipeline.errors import RunFolderError
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
        record = {"name": job.name}
        data = job.name.encode()
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
        shards.add(job.name, "png")
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
        shards.add(job.name, "png")
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
        shards.add(job.name, "png")
    changed = Plan(folder.plan.manifest, lambda s: "other weights", 1)
    with pytest.raises(RunFolderError, match="choose another `output`"):
        folder.shards().is_done(next(changed.jobs()))


def test_a_damaged_shard_is_named(folder: Folder) -> None:
    shards = folder.shards()
    for job in folder.jobs[:3]:
        folder.do(job)
        shards.add(job.name, "png")
    tar = folder.store.path / "shards" / "000000.tar"
    tar.write_bytes(tar.read_bytes()[:700])
    with pytest.raises(RunFolderError, match=r"000000.tar: damaged shard"):
        folder.shards()


def test_parts_of_a_run_write_shards_of_their_own(folder: Folder) -> None:
    part = Shards(RunFolder(folder.store.path, "2-of-4"), 3)
    part.store.temporary.mkdir(parents=True)
    folder.do(folder.jobs[0])
    part.add(folder.jobs[0].name, "png")
    part.flush()
    assert folder.tars() == ["2-of-4-000000.tar"]
    with tarfile.open(folder.store.path / "shards" / folder.tars()[0]) as tar:
        assert len(tar.getnames()) == 2
    assert folder.shards().is_done(folder.jobs[0])
