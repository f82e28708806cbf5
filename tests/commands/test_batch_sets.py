"""Data sets in: shards and tables as content, with damaged members, labels, resume, records."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batches import INLINE, summary
from batches import records as record_files
from PIL import Image

from pipeline.commands import Changes, batch_manifest, make_again, show_status
from pipeline.pictures import read_text

HEAD = "style: s.png\nbackbone: lite\nsettings: {size: 48, steps: 2}\n"


def encoded(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((72, 56)).save(file, "JPEG")
    return file.getvalue()


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """Two shards of two pictures, of which one is damaged; and a table of two."""
    picture("s.png", 9)
    for number, split in enumerate(("train", "val")):
        with tarfile.open(tmp_path / f"{split}-000000.tar", "w") as tar:
            add(tar, f"{number}a.jpg", encoded(number))
            add(tar, f"{number}a.cls", b"%d" % number)
            add(tar, f"{number}b.jpg", encoded(7)[:99] if number else encoded(5))
            add(tar, f"{number}b.json", b'{"caption": "x"}')
    rows = [{"bytes": encoded(n), "path": None} for n in (20, 21)]
    pq.write_table(pa.table({"image": rows, "label": [3, 4]}), tmp_path / "test-00000.parquet")
    return tmp_path


def records(run: Path) -> dict[str, dict[str, Any]]:
    return {name.removesuffix(".json"): record for name, record in record_files(run).items()}


def write(folder: Path, content: str, output: str = "run") -> Path:
    path = folder / "m.yaml"
    path.write_text(f"output: {output}\ncontent: {content}\n{HEAD}")
    return path


def test_what_is_said_of_the_manifest_is_logged_and_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = folder / "train-000000.tar"
    with tarfile.open(shard) as tar:
        cut = tar.getmember("0b.json").offset
    with shard.open("r+b") as file:
        file.truncate(cut)
    path = write(folder, "train-000000.tar")
    path.write_text(path.read_text() + "exclude: ['*nobody*']\n")
    assert batch_manifest(path, INLINE) == 0
    counts = {"cut_shard": 1, "excludes_nothing": 1}
    assert summary(folder / "run")["warnings"] == counts
    said, log = capsys.readouterr(), (folder / "run/run.log").read_text()
    assert "warnings: 1 cut_shard, 1 excludes_nothing (each is in run.log)" in said.out
    assert "WARNING cut_shard: " in log and "WARNING excludes_nothing: " in log
    assert said.err.count("train-000000.tar") == log.count("train-000000.tar") == 1
    assert show_status(folder / "run", as_json=False) == 0
    assert "1 excludes_nothing; each is in run.log" in capsys.readouterr().out


def test_shards_become_pictures_and_records_once(folder: Path) -> None:
    path = write(folder, "'*-000000.tar'")
    assert batch_manifest(path, INLINE, quiet=True) == 1
    made = records(folder / "run")
    assert sorted(made) == ["train/0/0a.jpg__s", "train/0b.jpg__s", "val/1/1a.jpg__s"]
    about = made["train/0/0a.jpg__s"]["content"]
    assert about["path"] == str(folder / "train-000000.tar/0a.jpg")
    assert about["labels"] == {"cls": 0}
    text = read_text(folder / "run/images/train/0/0a.jpg__s.png")
    assert text is not None and "labels" not in str(text)
    assert made["train/0b.jpg__s"]["content"]["labels"] == {"json": {"caption": "x"}}
    failed = json.loads((folder / "run/failures.jsonl").read_text().splitlines()[-1])
    assert failed["name"] == "val/1b.jpg__s" and "val-000000.tar/1b.jpg" in failed["error"]
    assert (folder / "run/report.html").exists()
    before = {p: p.stat().st_mtime_ns for p in (folder / "run/images").rglob("*")}
    assert batch_manifest(path, INLINE, quiet=True) == 1
    assert before == {p: p.stat().st_mtime_ns for p in (folder / "run/images").rglob("*")}


def test_rows_of_a_table_become_pictures(folder: Path) -> None:
    path = write(folder, "test-00000.parquet")
    assert batch_manifest(path, INLINE, quiet=True) == 0
    made = records(folder / "run")
    assert sorted(made) == ["test/3/test-00000-000000__s", "test/4/test-00000-000001__s"]
    assert made["test/4/test-00000-000001__s"]["content"]["labels"] == {"label": 4}


def test_a_picture_of_a_shard_is_made_again(folder: Path) -> None:
    path = write(folder, "train-000000.tar")
    assert batch_manifest(path, INLINE, quiet=True, with_report=False) == 0
    made = folder / "run/images/train/0/0a.jpg__s.png"
    changes = Changes(["seed=3"])
    assert make_again(made, folder / "again.png", changes, INLINE, quiet=True) == 0
    assert (folder / "again.png").exists()
