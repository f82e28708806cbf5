"""Image files to tensors and back: orientation, color profile, alpha, depth, size.

In: paths and settings. Out: float32 tensors 3 x H x W in [0, 1], sRGB; and encoded bytes.
Knows nothing of jobs, backbones or losses.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import (
    ExifTags,
    Image,
    ImageCms,
    ImageColor,
    ImageOps,
    PngImagePlugin,
    UnidentifiedImageError,
)
from torch import Tensor

from pipeline.errors import ImageError, MissingPackageError

SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".gif",
        ".ppm",
        ".pgm",
        ".jp2",
    }
)
Fit = Literal["long", "short", "exact", "stretch"]
_LONGEST_EXIF = 65_000  # a JPEG's marker holds 65,533 bytes
_FORMATS: dict[str, str] = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tiff": "TIFF"}


def is_image_name(path: Path) -> bool:
    """Whether the file's suffix is one of the picture formats that are read."""
    return path.suffix.lower() in SUFFIXES


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits.

    Raises:
        ImageError: the file cannot be read.
    """
    try:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check path and rights") from (
            error
        )


def read_image(path: Path, background: str = "white") -> Image.Image:
    """Reads a picture file as upright 8-bit sRGB.

    EXIF orientation is applied, an embedded ICC profile is converted to sRGB, transparency is
    composited on `background` (a CSS color name or `#rrggbb`), gray, palette, CMYK and 16-bit
    pictures become RGB, and of an animation the first frame is taken.

    Raises:
        ImageError: no picture, truncated, unreadable, or more pixels than Pillow allows.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns at half of its limit and refuses at the limit; only the limit counts.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", message="Palette images with Transparency")
            warnings.filterwarnings("ignore", message="Corrupt EXIF data")
            with Image.open(path) as file:
                return _to_srgb(file, background)
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ImageError(
            f"{path}: more than {limit:,} pixels, refused as a decompression bomb; scale it down"
        ) from error
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{path}: not a picture that can be read; convert it to PNG or JPEG"
        ) from (error)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        if isinstance(error, OSError) and error.strerror:  # the system's, not Pillow's
            raise ImageError(f"{path}: cannot be read ({error.strerror}); check it") from error
        # Pillow's decoders raise all of these on damaged files.
        raise ImageError(f"{path}: damaged or truncated picture ({error}); replace it") from error


