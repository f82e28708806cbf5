"""Damaged picture files of every format: the project's own error, or a picture; never another."""

import io
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import ImageError
from pipeline.pictures import read_exif, read_image, read_profile, read_size
from pipeline.pictures.formats import DEEP_TIFF as FORMAT
from pipeline.pictures.formats import FORMATS, known_formats

NAMES = [name for name in FORMATS if name in known_formats() and name in Image.SAVE]
NAMES.append(FORMAT)
Change = tuple[float, int]
_STARTED: list[str] = []  # processes that reading began
_STARTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec")
_LONGEST_S, _LARGEST_BYTES = 5.0, 1e9


def _note_processes(event: str, _: object) -> None:
    if event in _STARTS:
        _STARTED.append(event)


sys.addaudithook(_note_processes)


def _most_bytes() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def valid(name: str) -> bytes:
    """A small picture with EXIF data and a profile where the format has them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.radial_gradient("L").resize((24, 16)).convert("RGB")
    buffer = io.BytesIO()
    if name == FORMAT:
        tifffile.imwrite(buffer, np.asarray(image, np.float32) / 255, photometric="rgb")
        return buffer.getvalue()
    options = {"exif": exif} if name in ("JPEG", "PNG", "WEBP", "AVIF") else {}
    image.save(buffer, name, **options)
    return buffer.getvalue()


def read_all(data: bytes, suffix: str) -> None:
    """Reads a file in all ways: its errors are ours, it starts no process, it fills no memory."""
    _STARTED.clear()
    before = _most_bytes()
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        path.write_bytes(data)
        for read in (read_size, read_image, read_profile, read_exif):
            try:
                read(path)
            except ImageError as error:
                assert str(path) in str(error)
    assert not _STARTED and _most_bytes() - before < _LARGEST_BYTES


def mutated(data: bytes, changes: list[Change], cut: float) -> bytes:
    found = bytearray(data)
    for place, value in changes:
        found[int(place * (len(found) - 1))] = value
    return bytes(found[: int(cut * len(found))])


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12)
CUTS = st.one_of(st.just(1.0), st.floats(0, 1))


def test_a_process_would_be_noticed() -> None:
    _STARTED.clear()
    subprocess.run([sys.executable, "-c", ""], check=True)
    assert _STARTED


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
    began = time.monotonic()
    read_all(mutated(valid(name), changes, cut), (*FORMATS[name], ".jpg")[0])
    assert time.monotonic() - began < _LONGEST_S
