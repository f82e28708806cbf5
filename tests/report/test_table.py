"""One table of all of a run's jobs."""

import csv
import hashlib
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from batches import INLINE, records
from PIL import Image

from pipeline.commands import batch_manifest, write_table_of
from pipeline.errors import EngineError, RunFolderError
from pipeline.report import write_table
from pipeline.report.axes import make_axes
from pipeline.report.entries import find_entries
from pipeline.report.table import places
from pipeline.store import RunFolder

MANIFEST = """
output: {path: run, format: FORMAT}
content: content
style: s.png
backbone: lite
settings: {size: 48, steps: 2, scale_start: 0, preset: draft}
grid: {style_weight: [1, 2.5], style_layers: [{conv1_1: 1, conv2_1: 3}]}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good contents in class folders and a broken one, two grid points."""
    folder = tmp_path_factory.mktemp("table")
    draw(folder)
    (folder / "m.yaml").write_text(MANIFEST.replace("FORMAT", "files"))
    assert batch_manifest(folder / "m.yaml", INLINE, quiet=True) == 1
    return folder / "run"


def draw(folder: Path) -> None:
    for name, color in (("content/train/dogs/1.png", 90), ("content/train/cats/ü.png", 160)):
        path = folder / name
        path.parent.mkdir(parents=True)
        Image.new("RGB", (72, 56), (color, 40, 200 - color)).save(path)
    (folder / "content/train/cats/broken.png").write_bytes(b"x")
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(folder / "s.png")


@pytest.mark.parametrize("form", ["files", "parquet"])
def test_classes_are_the_contents_however_outputs_are_named(tmp_path: Path, form: str) -> None:
    """In the table, in shards, in the summary, and among the page's axes."""
    draw(tmp_path)
    (tmp_path / "content/val/dogs").mkdir(parents=True)
    (tmp_path / "content/train/dogs/1.png").rename(tmp_path / "content/val/dogs/1.png")
    text = MANIFEST.replace("{path: run", '{path: run, name: "{style}/{folder}/{stem}/{grid}"')
    (tmp_path / "m.yaml").write_text(text.replace("FORMAT", form))
    run = tmp_path / "run"
    assert batch_manifest(tmp_path / "m.yaml", INLINE, quiet=True) == 1
    rows = pq.read_table(run / "metadata.parquet").to_pylist()
    stems = {"1": ("val", "dogs"), "ü": ("train", "cats"), "broken": ("train", "cats")}
    assert len(rows) == 6
    for row in rows:
        assert (row["split"], row["class"]) == stems[Path(row["content"]).stem]
    summary = json.loads((run / "run.json").read_text())
    assert {name: row["jobs"] for name, row in summary["classes"].items()} == {"cats": 4, "dogs": 2}
    if form == "parquet":
        for shard in (run / "shards").glob("*.parquet"):
            for row in pq.read_table(shard).to_pylist():
                of_shard = row["split"], row["class"]
                assert of_shard == stems[Path(json.loads(row["record"])["content"]["path"]).stem]
        return
    axes = {axis.name: axis for axis in make_axes(find_entries(RunFolder(run))[0])}
    assert axes["class"].labels == ["cats", "dogs"] and axes["split"].labels == ["train", "val"]


def test_older_records_have_their_class_by_the_jobs_name() -> None:
    assert places("train/cats/a__s", None) == {
        "name": "train/cats/a__s", "split": "train", "class": "cats"
    }  # fmt: skip
    assert places("s/train/a", "a.png") == {"name": "s/train/a", "split": "", "class": ""}


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in rows}


def test_a_table_has_a_row_for_every_job(run: Path, tmp_path: Path) -> None:
    assert write_table(RunFolder(run), tmp_path / "t.csv") == 6
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = by_name(list(csv.DictReader(file)))
    made = {name.removesuffix(".json"): record for name, record in records(run).items()}
    assert {n for n, row in rows.items() if row["status"] == "done"} == set(made)
    for name, record in made.items():
        row = rows[name]
        assert (row["split"], row["class"]) == ("train", name.split("/")[1])
        assert row["image"] == record["output"]["path"] and row["key"] == record["key"]
        assert float(row["settings.style_weight"]) == record["swept"]["style_weight"]
        assert json.loads(row["settings.style_layers"]) == {"conv1_1": 1, "conv2_1": 3}
        assert float(row["loss.total"]) == record["losses"][-1]["total"]
        assert (row["width"], row["height"]) == ("48", "37") and row["preset"] == "draft"
    failed = [row for row in rows.values() if row["status"] == "failed"]
    assert {row["class"] for row in failed} == {"cats"} and len(failed) == 2
    assert "not a picture" in failed[0]["error"] and failed[0]["error_type"] == "ImageError"


