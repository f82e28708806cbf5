"""Picture files of every kind, and what is wrong with broken ones."""

import hashlib
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from pipeline.errors import ImageError
from pipeline.notices import NoticeWarning
from pipeline.pictures import decode, file_sha256, read_image, read_size

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
    with pytest.warns(NoticeWarning, match=r"bad\.png: embedded color profile is unusable"):
        read_image(path)
    (notice,) = decode(path).notices
    assert notice.code == "unusable_profile"
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


def test_the_digest_of_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(ImageError, match=r"gone: cannot be read \(No such file or directory\)"):
        file_sha256(tmp_path / "gone")


@pytest.mark.parametrize("error", [TypeError, struct.error, EOFError, IndexError])
def test_whatever_a_decoder_raises_is_a_damaged_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    two_halves().save(tmp_path / "a.png")

    def broken(image: Image.Image, *, in_place: bool) -> None:
        raise error("odd EXIF")

    monkeypatch.setattr(ImageOps, "exif_transpose", broken)
    with pytest.raises(ImageError, match=r"a.png: damaged or truncated picture \(odd EXIF\)"):
        read_image(tmp_path / "a.png")
