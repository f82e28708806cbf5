"""Pictures -> encoded bytes: formats, depth, profile, EXIF, text, animations.

In: float tensors 3 x H x W in [0, 1], sRGB. Out: bytes of a file. A new format that is written is a
line in `_WRITERS`, and one in `_DEEP` if it holds 16 bits. Loads torch only to encode.
"""

from __future__ import annotations

import importlib
import io
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

from pipeline.errors import ImageError, MissingPackageError, install
from pipeline.pictures.formats import DAMAGED, opened
from pipeline.pictures.profiles import srgb_profile_bytes, to_profile
from pipeline.pictures.text import CHUNK, XMP_TAG, jpeg_marker, xmp_packet

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Encoding:
    """How a picture is written.

    Attributes:
        format: `png`, `jpg`, `webp` or `tiff`.
        quality: 1..100 for jpg and webp; ignored otherwise.
        depth: bits a channel; 16 for png and tiff.
        profile: the color profile to convert to and embed; None for sRGB.
        exif: EXIF data to embed.
        alpha: 8-bit gray of the picture's size, or None for a picture without transparency; not for
            jpg.
        text: written as JSON into the PNG's text chunk `nst`, into XMP by the other formats; a JPEG
            holds up to 65 kB of it, or none.
    """

    format: str = "png"
    quality: int = 95
    depth: int = 8
    profile: bytes | None = None
    exif: bytes = b""
    alpha: Image.Image | None = None
    text: Mapping[str, object] = field(default_factory=dict)

    @property
    def as_json(self) -> str:
        """The text as it stands in the file."""
        return json.dumps(self.text, sort_keys=True)


def _png_options(how: Encoding) -> dict[str, object]:
    chunk = PngImagePlugin.PngInfo()
    if how.text:
        chunk.add_itxt(CHUNK, how.as_json)
    return {"pnginfo": chunk}


def _jpg_options(how: Encoding) -> dict[str, object]:
    options = {"quality": how.quality, "subsampling": 0, "optimize": True}
    return options | ({"extra": jpeg_marker(how.as_json)} if how.text else {})


def _webp_options(how: Encoding) -> dict[str, object]:
    options = {"quality": how.quality, "method": 4}
    return options | ({"xmp": xmp_packet(how.as_json)} if how.text else {})


def _tiff_options(how: Encoding) -> dict[str, object]:
    tags = Image.Exif()  # a TIFF's own tags are EXIF's, and beside `tiffinfo` `exif` is not heard
    if how.exif:
        tags.load(how.exif)
    if how.text:
        tags[XMP_TAG] = xmp_packet(how.as_json)
    return {"compression": "tiff_deflate", "exif": tags}


# By the setting's name: what Pillow calls the format, and its options.
_WRITERS: dict[str, tuple[str, Callable[[Encoding], dict[str, object]]]] = {
    "png": ("PNG", _png_options),
    "jpg": ("JPEG", _jpg_options),
    "webp": ("WEBP", _webp_options),
    "tiff": ("TIFF", _tiff_options),
}


def encode(pixels: Tensor, how: Encoding) -> bytes:
    """Encodes a picture, 3 x H x W in [0, 1] and sRGB, with its profile.

    Raises:
        MissingPackageError: 16 bits, without the packages that write them.
        ImageError: the encoder refuses it: EXIF data that it cannot place, a side too long.
    """
    try:
        return _encoded(pixels, how)
    except DAMAGED as error:
        height, width = pixels.shape[-2:]
        exif = " with the content picture's EXIF data; leave `exif` out, or" if how.exif else ";"
        raise ImageError(
            f"{width} x {height} px cannot be written as {how.format}{exif} choose another "
            f"`format` ({type(error).__name__}: {error})"
        ) from error


