"""What a file says of itself without its pixels."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from pipeline.errors import ImageError
from pipeline.pictures import (
    Encoding,
    check_header,
    encode,
    read_exif,
    read_profile,
    read_size,
    to_tensor,
)

RED, GREEN = (255, 0, 0), (0, 128, 0)


def two_halves(left: object = RED, right: object = GREEN, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (40, 20), left)  # type: ignore[arg-type]
    image.paste(right, (20, 0, 40, 20))  # type: ignore[arg-type]
    return image


def test_only_rgb_profiles_are_taken(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    two_halves().save(tmp_path / "b.png", icc_profile=lab)
    assert read_profile(tmp_path / "b.png") is None
    two_halves().save(tmp_path / "c.png")
    assert read_profile(tmp_path / "c.png") is None


def test_exif_is_kept_but_for_the_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist], exif[ExifTags.Base.Orientation] = "someone", 6
    two_halves().save(tmp_path / "a.jpg", exif=exif)
    for kind in ("png", "jpg", "webp", "tiff"):
        exif_and_text = {"exif": read_exif(tmp_path / "a.jpg"), "text": {"key": "k"}}
        how = Encoding(kind, **exif_and_text)
        with Image.open(io.BytesIO(encode(to_tensor(two_halves()), how))) as image:
            kept = image.getexif()
        assert kept[ExifTags.Base.Artist] == "someone"
        assert kept[ExifTags.Base.Orientation] == 1
    two_halves().save(tmp_path / "b.png")
    assert read_exif(tmp_path / "b.png") == b""


def test_a_profile_that_cannot_be_used_is_none(tmp_path: Path) -> None:
    two_halves().save(tmp_path / "a.png", icc_profile=b"no profile at all")
    assert read_profile(tmp_path / "a.png") is None


def test_exif_that_no_picture_can_hold_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 70_000
    two_halves().save(tmp_path / "a.png", exif=exif)
    with pytest.raises(ImageError, match=r"a.png: has 70,\d+ bytes of EXIF data.*leave `exif` out"):
        read_exif(tmp_path / "a.png")


def test_sizes_in_exif_are_of_another_picture_and_left_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "someone"
    exif[ExifTags.Base.ImageWidth] = exif[ExifTags.Base.ImageLength] = 7
    two_halves().save(tmp_path / "a.png", exif=exif)
    kept = Image.Exif()
    kept.load(read_exif(tmp_path / "a.png"))
    assert dict(kept) == {ExifTags.Base.Artist: "someone"}


@pytest.mark.parametrize("read", [read_profile, read_exif, read_size, check_header])
def test_a_file_that_is_gone_or_no_picture_is_named(read: object, tmp_path: Path) -> None:
    assert callable(read)
    (tmp_path / "text.png").write_text("no picture")
    for name in ("gone.png", "text.png"):
        with pytest.raises(ImageError, match=name):
            read(tmp_path / name)


def test_too_many_pixels_are_refused_but_pass_as_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest is not refused for one such picture; its job is."""
    two_halves().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    check_header(tmp_path / "a.png")
    for read in (read_profile, read_exif, read_size):
        with pytest.raises(ImageError, match=r"a.png: .*scale it down"):
            read(tmp_path / "a.png")


def test_a_png_cut_off_before_its_orientation_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    two_halves().save(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ImageError, match=r"a.png: damaged or truncated picture"):
        read_size(path)


@pytest.mark.parametrize("behind", [False, True])
def test_the_size_of_a_png_is_known_without_its_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    """Only one that says something behind them is decoded, by Pillow, to hear it."""
    path, decoded = tmp_path / "a.png", list[str]()
    two_halves().save(path)
    width, height = two_halves().size
    if behind:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        data = exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(data)) + b"eXIf" + data
        chunk += struct.pack(">I", zlib.crc32(b"eXIf" + data))
        whole = path.read_bytes()
        path.write_bytes(whole[:-12] + chunk + whole[-12:])
    load = PngImagePlugin.PngImageFile.load
    monkeypatch.setattr(
        PngImagePlugin.PngImageFile, "load", lambda self: decoded.append("") or load(self)
    )
    assert read_size(path) == ((height, width) if behind else (width, height))
    assert bool(decoded) is behind
