"""Damaged picture files of every format: the project's own error, or a picture; never another."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import ImageError
from pipeline.pictures import read_exif, read_image, read_profile, read_size
from pipeline.pictures.formats import FORMATS, known_formats

NAMES = [name for name in FORMATS if name in known_formats() and name in Image.SAVE]
Change = tuple[float, int]


def valid(name: str) -> bytes:
    """A small picture with EXIF data and a profile where the format has them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.radial_gradient("L").resize((24, 16)).convert("RGB")
    buffer = io.BytesIO()
    options = {"exif": exif} if name in ("JPEG", "PNG", "WEBP", "AVIF") else {}
    image.save(buffer, name, **options)
    return buffer.getvalue()


def read_all(data: bytes, suffix: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        path.write_bytes(data)
        for read in (read_size, read_image, read_profile, read_exif):
            try:
                read(path)
            except ImageError as error:
                assert str(path) in str(error)


def mutated(data: bytes, changes: list[Change], cut: float) -> bytes:
    found = bytearray(data)
    for place, value in changes:
        found[int(place * (len(found) - 1))] = value
    return bytes(found[: int(cut * len(found))])


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12)
CUTS = st.one_of(st.just(1.0), st.floats(0, 1))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=200)
@given(changes=CHANGES, cut=CUTS)
def test_only_the_projects_own_errors(name: str, changes: list[Change], cut: float) -> None:
    read_all(mutated(valid(name), changes, cut), (*FORMATS[name], ".jpg")[0])


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20_000)
@given(changes=CHANGES, cut=CUTS)
def test_only_the_projects_own_errors_often(name: str, changes: list[Change], cut: float) -> None:
    read_all(mutated(valid(name), changes, cut), (*FORMATS[name], ".jpg")[0])
