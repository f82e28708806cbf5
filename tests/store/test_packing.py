"""What shards hold beside pictures and records: splits, classes, labels; as tars and as tables."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from fake_run import bare_record
from PIL import Image

from pipeline.errors import RunFolderError
from pipeline.manifest import load_manifest
from pipeline.pictures import read_size, set_members
from pipeline.plan import Job, Plan
from pipeline.report import build_report, make_sheet
from pipeline.report.table import rows
from pipeline.store import RunFolder, every_record, sample_of, shards_of
from pipeline.store.shards import _index_of
from pipeline.store.stale import Stale


def encoded() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(file, "PNG")
    return file.getvalue()


def write_set(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


class Folder:
    """A run folder into shards, whose jobs are done by hand."""

    def __init__(self, path: Path, form: str, content: str = "content") -> None:
        self.path, self.form, self.content = path, form, content
        self.plan = self.planned()
        self.store = RunFolder(path / "run")
        self.store.begin("", {})

    def planned(self) -> Plan:
        (self.path / "m.yaml").write_text(
            f"output: {{path: run, format: {self.form}, shard_size: 3}}\n"
            f"content: {self.content}\nstyle: s.png\nbackbone: lite\nsettings: {{size: 48}}\n"
        )
        return Plan(load_manifest(self.path / "m.yaml"), lambda s: "", 1)

    def do(self, job: Job) -> None:
        record = bare_record(job.name)
        self.store.write_job(job.name, job.key, job.settings, encoded(), (40, 30), record)

    def run(self) -> list[Job]:
        shards, jobs = shards_of(self.plan, self.store), list(self.plan.jobs())
        for job in jobs:
            if not shards.settle(job):
                self.do(job)
                shards.add(job)
        shards.end()
        return jobs

    def names(self, suffix: str) -> list[str]:
        return sorted(path.name for path in (self.store.path / "shards").glob(f"*{suffix}"))

    def samples(self, pattern: str) -> list[dict[str, bytes]]:
        urls = sorted(str(path) for path in (self.store.path / "shards").glob(pattern))
        return list(webdataset.WebDataset(urls, shardshuffle=False))


@pytest.fixture
def tree(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("s.png", 99)
    for number, name in enumerate(
        ("train/dog/a", "train/dog/b", "train/cat/a", "train/cat/c", "val/dog/a", "val/owl/d")
    ):
        picture(f"content/{name}.png", number)
    return tmp_path


def test_splits_are_kept_apart_and_folders_are_classes(tree: Path) -> None:
    folder = Folder(tree, "webdataset")
    folder.run()
    assert folder.names(".tar") == ["train-000000.tar", "train-000001.tar", "val-000000.tar"]
    classes = json.loads((tree / "run/shards/classes.json").read_text())
    assert classes == ["cat", "dog", "owl"]
    for sample in folder.samples("*.tar"):
        assert classes[int(sample["cls"])] == sample["__key__"].split("/")[1]
    assert all(s["__key__"].startswith("val/") for s in folder.samples("val-*.tar"))


def test_a_class_that_comes_later_leaves_the_others_their_numbers(
    tree: Path, picture: Callable[..., Path]
) -> None:
    folder = Folder(tree, "webdataset")
    folder.run()
    picture("content/train/ant/a.png", 50)
    folder.plan = folder.planned()
    folder.run()
    assert json.loads((tree / "run/shards/classes.json").read_text())[-1] == "ant"
    assert {s["cls"] for s in folder.samples("*.tar") if "/ant/" in s["__key__"]} == {b"3"}


def test_labels_of_a_data_set_come_along(tree: Path) -> None:
    write_set(
        tree / "in.tar",
        {
            "k.jpg": encoded(), "k.cls": b"7", "k.json": b'{"a": 1}', "k.txt": b"x",
            "k.png": b"a mask",
        },
    )  # fmt: skip
    folder = Folder(tree, "webdataset", "in.tar")
    folder.run()
    (sample,) = folder.samples("*.tar")
    assert sample["cls"] == b"7" and sample["txt"] == b"x"
    assert sample["source.json"] == b'{"a": 1}' and sample["source.png"] == b"a mask"
    assert json.loads(sample["json"])["name"] == "7/k.jpg__s"
    assert len(list(every_record(folder.store))) == 1


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_a_data_sets_class_numbers_stand_and_are_named_by_the_classes(
    tree: Path, form: str
) -> None:
    """Beside folders, which take those of their name and come behind else."""
    files = {}
    for key, cls in (("cat/k", b"5"), ("l", b"2"), ("owl/m", b"7"), ("bat/n", b"7")):
        files |= {f"{key}.png": encoded(), f"{key}.cls": cls}
    write_set(tree / "in.tar", files)
    folder = Folder(tree, form, "[in.tar, content]")
    folder.run()
    classes = json.loads((tree / "run/shards/classes.json").read_text())
    assert classes == [None, None, "2", None, None, "cat", None, "7", "dog", "owl"]
    if form == "webdataset":
        found = {s["__key__"].partition("~")[0]: int(s["cls"]) for s in folder.samples("*.tar")}
    else:
        tables = [pq.read_table(tree / "run/shards" / name) for name in folder.names(".parquet")]
        rows = [row for table in tables for row in table.to_pylist()]
        found = {row["name"].partition(".")[0]: row["label"] for row in rows}
        features = json.loads(tables[0].schema.metadata[b"huggingface"])["info"]["features"]
        assert features["label"]["names"] == [
            "0",
            "1",
            "2",
            "3",
            "4",
            "cat",
            "6",
            "7",
            "dog",
            "owl",
        ]
    assert found.pop("2/l") == 2 and found.pop("cat/k") == 5
    assert found.pop("owl/m") == found.pop("bat/n") == 7  # so 7 is of no one class
    assert all(classes[number] == name.split("/")[1] for name, number in found.items())
    assert json.loads((tree / "run/shards/classes.json").read_text()) == classes


def test_tables_names_of_classes_keep_their_numbers(tree: Path) -> None:
    features = {"label": {"names": ["x", "dog", "cat"], "_type": "ClassLabel"}}
    schema = pa.schema(
        [("image", pa.binary()), ("label", pa.int64())],
        {"huggingface": json.dumps({"info": {"features": features}})},
    )
    rows = [{"image": encoded(), "label": 2}, {"image": encoded(), "label": 1}]
    pq.write_table(pa.Table.from_pylist(rows, schema), tree / "in.parquet")
    folder = Folder(tree, "webdataset", "in.parquet")
    folder.run()
    assert json.loads((tree / "run/shards/classes.json").read_text()) == [None, "dog", "cat"]
    assert sorted(s["cls"] for s in folder.samples("*.tar")) == [b"1", b"2"]


def test_a_number_that_shards_have_for_another_class_is_refused(tree: Path) -> None:
    Folder(tree, "webdataset").run()
    write_set(tree / "in.tar", {"cow/k.png": encoded(), "cow/k.cls": b"1"})
    with pytest.raises(RunFolderError, match=r"class 1 is 'dog' in the shards .* 'cow' in a data"):
        folder = Folder(tree, "webdataset", "[in.tar, content]")
        shards_of(folder.plan, folder.store)  # before anything is made


def test_labels_that_are_gone_end_the_run_with_the_reason(tree: Path) -> None:
    write_set(tree / "in.tar", {"k.jpg": encoded()})
    folder = Folder(tree, "webdataset", "in.tar")
    (job,) = folder.plan.jobs()
    folder.do(job)
    (tree / "in.tar").write_bytes(b"gone")
    shards = shards_of(folder.plan, folder.store)
    shards.add(job)
    with pytest.raises(RunFolderError, match=r"labels of k.jpg__s cannot be read any more"):
        shards.end()
    assert folder.store.record(job.name) is not None


def test_tables_have_labels_and_are_content_again(tree: Path) -> None:
    folder = Folder(tree, "parquet")
    jobs = folder.run()
    assert folder.names(".parquet") == [
        "train-000000.parquet", "train-000001.parquet", "val-000000.parquet",
    ]  # fmt: skip
    table = pq.read_table(tree / "run/shards/val-000000.parquet")
    assert table.column("class").to_pylist() == ["dog", "owl"]
    assert table.column("label").to_pylist() == [1, 2]
    assert table.column("split").to_pylist() == ["val", "val"]
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"]["names"] == ["cat", "dog", "owl"]
    assert features["image"] == {"_type": "Image"}
    assert {record.name for record in every_record(folder.store)} == {job.name for job in jobs}
    again = shards_of(folder.plan, folder.store)
    assert all(again.settle(job) for job in jobs)
    shard = tree / "run/shards/train-000000.parquet"
    members = list(set_members(shard))
    assert members[0].file.startswith("train/cat/") and read_size(shard / "0") == (40, 30)


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_a_sample_of_shards_is_looked_at(tree: Path, form: str) -> None:
    folder = Folder(tree, form)
    jobs = folder.run()
    sample = sample_of(folder.store, 4)
    made = {record.name for record in sample.records()}
    assert len(made) == 4 and made <= {job.name for job in jobs}
    assert {r.name for r in sample_of(folder.store, 4).records()} == made
    assert build_report(sample).jobs == 4
    make_sheet(sample.path, "content", "style", tree / "sheet.png", 48, None)
    assert read_size(sample.path / "images" / f"{min(made)}.png") == (40, 30)
    assert sample_of(sample) is sample


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_a_damaged_record_in_a_shard_is_told_with_its_job(tree: Path, form: str) -> None:
    folder = Folder(tree, form)
    folder.run()
    shard = tree / f"run/shards/val-000000.{'tar' if form == 'webdataset' else 'parquet'}"
    if form == "webdataset":
        shard.write_bytes(shard.read_bytes().replace(b'"output"', b'"outpat"'))  # as long
    else:
        table = pq.read_table(shard)
        records = [text.replace('"output"', '"outpat"') for text in table["record"].to_pylist()]
        at = table.column_names.index("record")
        pq.write_table(table.set_column(at, table.field(at), [records]), shard)
    index = _index_of(shard)  # by which the shard is whole
    known = json.loads(index.read_text())
    index.write_text(json.dumps(known | {"bytes": shard.stat().st_size}))
    with pytest.raises(RunFolderError, match=rf"{shard}: damaged shard .*output.*delete it"):
        sample_of(folder.store)


def test_a_sample_that_cannot_be_written_is_told(tree: Path) -> None:
    folder = Folder(tree, "webdataset")
    folder.run()
    (tree / "run/sample").write_text("in the way")
    with pytest.raises(RunFolderError, match=r"sample.*cannot be written"):
        sample_of(folder.store)


def test_tables_leave_out_jobs_that_the_plan_has_no_more(tree: Path) -> None:
    folder = Folder(tree, "webdataset")
    folder.run()
    (tree / "content/val/owl/d.png").unlink()
    plan = folder.planned()
    stale = Stale(folder.store)
    stale.look(plan.names(), plan.formats, loose=False)
    stale.write()
    assert stale.packed == ["val/owl/d.png__s"]
    names = [row["name"] for row in rows(folder.store)]
    assert len(names) == 5 and "val/owl/d.png__s" not in names
    assert "val/owl/d.png__s" not in {r.name for r in sample_of(folder.store).records()}


def test_a_table_shard_that_is_damaged_is_named(tree: Path) -> None:
    folder = Folder(tree, "parquet")
    folder.run()
    path = tree / "run/shards/val-000000.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(RunFolderError, match=r"val-000000.parquet: damaged shard"):
        shards_of(folder.plan, folder.store)
