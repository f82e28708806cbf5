"""Thumbnails: made once, gone with their picture, missing where a picture is."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_run import digest
from PIL import Image

from pipeline.report import build_report
from pipeline.report.entries import find_entries
from pipeline.report.inputs import Inputs
from pipeline.report.thumbnails import input_thumbnail, make_thumbnails, thumbnail_name
from pipeline.store import RunFolder


def test_thumbnails_are_made_once_and_go_with_their_picture(run: Path) -> None:
    build_report(RunFolder(run))
    thumbs = {p: p.stat().st_mtime_ns for p in (run / "report/thumbs").glob("[!i]*.webp")}
    assert len(thumbs) == 7
    with Image.open(next(iter(thumbs))) as image:
        assert image.format == "WEBP" and max(image.size) == 64
    record = next(RunFolder(run).records())
    (run / "images" / f"{record.name}.json").unlink()
    build_report(RunFolder(run))
    after = {p: p.stat().st_mtime_ns for p in (run / "report/thumbs").glob("[!i]*.webp")}
    assert len(after) == 6 and after.items() <= thumbs.items()


def test_thumbnails_are_sharp_on_dense_screens_and_those_of_older_pages_go(
    run: Path, picture: Callable[..., Path]
) -> None:
    store, folder = RunFolder(run), run / "report/thumbs"
    record = next(store.records())
    Image.new("RGB", (1000, 500), (9, 9, 9)).save(run / record.output.path)
    folder.mkdir(parents=True)
    old = [folder / f"{name}.webp" for name in ("in-" + "0" * 17, record.output.sha256[:20])]
    for path in old:
        path.write_bytes(b"of 192 px")
    make_thumbnails(store, folder, find_entries(store)[0])
    assert not any(path.exists() for path in old)
    with Image.open(folder / f"{thumbnail_name(record.output.sha256)}.webp") as image:
        assert image.size == (384, 192)


def _over_the_limit(path: Path) -> None:
    """A PNG whose header says 60,000 x 60,000 px."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(chunk[4:])))


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda path: path.write_bytes(b"no picture"), _over_the_limit]
)
def test_a_picture_without_a_thumbnail_costs_nothing_else(
    run: Path, spoil: Callable[[Path], object]
) -> None:
    store = RunFolder(run)
    record = next(store.records())
    spoil(run / record.output.path)
    made = make_thumbnails(store, run / "thumbs", find_entries(store)[0])
    assert len(made) == 6 and thumbnail_name(record.output.sha256) not in made
    assert build_report(store).jobs == 8


def test_an_inputs_thumbnail_is_none_where_it_is_another_one_gone_or_no_picture(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    path, folder, store = picture("a.png"), tmp_path / "thumbs", RunFolder(tmp_path)
    name = input_thumbnail(store, folder, Inputs(store), str(path), digest(path))
    made = folder / f"{name}.webp"
    before = made.stat().st_mtime_ns
    assert input_thumbnail(store, folder, Inputs(store), str(path), digest(path)) == name
    assert made.stat().st_mtime_ns == before
    path.write_text("no picture")
    for other in (digest(path), "0" * 64):
        assert input_thumbnail(store, folder, Inputs(store), str(path), other) is None
    path.unlink()
    assert input_thumbnail(store, folder, Inputs(store), str(path), "1" * 64) is None


def test_an_input_whose_thumbnail_is_there_is_not_read_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_report(RunFolder(run))
    monkeypatch.setattr("pipeline.report.inputs.file_sha256", lambda path: 1 / 0)
    assert build_report(RunFolder(run)).jobs == 8
