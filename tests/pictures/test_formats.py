"""Which files are pictures, and how they are opened."""

import os
import warnings
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import ImageError
from pipeline.pictures import (
    formats,
    is_image_name,
    opened,
    read_exif,
    read_image,
    read_profile,
    read_size,
)
from pipeline.pictures.formats import DAMAGED, SUFFIXES, known_formats, open_file


def test_suffixes_count_in_either_case() -> None:
    assert is_image_name(Path("a.JPG")) and is_image_name(Path("b.tiff"))
    assert not is_image_name(Path("a.txt")) and not is_image_name(Path("png"))


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_pillow_knows_every_suffix(suffix: str) -> None:
    known_formats()
    name = Image.registered_extensions().get(suffix)
    if name is None:
        pytest.skip("its package is not installed")
    assert name in Image.OPEN and name in formats.FORMATS


@pytest.mark.parametrize("error", DAMAGED)
def test_what_goes_wrong_within_the_block_names_the_picture(
    tmp_path: Path, error: type[Exception]
) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    with (
        pytest.raises(ImageError, match=r"a.png: damaged or truncated picture \(broken\)"),
        opened(path),
    ):
        raise error("broken")


def test_half_of_pillows_limit_is_no_reason_to_warn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (15, 10)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_file(tmp_path / "a.png") as file:
            assert file.size == (15, 10)


def test_a_file_is_what_its_bytes_are_and_no_program_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow would have Ghostscript run a PostScript file, whatever it is called."""
    started = tmp_path / "started"
    for name in ("gs", "gswin64c"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho $@ >> {started}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    path = tmp_path / "x.jpg"
    path.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{ } loop\n"
    )
    for read in (read_image, read_size, read_profile, read_exif):
        with pytest.raises(ImageError, match=r"x.jpg: not a picture that can be read; convert it"):
            read(path)
    assert not started.exists()


@pytest.mark.parametrize("name", ["PCX", "SGI", "IM", "DDS", "PDF", "EPS"])
def test_formats_that_are_not_named_are_not_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (16, 16)).save(path, name)
    with pytest.raises(ImageError, match="not a picture that can be read"):
        read_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(ImageError, match=r"x.png: not a picture"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("suffix", ["heic", "avif", "jxl", "jfif", "jpe", "tga", "ico", "jp2"])
def test_newer_and_rarer_formats_are_read(tmp_path: Path, suffix: str) -> None:
    package = {"heic": "pillow_heif", "jxl": "pillow_jxl"}.get(suffix)
    if package:
        pytest.importorskip(package)
    formats.known_formats()
    form = {"jfif": "JPEG", "jpe": "JPEG"}.get(suffix)
    path = tmp_path / f"x.{suffix}"
    if suffix not in formats.SUFFIXES and Image.registered_extensions().get(f".{suffix}") is None:
        pytest.skip("Pillow has no such encoder here")
    Image.new("RGB", (48, 48), (200, 30, 30)).save(path, form)
    red, green, blue = read_image(path).getpixel((20, 20))  # type: ignore[misc]
    assert red > 180 and green < 60 and blue < 60 and is_image_name(path)


def test_what_a_missing_package_would_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    monkeypatch.setattr(formats, "known_formats", lambda: ("JPEG", "PNG"))
    with pytest.raises(ImageError, match=r"x.heic: HEIF is not read here; install the extra: pip"):
        read_size(tmp_path / "x.heic")


@pytest.mark.parametrize("error", DAMAGED)
def test_a_decoders_own_exception_is_the_pictures_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")

    def refuse(*_: object) -> None:
        raise error("odd")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    with pytest.raises(ImageError, match=r"a.png: "):
        read_image(tmp_path / "a.png")
