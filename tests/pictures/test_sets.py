"""Pictures of tar shards, Parquet and Arrow tables, read where they lie."""

import hashlib
import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import ImageError
from pipeline.pictures import (
    decode,
    member_labels,
    member_others,
    read_identity,
    read_size,
    set_members,
    set_passed,
    set_problem,
)
from pipeline.pictures import rows as rows_module
from pipeline.pictures.plain_tars import plain_entries


def encoded(seed: int, form: str = "JPEG", size: tuple[int, int] = (40, 24)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, form)
    return file.getvalue()


def write_tar(path: Path, files: dict[str, bytes], form: int = tarfile.USTAR_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_samples_of_a_shard_are_pictures_with_labels(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "train-000000.tar",
        {
            "./a.jpg": encoded(1),
            "./a.cls": b"3\n",
            "./a.json": b'{"w": [1, 2]}',
            "b.seg.png": encoded(9, "PNG"),
            "b.png": encoded(2, "PNG"),
            "b.txt": "ein Bär".encode(),
            "x/c.jpg": encoded(3),
            "note.txt": b"no picture",
        },
    )
    found = list(set_members(path))
    assert [(m.name, m.file) for m in found] == [
        ("a.jpg", "train/3/a.jpg"),
        ("b.png", "train/b.png"),
        ("x/c.jpg", "train/x/c.jpg"),
    ]
    assert set_passed(path) == 1 and set_problem(path) == ""
    assert read_identity(path / "a.jpg") == hashlib.sha256(encoded(1)).hexdigest()
    assert read_size(path / "x/c.jpg") == (40, 24)
    assert decode(path / "b.png").image.size == (40, 24)
    assert member_labels(path / "a.jpg") == {"cls": 3, "json": {"w": [1, 2]}}
    assert member_others(path / "a.jpg") == {"cls": b"3\n", "source.json": b'{"w": [1, 2]}'}
    assert member_labels(path / "b.png") == {"txt": "ein Bär"}
    assert set(member_others(path / "b.png")) == {"seg.png", "txt"}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read(tmp_path: Path, form: int) -> None:
    long = f"{'d' * 90}/{'e' * 60}/{'f' * 40}" if form != tarfile.USTAR_FORMAT else "d" * 60
    path = write_tar(tmp_path / "s.tar", {f"{long}.jpg": encoded(1), "b.jpg": encoded(2)}, form)
    assert [m.file for m in set_members(path)] == [f"{long}.jpg", "b.jpg"]
    assert read_identity(path / f"{long}.jpg") == hashlib.sha256(encoded(1)).hexdigest()


def test_a_shard_that_webdataset_wrote_is_read_the_quick_way(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    with webdataset.TarWriter(str(path)) as writer:
        writer.write({"__key__": "k/1", "jpg": encoded(1), "cls": 4})
    with path.open("rb") as file:
        found = plain_entries(file)
    assert found is not None
    names = [name for name, _, _ in found]
    with tarfile.open(path) as tar:
        assert names == tar.getnames()
        assert [place for _, place, _ in found] == [info.offset_data for info in tar]


@given(
    st.dictionaries(
        st.from_regex(r"\A[a-z]{1,8}/[a-z]{1,8}\.(jpg|cls)\Z"), st.binary(max_size=1200), max_size=6
    )
)
def test_quick_and_thorough_reading_agree(files: dict[str, bytes]) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with tempfile.TemporaryFile() as file:
        file.write(data.getvalue())
        file.flush()
        found = plain_entries(file)
    assert found is not None
    read = {name: data.getvalue()[at : at + size] for name, at, size in found}
    assert read == files


def test_a_cut_shard_gives_what_is_whole(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", {f"{n}.jpg": encoded(n) for n in range(4)})
    with tarfile.open(path) as tar:
        third = tar.getmembers()[2].offset_data
    os.truncate(path, third + 100)
    assert [m.name for m in set_members(path)] == ["0.jpg", "1.jpg"]
    assert "cut short" in set_problem(path)
    assert read_size(path / "0.jpg") == (40, 24)
    with pytest.raises(ImageError, match="which is damaged or cut short; replace it"):
        read_identity(path / "2.jpg")


def test_a_shard_that_ends_between_two_files_is_a_cut_one(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", {"0.jpg": encoded(0), "1.jpg": encoded(1), "1.cls": b"3"})
    with tarfile.open(path) as tar:
        label = tar.getmember("1.cls").offset
    os.truncate(path, label)
    assert [m.name for m in set_members(path)] == ["0.jpg"]
    assert "cut short" in set_problem(path)


def test_a_cut_shard_whose_samples_do_not_lie_together_is_refused(tmp_path: Path) -> None:
    files = {"0.jpg": encoded(0), "1.jpg": encoded(1), "0.cls": b"3", "1.cls": b"4"}
    path = write_tar(tmp_path / "s.tar", files)
    assert [m.file for m in set_members(path)] == ["3/0.jpg", "4/1.jpg"]
    with tarfile.open(path) as tar:
        label = tar.getmember("1.cls").offset
    os.truncate(path, label)
    with pytest.raises(ImageError, match="do not lie side by side"):
        list(set_members(path))


def test_samples_of_one_name_are_each_a_picture(tmp_path: Path) -> None:
    """Also names that differ in the extension's capitals alone, or that look like a number's."""
    path = tmp_path / "s.tar"
    names = ["a.jpg", "a.cls", "a~2.jpg", "b.JPG", "b.jpg", "./a.jpg", "a.cls"]
    with tarfile.open(path, "w") as tar:
        for number, name in enumerate(names):
            data = b"%d" % number if name.endswith("cls") else encoded(number)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    found = {m.name: m.label for m in set_members(path)}
    assert found == {"a.jpg": "1", "a~2.jpg": "", "b.JPG": "", "b~2.jpg": "", "a~3.jpg": "6"}
    assert len({read_identity(path / name) for name in found}) == 5


def test_a_sample_keeps_its_files_whose_name_another_was_given(tmp_path: Path) -> None:
    """The second `a` is `a~2`; the class, the text and the picture of `a~2` itself are its own."""
    path = tmp_path / "s.tar"
    names = ["a.jpg", "a.cls", "a.jpg", "a~2.cls", "a~2.txt", "a~2.jpg", "a~2.jpg", "a~3.jpg"]
    with tarfile.open(path, "w") as tar:
        for number, name in enumerate(names):
            data = encoded(number) if name.endswith("jpg") else b"%d" % number
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    found = {m.name: m.label for m in set_members(path)}
    own = {"a.jpg": "1", "a~2.jpg": "", "a~2~2.jpg": "3", "a~2~3.jpg": "", "a~3.jpg": ""}
    assert found == own
    assert member_labels(path / "a~2~2.jpg") == {"cls": 3, "txt": "4"}
    assert member_labels(path / "a~2.jpg") == {}
    identities = [read_identity(path / name) for name in own]
    assert len(set(identities)) == 5


def test_names_in_a_shard_stay_when_it_grows(tmp_path: Path) -> None:
    found: list[str] = []
    names = ["a.jpg", "a.jpg", "a~2.jpg", "a.JPG", "A.jpg", "a~2.jpg"]
    for count in range(1, len(names) + 1):
        path = tmp_path / f"{count}.tar"
        with tarfile.open(path, "w") as tar:
            for number, name in enumerate(names[:count]):
                info = tarfile.TarInfo(name)
                info.size = len(encoded(number))
                tar.addfile(info, io.BytesIO(encoded(number)))
        before, found = found, [member.name for member in set_members(path)]
        assert found[:-1] == before
    assert found == ["a.jpg", "a~2.jpg", "a~2~2.jpg", "a~3.JPG", "A.jpg", "a~2~3.jpg"]


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100, b"\x1f\x8b" + bytes(600)])
def test_what_is_no_shard_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "s.tar"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"no tar shard that can be read"):
        list(set_members(path))


def test_a_member_that_is_not_there_and_a_plain_folder(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", {"a.jpg": encoded(1)})
    with pytest.raises(ImageError, match="no such picture in the shard"):
        read_identity(path / "b.jpg")
    folder = tmp_path / "odd.tar"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(encoded(1))
    assert read_identity(folder / "a.jpg") == hashlib.sha256(encoded(1)).hexdigest()
    assert member_labels(folder / "a.jpg") == {} == member_others(folder / "a.jpg")


def test_a_member_that_leads_out_is_none(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(encoded(7))
    path = write_tar(tmp_path / "s.tar", {"a.jpg": encoded(1), "../secret.jpg": encoded(2)})
    assert [m.name for m in set_members(path)] == ["a.jpg", "secret.jpg"]
    with pytest.raises(ImageError, match="no such picture"):
        read_identity(path / "../secret.jpg")


def test_a_changed_shard_is_read_anew(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", {"a.jpg": encoded(1)})
    first = read_identity(path / "a.jpg")
    write_tar(path, {"z.jpg": encoded(5, size=(80, 80)), "a.jpg": encoded(2)})
    os.utime(path, (time.time() + 5,) * 2)
    assert read_identity(path / "a.jpg") == hashlib.sha256(encoded(2)).hexdigest() != first


# --- tables ---------------------------------------------------------------------------------------

HEADER = {
    b"huggingface": json.dumps(
        {
            "info": {
                "features": {
                    "image": {"_type": "Image"},
                    "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
                }
            }
        }
    ).encode()
}


def table_of(pictures: list[Any], **columns: list[Any]) -> pa.Table:
    return pa.table({"image": pictures, **columns}).replace_schema_metadata(HEADER)


@pytest.fixture(params=["parquet", "arrow", "arrow file"])
def write_table(request: pytest.FixtureRequest) -> Callable[[Path, pa.Table], Path]:
    def write(folder: Path, table: pa.Table) -> Path:
        path = folder / f"train-00000-of-00001.{str(request.param).split()[0]}"
        if request.param == "parquet":
            pq.write_table(table, path, row_group_size=2)
            return path
        opened = pa.ipc.new_stream if request.param == "arrow" else pa.ipc.new_file
        with opened(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
        return path

    return write


def test_rows_are_pictures_with_labels(
    tmp_path: Path, write_table: Callable[[Path, pa.Table], Path]
) -> None:
    pictures = [{"bytes": encoded(n), "path": f"dir/{n}.JPEG" if n else None} for n in range(5)]
    table = table_of(pictures, label=[0, 1, 1, 0, 1], caption=list("abcde"))
    path = write_table(tmp_path, table)
    found = list(set_members(path))
    assert [(m.name, m.file) for m in found] == [
        ("0", "train/cat/train-00000-of-00001-000000"),
        ("1", "train/dog/1.JPEG"),
        ("2", "train/dog/2.JPEG"),
        ("3", "train/cat/3.JPEG"),
        ("4", "train/dog/4.JPEG"),
    ]
    for n in (4, 0, 3):
        assert read_identity(path / str(n)) == hashlib.sha256(encoded(n)).hexdigest()
    assert member_labels(path / "3") == {"label": 0, "caption": "d", "class": "cat"}
    others = member_others(path / "4")
    assert others["cls"] == b"1" and json.loads(others["source.json"])["caption"] == "e"
    with pytest.raises(ImageError, match="no such row"):
        read_identity(path / "5")


def test_plain_bytes_and_missing_ones(
    tmp_path: Path, write_table: Callable[[Path, pa.Table], Path]
) -> None:
    path = write_table(tmp_path, pa.table({"jpg": [encoded(1), None], "cls": [7, 8]}))
    assert [m.file for m in set_members(path)] == [
        "train/7/train-00000-of-00001-000000",
        "train/8/train-00000-of-00001-000001",
    ]
    assert read_size(path / "0") == (40, 24)
    with pytest.raises(ImageError, match="holds no bytes"):
        read_identity(path / "1")


def test_a_table_without_pictures_names_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), path)
    with pytest.raises(ImageError, match=r"no column `image`.*a, b"):
        list(set_members(path))
    path.write_bytes(b"PAR1 no")
    os.utime(path, (time.time() + 5,) * 2)
    with pytest.raises(ImageError, match="no table that can be read"):
        list(set_members(path))


def test_large_groups_are_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_MOST_GROUP", 100)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": [encoded(n) for n in range(40)], "n": list(range(40))}), path)
    for n in (39, 0, 17):
        assert read_identity(path / str(n)) == hashlib.sha256(encoded(n)).hexdigest()
        assert member_labels(path / str(n)) == {"n": n}


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": [encoded(1)]}), path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    from pipeline.errors import MissingPackageError

    with pytest.raises(MissingPackageError, match=r"\[parquet\]"):
        list(set_members(path))
