"""Picture files of every kind, and what is wrong with broken ones."""

import io
import json
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageCms

from pipeline.errors import ImageError
from pipeline.pictures import (
    Encoding,
    animate,
    canvas_size,
    encode,
    fit_image,
    read_exif,
    read_image,
    read_profile,
    read_size,
    to_image,
    to_tensor,
)
from pipeline.pictures.read import srgb_profile_bytes

RED, GREEN = (255, 0, 0), (0, 128, 0)


def two_halves(left: object = RED, right: object = GREEN, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (40, 20), left)  # type: ignore[arg-type]
    image.paste(right, (20, 0, 40, 20))  # type: ignore[arg-type]
    return image


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file from (kind, data) chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def corners(path: Path, background: str = "white") -> tuple[object, object]:
    image = read_image(path, background)
    assert image.mode == "RGB"
    return image.getpixel((2, 10)), image.getpixel((37, 10))


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "bmp", "gif", "ppm"])
def test_lossless_formats_are_read_as_they_are(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    two_halves().save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert corners(path) == (RED, GREEN)


@pytest.mark.parametrize(("orientation", "size"), [(1, (40, 20)), (3, (40, 20)), (6, (20, 40))])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_orientation_is_applied_to_pixels_and_size(
    tmp_path: Path, suffix: str, orientation: int, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    two_halves().save(path, exif=exif)
    assert read_size(path) == read_image(path).size == size
    if orientation == 3:  # turned by 180 degrees: the red half is now on the right
        left = read_image(path).getpixel((2, 10))
        assert isinstance(left, tuple) and left[1] > left[0]


def test_an_embedded_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    as_lab = ImageCms.profileToProfile(two_halves(), srgb, lab, outputMode="LAB")
    assert as_lab is not None
    path = tmp_path / "lab.tiff"
    as_lab.save(path, icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    for found, wanted in zip(corners(path), (RED, GREEN), strict=True):
        assert np.abs(np.subtract(found, wanted)).max() <= 12


def test_an_unusable_profile_is_said_and_taken_as_srgb(tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    two_halves().save(path, icc_profile=b"no profile at all")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="color profile is unusable"):
            read_image(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert corners(path) == (RED, GREEN)


@pytest.mark.parametrize(("background", "right"), [("white", (255,) * 3), ("#000080", (0, 0, 128))])
def test_alpha_lies_on_the_background(
    tmp_path: Path, background: str, right: tuple[int, ...]
) -> None:
    path = tmp_path / "alpha.png"
    two_halves((*RED, 255), (*GREEN, 0), "RGBA").save(path)
    assert corners(path, background) == (RED, right)


def test_palette_gray_cmyk_and_bilevel_become_rgb(tmp_path: Path) -> None:
    two_halves().quantize(4).save(tmp_path / "p.png")
    assert corners(tmp_path / "p.png") == (RED, GREEN)
    two_halves(10, 200, "L").save(tmp_path / "l.png")
    assert corners(tmp_path / "l.png") == ((10,) * 3, (200,) * 3)
    two_halves((0, 255, 255, 0), (0, 0, 0, 255), "CMYK").save(tmp_path / "c.tiff")
    assert corners(tmp_path / "c.tiff") == (RED, (0, 0, 0))
    two_halves(0, 1, "1").save(tmp_path / "b.png")
    assert corners(tmp_path / "b.png") == ((0,) * 3, (255,) * 3)


def test_sixteen_bit_grays_keep_their_range(tmp_path: Path) -> None:
    values = np.full((20, 40), 257 * 30, np.uint16)
    values[:, 20:] = 257 * 220
    for suffix in ("png", "tiff"):
        path = tmp_path / f"deep.{suffix}"
        Image.fromarray(values).save(path)
        assert corners(path) == ((30,) * 3, (220,) * 3)


def test_sixteen_bit_color_is_read(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + struct.pack(">HHH", 65535, 0, 0) * 40 for _ in range(20))
    header = struct.pack(">IIBBBBB", 40, 20, 16, 2, 0, 0, 0)
    path = tmp_path / "deep.png"
    path.write_bytes(_png((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")))
    assert corners(path) == (RED, RED)


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    two_halves().save(path, save_all=True, append_images=[two_halves(GREEN, RED)], duration=100)
    assert corners(path) == (RED, GREEN)


# --- broken pictures ------------------------------------------------------------------------------


def _truncated(path: Path, share: float = 0.5) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def _bomb(path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(_png((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000)))))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "bmp", "gif", "ppm"])
def test_truncated_pictures_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"half.{suffix}"
    _truncated(path)
    with pytest.raises(ImageError, match=rf"half\.{suffix}: "):
        read_image(path)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    _bomb(path)
    for read in (read_image, read_size):
        with pytest.raises(ImageError, match=r"bomb.png: .*scale it down"):
            read(path)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    for read in (read_image, read_size):
        with pytest.raises(ImageError, match=r"x\.png"):
            read(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match=str(tmp_path)):
        read_image(tmp_path)


# --- sizes and tensors ----------------------------------------------------------------------------


def test_fit_names_the_side() -> None:
    assert canvas_size(400, 200, 100, "long") == (100, 50)
    assert canvas_size(400, 200, 100, "short") == (200, 100)
    assert canvas_size(400, 200, "64x48", "exact") == (64, 48)
    assert canvas_size(400, 200, 100, "long", shrink=0.5) == (50, 25)
    assert canvas_size(1000, 2, 100, "long") == (100, 1)


def test_fitting_crops_to_the_middle() -> None:
    wide = Image.new("RGB", (60, 20), RED)
    wide.paste(GREEN, (20, 0, 40, 20))
    assert set(np.asarray(fit_image(wide, 20, 20)).reshape(-1, 3)[:, 0]) == {0}


def test_tensor_and_picture_are_inverse() -> None:
    image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    tensor = to_tensor(image)
    assert tensor.shape == (3, 8, 8)
    assert float(tensor.max()) == pytest.approx(191 / 255)
    assert np.array_equal(np.asarray(to_image(tensor)), np.asarray(image))
    assert np.asarray(to_image(tensor * 4 - 1)).max() == 255


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tiff"])
def test_written_pictures_carry_srgb_and_settings(kind: str) -> None:
    how = Encoding(kind, text={"settings": {"steps": 3}})
    data = encode(to_tensor(two_halves()), how)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (40, 20)
        assert image.info.get("icc_profile")
        if kind == "png":
            assert json.loads(image.text["nst"])["settings"]["steps"] == 3  # type: ignore[attr-defined]


# --- 16 bits, profiles, EXIF, animations ----------------------------------------------------------


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
        how = Encoding(kind, exif=read_exif(tmp_path / "a.jpg"))
        with Image.open(io.BytesIO(encode(to_tensor(two_halves()), how))) as image:
            kept = image.getexif()
        assert kept[ExifTags.Base.Artist] == "someone"
        assert kept[ExifTags.Base.Orientation] == 1
    two_halves().save(tmp_path / "b.png")
    assert read_exif(tmp_path / "b.png") == b""


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


def test_stretched_pictures_are_not_cropped() -> None:
    stretched = fit_image(two_halves(), 10, 10, stretch=True)
    assert stretched.size == (10, 10)
    assert stretched.getpixel((0, 5)) == RED and stretched.getpixel((9, 5)) == GREEN
