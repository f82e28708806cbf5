"""The text that a written picture holds, written and read back, also by other tools' rules."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from pipeline.errors import ImageError
from pipeline.pictures import Encoding, encode, read_text

TEXT = {"name": "<&>\"'\u00e9 \ud83d\ude00", "key": "k"}


def written(path: Path, how: Encoding) -> Path:
    path.write_bytes(encode(torch.rand(3, 9, 12), how))
    return path


@pytest.mark.parametrize(
    ("kind", "depth"), [("png", 8), ("png", 16), ("jpg", 8), ("webp", 8), ("tiff", 8), ("tiff", 16)]
)
def test_every_format_gives_back_what_was_written(tmp_path: Path, kind: str, depth: int) -> None:
    how = Encoding(kind, depth=depth, text=TEXT)
    assert read_text(written(tmp_path / f"a.{kind}", how)) == how.as_json
    assert read_text(written(tmp_path / f"b.{kind}", Encoding(kind, depth=depth))) is None


@pytest.mark.parametrize("kind", ["jpg", "webp", "tiff"])
def test_the_text_changes_no_pixel(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    pixels = torch.rand(3, 9, 12)
    with_text, without = (encode(pixels, Encoding(kind, text=t)) for t in (TEXT, {}))
    first, second = (np.asarray(Image.open(io.BytesIO(d))) for d in (with_text, without))
    assert np.array_equal(first, second)


def test_a_jpeg_holds_no_more_than_a_marker_can(tmp_path: Path) -> None:
    for length, held in ((60_000, True), (70_000, False)):
        path = written(tmp_path / "a.jpg", Encoding("jpg", text={"t": "x" * length}))
        assert (read_text(path) is not None) == held


def xmp(path: Path, packet: str) -> Path:
    Image.new("RGB", (4, 4)).save(path, xmp=packet.encode())
    return path


RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:own="urn:nst:1.0:"'


def test_xmp_that_another_tool_wrote_anew_is_read(tmp_path: Path) -> None:
    packet = f'<rdf:RDF {RDF}><rdf:Description own:made="{{&quot;a&quot;: 1}}"/></rdf:RDF>'
    assert read_text(xmp(tmp_path / "a.webp", packet)) == '{"a": 1}'


@pytest.mark.parametrize(
    "packet",
    [
        "<broken",
        f'<!DOCTYPE r [<!ENTITY e "x">]><rdf:RDF {RDF}><own:made>&e;</own:made></rdf:RDF>',
        f"<rdf:RDF {RDF}><own:other>x</own:other></rdf:RDF>",
        f"<rdf:RDF {RDF}><own:made>{'x' * 2**20}</own:made></rdf:RDF>",
    ],
)
def test_other_xmp_is_none_of_ours(tmp_path: Path, packet: str) -> None:
    assert read_text(xmp(tmp_path / "a.webp", packet)) is None


def test_a_text_longer_than_any_of_ours_is_refused(tmp_path: Path) -> None:
    chunk = PngImagePlugin.PngInfo()
    chunk.add_itxt("nst", "x" * (2**20 + 1))
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=chunk)
    with pytest.raises(ImageError, match=r"a.png: its text `nst` is longer than any of ours"):
        read_text(tmp_path / "a.png")