def _encoded(pixels: Tensor, how: Encoding) -> bytes:
    # Here, since torch takes seconds to load, and `check_depth` needs none.
    from pipeline.pictures.tensors import to_image, to_levels

    if how.depth == 16:
        return _DEEP[how.format][1](_with_alpha(to_levels(pixels, 16), how), how)
    image, profile = to_image(pixels), srgb_profile_bytes()
    if how.profile is not None:
        image, profile = to_profile(image, how.profile), how.profile
    if how.alpha is not None:
        image.putalpha(how.alpha)
    name, options_of = _WRITERS[how.format]
    options = options_of(how) | {"icc_profile": profile}
    if how.exif:
        options.setdefault("exif", how.exif)
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def _with_alpha(levels: np.ndarray[Any, Any], how: Encoding) -> np.ndarray[Any, Any]:
    """16-bit levels H x W x 3, or x 4 with the alpha."""
    if how.alpha is None:
        return levels
    alpha = np.asarray(how.alpha).astype(np.uint16) * 257
    return np.concatenate([levels, alpha[..., None]], 2)


def check_depth(format: str) -> None:
    """Whether 16-bit pictures of a format can be written here.

    Raises:
        MissingPackageError: with the command that installs what is missing.
    """
    _deep_writer(format)


def _deep_writer(format: str) -> Any:
    """The package that writes 16 bits a channel, which Pillow does not."""
    try:
        return importlib.import_module(_DEEP[format][0])
    except ImportError as error:
        raise MissingPackageError(
            f"depth 16 as {format} needs a package more: {install('deep')}"
        ) from error


def _png_16(levels: np.ndarray[Any, Any], how: Encoding) -> bytes:
    png = _deep_writer("png")
    height, width = levels.shape[:2]
    plain = io.BytesIO()
    has_alpha = levels.shape[2] == 4
    writer = png.Writer(width, height, greyscale=False, alpha=has_alpha, bitdepth=16)
    writer.write(plain, levels.reshape(height, -1))
    first, *rest = png.Reader(bytes=plain.getvalue()).chunks()
    own = [(b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile_bytes()))]
    if how.exif:
        own.append((b"eXIf", how.exif.removeprefix(b"Exif\0\0")))
    if how.text:
        own.append((b"iTXt", CHUNK.encode() + bytes(5) + how.as_json.encode()))
    whole = io.BytesIO()
    png.write_chunks(whole, [first, *own, *rest])
    return whole.getvalue()


# A TIFF's color profile: its tag; and the types of bytes with and without a meaning to the format.
_PROFILE_TAG, _BYTES, _UNDEFINED = 34675, 1, 7


def _tiff_16(levels: np.ndarray[Any, Any], how: Encoding) -> bytes:
    tifffile = _deep_writer("tiff")
    buffer = io.BytesIO()
    options: dict[str, Any] = {"photometric": "rgb", "compression": "zlib", "metadata": None}
    if levels.shape[2] == 4:
        options["extrasamples"] = ["unassalpha"]
    profile = srgb_profile_bytes()
    tags = [(_PROFILE_TAG, _UNDEFINED, len(profile), profile, True)]
    if how.text:
        packet = xmp_packet(how.as_json)
        tags.append((XMP_TAG, _BYTES, len(packet), packet, True))
    options["extratags"] = tags
    tifffile.imwrite(buffer, levels, **options)
    return buffer.getvalue()


# Formats that hold 16 bits a channel: the package that writes them, and how.
_DEEP: dict[str, tuple[str, Callable[[np.ndarray[Any, Any], Encoding], bytes]]] = {
    "png": ("png", _png_16),
    "tiff": ("tifffile", _tiff_16),
}


def animate(frames: Sequence[Path], size: tuple[int, int], format: str) -> bytes:
    """An animation of picture files, each resized to `size`; the last one stays for 2 s.

    Args:
        format: `webp` or `gif`.

    Raises:
        ImageError: a frame cannot be read.
    """
    images = []
    for path in frames:
        with opened(path) as file:
            images.append(file.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    buffer = io.BytesIO()
    times = [80] * (len(images) - 1) + [2000]
    options: dict[str, Any] = {"quality": 80, "method": 2} if format == "webp" else {}
    images[0].save(
        buffer, format.upper(), save_all=True, append_images=images[1:], duration=times, loop=0,
        **options,
    )  # fmt: skip
    return buffer.getvalue()