def test_parquet_has_the_same_with_types(run: Path, tmp_path: Path) -> None:
    assert write_table(RunFolder(run), tmp_path / "t.parquet") == 6
    table = pq.read_table(tmp_path / "t.parquet")
    rows = by_name(table.to_pylist())
    made = {name.removesuffix(".json"): record for name, record in records(run).items()}
    for name, record in made.items():
        assert rows[name]["width"] == 48 and rows[name]["error"] is None
        # 1 and 2.5: whole numbers and others are one column of numbers.
        assert rows[name]["settings.style_weight"] == float(record["swept"]["style_weight"])
        assert rows[name]["loss.style"] == record["losses"][-1]["style"]
    assert str(table.schema.field("settings.style_weight").type) == "double"


def test_the_table_lies_beside_run_json_at_the_end_of_a_run(run: Path) -> None:
    assert pq.read_table(run / "metadata.parquet").num_rows == 6


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_a_run_in_shards_has_the_same_table_and_says_where_pictures_are(
    run: Path, tmp_path: Path, form: str
) -> None:
    draw(tmp_path)
    (tmp_path / "m.yaml").write_text(MANIFEST.replace("FORMAT", form))
    batch_manifest(tmp_path / "m.yaml", INLINE, quiet=True)
    rows = pq.read_table(tmp_path / "run/metadata.parquet").to_pylist()
    loose = pq.read_table(run / "metadata.parquet").to_pylist()
    assert [(r["name"], r["key"]) for r in rows] == [(r["name"], r["key"]) for r in loose]
    assert set(rows[0]) - set(loose[0]) == {"shard", "sample"} and "image" in rows[0]
    assert all(row["image"] is None for row in rows)
    done = [row for row in rows if row["status"] == "done"]
    assert len(done) == 4
    for row in done:
        found = pictures_in(tmp_path / "run" / row["shard"])[f"{row['sample']}.png"]
        assert hashlib.sha256(found).hexdigest() == row["sha256"]


def pictures_in(shard: Path) -> dict[str, bytes]:
    if shard.suffix == ".parquet":
        cells = pq.read_table(shard).column("image").to_pylist()
        return {cell["path"]: cell["bytes"] for cell in cells}
    with tarfile.open(shard) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


def test_names_that_are_no_text_are_kept(tmp_path: Path, picture: Callable[..., Path]) -> None:
    name = b"\xff.png".decode(errors="surrogateescape")
    try:
        picture(f"content/{name}")
    except OSError:
        pytest.skip("this disk has no such names")
    picture("s.png")
    (tmp_path / "m.yaml").write_text(MANIFEST.replace("FORMAT", "files"))
    assert batch_manifest(tmp_path / "m.yaml", INLINE, quiet=True) == 0
    for suffix in (".csv", ".parquet"):
        assert write_table(RunFolder(tmp_path / "run"), tmp_path / f"t{suffix}") == 2
    with (tmp_path / "t.csv").open(newline="", errors="surrogateescape") as file:
        assert next(csv.DictReader(file))["content"].endswith(name)


def test_without_pyarrow_it_is_csv(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert write_table_of(run, None) == 0
    assert capsys.readouterr().out == f"{run / 'metadata.csv'}: 6 jobs\n"
    with pytest.raises(EngineError, match=r"needs the package pyarrow.*or choose \.csv"):
        write_table_of(run, run / "t.parquet")


@pytest.mark.parametrize("name", ["t.xlsx", "t"])
def test_another_suffix_is_told(run: Path, name: str) -> None:
    with pytest.raises(EngineError, match=r"a table is \.csv or \.parquet"):
        write_table_of(run, run / name)


def test_a_table_that_cannot_be_written_leaves_nothing(run: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_table_of(run, tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == [tmp_path / "t.csv"]


def test_a_folder_without_a_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError):
        write_table_of(tmp_path, None)