def check_header(path: Path) -> None:
    """Reads only a picture's header.

    Raises:
        ImageError: no such file, or not a picture that can be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path):
                return
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except Image.DecompressionBombError:
        return  # a picture, and one that only its own job should fail for
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: not a picture that can be read; use a PNG or JPEG") from error


def read_size(path: Path) -> tuple[int, int]:
    """Width and height in px of the upright picture, from its header alone.

    Raises:
        ImageError: no such file, or not a picture that can be read.
    """
    check_header(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as file:
                width, height = file.size
                turned = file.getexif().get(ExifTags.Base.Orientation, 1) in (
                    5,
                    6,
                    7,
                    8,
                )
        except Image.DecompressionBombError as error:
            raise ImageError(f"{path}: too many pixels; scale it down") from error
        except (OSError, SyntaxError, ValueError) as error:
            # A PNG's orientation may stand behind its pixels, so a truncated one fails here.
            raise ImageError(
                f"{path}: damaged or truncated picture ({error}); replace it"
            ) from error
    return (height, width) if turned else (width, height)


def _to_srgb(file: Image.Image, background: str) -> Image.Image:
    profile = file.info.get("icc_profile")
    image = ImageOps.exif_transpose(file)
    if image.mode.startswith(("I", "F")):
        image = _deep_to_8_bit(image)
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") else None
    if alpha is not None:
        image = image.convert("L" if image.mode in ("LA", "La") else "RGB")
    image = _convert_profile(image, profile)
    if alpha is not None:
        canvas = Image.new("RGB", image.size, ImageColor.getrgb(background)[:3])
        canvas.paste(image, mask=alpha)
        image = canvas
    return image


def _deep_to_8_bit(image: Image.Image) -> Image.Image:
    """16-bit and float grays to 8-bit gray; integers span 0..65535, floats 0..1 or 0..255."""
    values = np.asarray(image).astype(np.float64)
    float_top = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0
    top = float_top if image.mode == "F" else 65535.0
    return Image.fromarray(np.clip(np.rint(values / top * 255), 0, 255).astype(np.uint8), "L")


def _convert_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and image.mode in ("RGB", "L", "CMYK", "LAB"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _srgb(), outputMode="RGB")
            return converted if converted is not None else image.convert("RGB")
        except (ImageCms.PyCMSError, OSError) as error:
            warnings.warn(
                f"embedded color profile is unusable ({error}); taken as sRGB",
                stacklevel=2,
            )
    return image.convert("RGB")


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def srgb_profile_bytes() -> bytes:
    """The sRGB profile that is embedded in every picture that is written."""
    return _srgb().tobytes()


def parse_exact(size: str) -> tuple[int, int]:
    """Width and height of a size written `640x480`."""
    width, height = size.lower().split("x")
    return int(width), int(height)


def canvas_size(
    width: int, height: int, size: int | str, fit: Fit, *, shrink: float = 1.0
) -> tuple[int, int]:
    """Width and height in pixels of a `width` x `height` picture after fitting.

    Args:
        size: pixels of the long or short side, or `WxH` for `exact` and `stretch`.
        fit: which side `size` speaks of.
        shrink: factor on the result, for the smaller scales of a coarse-to-fine schedule.
    """
    if fit in ("exact", "stretch"):
        exact_width, exact_height = parse_exact(str(size))
        return max(1, round(exact_width * shrink)), max(1, round(exact_height * shrink))
    side = max(width, height) if fit == "long" else min(width, height)
    factor = int(size) / side * shrink
    return max(1, round(width * factor)), max(1, round(height * factor))


def fit_image(
    image: Image.Image,
    width: int,
    height: int,
    stretch: bool = False,
    resampling: Image.Resampling = Image.Resampling.LANCZOS,
) -> Image.Image:
    """Resizes to exactly `width` x `height`.

    Args:
        stretch: whether to change the aspect ratio; else what it leaves over is cropped equally
            from both sides.
    """
    if stretch:
        return image.resize((width, height), resampling)
    return ImageOps.fit(image, (width, height), resampling)


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as float32, 3 x H x W, in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255)


def to_levels(pixels: Tensor, depth: int = 8) -> np.ndarray[Any, Any]:
    """A float tensor 3 x H x W in [0, 1] as H x W x 3 whole numbers of 8 or 16 bits; values outside
    are clipped."""
    top, kind = (255, np.uint8) if depth == 8 else (65535, np.uint16)
    levels = pixels.detach().double().clamp(0, 1).mul(top).round()
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy().astype(kind))


def to_image(pixels: Tensor) -> Image.Image:
    """A float tensor 3 x H x W in [0, 1] as an 8-bit RGB picture; values outside are clipped."""
    return Image.fromarray(to_levels(pixels), "RGB")


def read_profile(path: Path) -> bytes | None:
    """The RGB color profile embedded in a picture file; None if there is none of RGB.

    Raises:
        ImageError: the file cannot be read.
    """
    with _opened(path) as file:
        profile = file.info.get("icc_profile")
    if not profile:
        return None
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space
    except (ImageCms.PyCMSError, OSError):
        return None  # told as a warning when the picture was read
    return bytes(profile) if space.strip() == "RGB" else None


def read_exif(path: Path) -> bytes:
    """A picture file's EXIF data, its orientation set to upright; empty if there is none.

    Raises:
        ImageError: the file cannot be read.
    """
    with _opened(path) as file:
        exif = file.getexif()
        if not exif:
            return b""
        for tag in (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength):
            exif.pop(tag, None)
        if ExifTags.Base.Orientation in exif:
            exif[ExifTags.Base.Orientation] = 1
        data = exif.tobytes()
    if len(data) > _LONGEST_EXIF:
        raise ImageError(
            f"{path}: has {len(data):,} bytes of EXIF data, and a picture holds {_LONGEST_EXIF:,}; "
            f"leave `exif` out for it"
        )
    return data


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                yield file
    except (OSError, SyntaxError, ValueError, TypeError, struct.error) as error:
        raise ImageError(f"{path}: cannot be read ({error}); check it") from error


@dataclass(frozen=True)
class Encoding:
    """How a picture is written.

    Attributes:
        format: `png`, `jpg`, `webp` or `tiff`.
        quality: 1..100 for jpg and webp; ignored otherwise.
        depth: bits a channel; 16 for png and tiff.
        profile: the color profile to convert to and embed; None for sRGB.
        exif: EXIF data to embed.
        text: written as JSON into the PNG's text chunk `nst`; ignored by the other formats.
    """

    format: str = "png"
    quality: int = 95
    depth: int = 8
    profile: bytes | None = None
    exif: bytes = b""
    text: Mapping[str, object] = field(default_factory=dict)


def encode(pixels: Tensor, how: Encoding) -> bytes:
    """Encodes a picture, 3 x H x W in [0, 1] and sRGB, with its profile.

    Raises:
        MissingPackageError: 16 bits, without the packages that write them.
    """
    if how.depth == 16:
        levels = to_levels(pixels, 16)
        return _png_16(levels, how) if how.format == "png" else _tiff_16(levels, how)
    image = to_image(pixels)
    profile = srgb_profile_bytes()
    if how.profile is not None:
        wanted = ImageCms.ImageCmsProfile(io.BytesIO(how.profile))
        converted = ImageCms.profileToProfile(image, _srgb(), wanted, outputMode="RGB")
        image, profile = converted or image, how.profile
    buffer = io.BytesIO()
    options: dict[str, object] = {"icc_profile": profile}
    if how.exif:
        options["exif"] = how.exif
    if how.format == "png":
        chunk = PngImagePlugin.PngInfo()
        if how.text:
            chunk.add_itxt("nst", json.dumps(how.text, sort_keys=True))
        options["pnginfo"] = chunk
    elif how.format == "jpg":
        options |= {"quality": how.quality, "subsampling": 0, "optimize": True}
    elif how.format == "webp":
        options |= {"quality": how.quality, "method": 4}
    elif how.format == "tiff":
        options["compression"] = "tiff_deflate"
    image.save(buffer, _FORMATS[how.format], **options)
    return buffer.getvalue()


def check_depth(format: str) -> None:
    """Whether 16-bit pictures of a format can be written here.

    Raises:
        MissingPackageError: with the command that installs what is missing.
    """
    _deep_writer(format)


def _deep_writer(format: str) -> Any:
    """The package that writes 16 bits a channel, which Pillow does not."""
    name = {"png": "png", "tiff": "tifffile"}[format]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"depth 16 as {format} needs a package more: pip install 'nst[deep]'"
        ) from error


def _png_16(levels: np.ndarray[Any, Any], how: Encoding) -> bytes:
    png = _deep_writer("png")
    height, width = levels.shape[:2]
    plain = io.BytesIO()
    writer = png.Writer(width, height, greyscale=False, bitdepth=16)
    writer.write(plain, levels.reshape(height, -1))
    first, *rest = png.Reader(bytes=plain.getvalue()).chunks()
    own = [(b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile_bytes()))]
    if how.exif:
        own.append((b"eXIf", how.exif.removeprefix(b"Exif\0\0")))
    if how.text:
        text = json.dumps(how.text, sort_keys=True).encode()
        own.append((b"iTXt", b"nst" + bytes(5) + text))
    whole = io.BytesIO()
    png.write_chunks(whole, [first, *own, *rest])
    return whole.getvalue()


def _tiff_16(levels: np.ndarray[Any, Any], how: Encoding) -> bytes:
    tifffile = _deep_writer("tiff")
    buffer = io.BytesIO()
    options = {"photometric": "rgb", "compression": "zlib", "metadata": None}
    tifffile.imwrite(buffer, levels, iccprofile=srgb_profile_bytes(), **options)
    return buffer.getvalue()


def animate(frames: Sequence[Path], size: tuple[int, int], format: str) -> bytes:
    """An animation of picture files, each resized to `size`; the last one stays for 2 s.

    Args:
        format: `webp` or `gif`.
    """
    images = []
    for path in frames:
        with _opened(path) as file:
            images.append(file.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    buffer = io.BytesIO()
    times = [80] * (len(images) - 1) + [2000]
    options: dict[str, Any] = {"quality": 80, "method": 2} if format == "webp" else {}
    images[0].save(
        buffer, format.upper(), save_all=True, append_images=images[1:], duration=times, loop=0,
        **options,
    )  # fmt: skip
    return buffer.getvalue()
