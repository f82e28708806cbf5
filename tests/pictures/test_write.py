"""Written pictures, read back by other decoders."""

import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from pipeline.errors import ImageError, MissingPackageError
from pipeline.manifest import Settings
from pipeline.pictures import (
    Encoding,
    animate,
    check_depth,
    decode,
    encode,
    on_white,
    read_image,
    read_profile,
    side_problem,
    to_tensor,
)
from pipeline.pictures.profiles import srgb_profile_bytes

RED, GREEN = (255, 0, 0), (0, 128, 0)


def two_halves(left: object = RED, right: object = GREEN, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (40, 20), left)  # type: ignore[arg-type]
    image.paste(right, (20, 0, 40, 20))  # type: ignore[arg-type]
    return image


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tiff"])
def test_written_pictures_carry_srgb_and_settings(kind: str) -> None:
    how = Encoding(kind, text={"settings": {"steps": 3}})
    data = encode(to_tensor(two_halves()), how)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (40, 20)
        assert image.info.get("icc_profile")
        if kind == "png":
            assert json.loads(image.text["nst"])["settings"]["steps"] == 3  # type: ignore[attr-defined]


def ramp() -> torch.Tensor:
    """Steps of a 1024th, finer than 8 bits can hold."""
    return (torch.arange(3 * 16 * 64) % 1024 / 1024).view(3, 16, 64)


def test_16_bit_png_holds_every_level_with_profile_exif_and_text() -> None:
    png = pytest.importorskip("png")
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "someone"
    data = encode(ramp(), Encoding("png", depth=16, exif=exif.tobytes(), text={"key": "k"}))
    width, height, rows, info = png.Reader(bytes=data).asDirect()
    assert (width, height, info["bitdepth"]) == (64, 16, 16)
    values = np.vstack([np.asarray(row) for row in rows]).reshape(16, 64, 3)
    expected = np.rint(ramp().double().numpy() * 65535).transpose(1, 2, 0)
    assert np.array_equal(values, expected)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.info["icc_profile"] == srgb_profile_bytes()
        assert image.getexif()[ExifTags.Base.Artist] == "someone"
        assert json.loads(image.text["nst"]) == {"key": "k"}  # type: ignore[attr-defined]


def test_16_bit_tiff_holds_every_level() -> None:
    tifffile = pytest.importorskip("tifffile")
    data = encode(ramp(), Encoding("tiff", depth=16))
    values = tifffile.imread(io.BytesIO(data))
    expected = np.rint(ramp().double().numpy() * 65535).transpose(1, 2, 0)
    assert values.dtype == np.uint16 and np.array_equal(values, expected)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert bytes(file.pages[0].tags["InterColorProfile"].value) == srgb_profile_bytes()


def swapped_profile() -> bytes:
    """sRGB's profile with the primaries of red and green exchanged."""
    data = srgb_profile_bytes()
    table = 132 + 12 * struct.unpack(">I", data[128:132])[0]
    swap = data[:table].replace(b"rXYZ", b"....").replace(b"gXYZ", b"rXYZ")
    return swap.replace(b"....", b"gXYZ") + data[table:]


def test_a_picture_goes_back_to_the_contents_own_profile(tmp_path: Path) -> None:
    profile = swapped_profile()
    Image.new("RGB", (8, 8), (0, 250, 10)).save(tmp_path / "a.png", icc_profile=profile)
    assert read_profile(tmp_path / "a.png") == profile
    upright = read_image(tmp_path / "a.png")
    red, green, _ = upright.getpixel((4, 4))  # type: ignore[misc]
    assert red > 240 and green < 10
    data = encode(to_tensor(upright), Encoding(profile=profile))
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == profile
        found = np.array(image.getpixel((4, 4)))
    assert abs(found - (0, 250, 10)).max() <= 2


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_animations_show_all_frames_at_one_size(tmp_path: Path, kind: str) -> None:
    frames = []
    for number, size in enumerate(((10, 5), (20, 10), (40, 20))):
        frames.append(tmp_path / f"{number}.png")
        Image.new("RGB", size, (80 * number, 0, 0)).save(frames[-1])
    with Image.open(io.BytesIO(animate(frames, (40, 20), kind))) as image:
        assert (image.n_frames, image.size) == (3, (40, 20))  # type: ignore[attr-defined]
        reds = []
        for number in range(3):
            image.seek(number)
            reds.append(image.convert("RGB").getpixel((20, 10))[0])  # type: ignore[index]
    assert all(abs(red - 80 * number) < 8 for number, red in enumerate(reds))


def test_16_bits_without_their_package_say_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "png", None)
    with pytest.raises(MissingPackageError, match=r"depth 16 as png .*\[deep\]"):
        check_depth("png")
    with pytest.raises(MissingPackageError):
        encode(ramp(), Encoding("png", depth=16))


def test_pngs_need_neither_text_nor_exif() -> None:
    pytest.importorskip("png")
    for depth in (8, 16):
        with Image.open(io.BytesIO(encode(ramp(), Encoding(depth=depth)))) as image:
            image.load()
            assert not image.text and not image.getexif()  # type: ignore[attr-defined]


def test_a_frame_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"7.jpg: cannot be read"):
        animate([tmp_path / "7.jpg"], (4, 4), "gif")


def test_only_what_encodes_loads_torch() -> None:
    modules = "fit, formats, headers, masks, profiles, read, write"
    code = f"from pipeline.pictures import {modules}\nimport sys\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_what_an_encoder_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageError, match="16384 x 2 px cannot be written as webp; choose another"):
        encode(torch.zeros(3, 2, 16_384), Encoding("webp"))

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Error setting from dictionary")

    monkeypatch.setattr("PIL.Image.Image.save", refuse)
    with pytest.raises(ImageError, match="EXIF data; leave `exif` out, or choose another `format`"):
        encode(torch.zeros(3, 2, 2), Encoding("tiff", exif=b"Exif\0\0"))


def test_sides_that_a_format_cannot_hold_are_known_before() -> None:
    assert side_problem(16_383, ["webp"]) is None and side_problem(20_000, ["png", "none"]) is None
    assert "webp holds sides of 16,383 px at most" in str(side_problem(16_384, ["png", "webp"]))
    assert "webp" in str(Settings(size=20_000, format="webp").problem())
    assert "webp" in str(Settings(size=20_000, animation="webp").problem())
    assert Settings(size=20_000).problem() is None


@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
@pytest.mark.parametrize("depth", [8, 16])
def test_transparency_is_written(kind: str, depth: int, tmp_path: Path) -> None:
    if kind == "webp" and depth == 16:
        return
    alpha = Image.linear_gradient("L").resize((64, 16))
    path = tmp_path / f"x.{kind}"
    path.write_bytes(encode(ramp(), Encoding(kind, depth=depth, alpha=alpha)))
    decoded = decode(path)
    assert decoded.alpha is not None
    assert np.array_equal(np.asarray(decoded.alpha), np.asarray(alpha))
    if depth == 16 and kind == "tiff":
        values = pytest.importorskip("tifffile").imread(path)
        assert values.dtype == np.uint16 and values.shape == (16, 64, 4)
        assert np.array_equal(values[..., 3], np.asarray(alpha).astype(np.uint16) * 257)


def test_what_is_transparent_is_white_on_pages() -> None:
    for image in (
        two_halves((*RED, 255), (*GREEN, 0), "RGBA"),
        two_halves((*RED, 255), (*GREEN, 0), "RGBA").quantize(4),
    ):
        shown = on_white(image)
        assert (shown.getpixel((2, 2)), shown.getpixel((30, 2))) == (RED, (255, 255, 255))
    assert on_white(two_halves()).getpixel((30, 2)) == GREEN
