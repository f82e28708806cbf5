"""Picture files -> upright 8-bit sRGB: orientation, profile, alpha, depth.

In: paths. Out: Pillow's pictures, and digests of files. Must not load torch, nor know jobs.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from pipeline.errors import ImageError
from pipeline.notices import Notice, NoticeWarning
from pipeline.pictures.formats import (
    DAMAGED,
    damaged,
    known_formats,
    open_file,
    too_large,
    why_unread,
)
from pipeline.pictures.identity import file_bytes
from pipeline.pictures.levels import levels_of_floats, levels_of_integers
from pipeline.pictures.profiles import convert_profile
from pipeline.pictures.reduced import averaged, draft

_LARGE_CHUNK = 1 << 20


@dataclass(frozen=True)
class Decoded:
    """A picture file, read.

    Attributes:
        image: upright, 8-bit sRGB, on the background where it is transparent.
        straight: the same with its own colors wherever there is any: only what is not there at all
            has the background's. For pictures that get their alpha back.
        alpha: 8-bit, of the same size; None for a picture that has no transparency.
        notices: what a person should know of the file.
        own_size: the file's width and height, upright, where the picture is smaller; see `decode`.
    """

    image: Image.Image
    straight: Image.Image
    alpha: Image.Image | None
    notices: tuple[Notice, ...]
    own_size: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px of the upright picture in the file."""
        return self.own_size or self.image.size


def read_image(path: Path, background: str = "white") -> Image.Image:
    """The picture of `decode`; its notices become Python's warnings.

    Raises:
        ImageError: as `decode`.
    """
    decoded = decode(path, background)
    for notice in decoded.notices:
        warnings.warn(str(notice), NoticeWarning, stacklevel=2)
    return decoded.image


def decode(
    path: Path,
    background: str = "white",
    data: bytes | None = None,
    wanted: tuple[int, int] | None = None,
) -> Decoded:
    """Reads a picture file as upright 8-bit sRGB.

    EXIF orientation is applied, an embedded ICC profile is converted to sRGB, transparency is
    composited on `background` (a CSS color name or `#rrggbb`), gray, palette, CMYK, deeper and
    float pictures become 8-bit RGB, and of several pictures in a file the first is taken.

    Args:
        data: the file's bytes, where they have been read; else they are read here, once.
        wanted: width and height in px of the largest picture that will be made of it: it may come
            smaller than the file has it, but some times as large as that. None for all pixels.

    Raises:
        ImageError: no picture, truncated, unreadable, or more pixels than Pillow allows.
    """
    data = file_bytes(path) if data is None else data
    try:
        with open_file(path, data) as file:
            own_size = draft(file, wanted)
            try:
                found = _decoded(file, path, data, background)
                return _smaller(found, own_size, wanted)
            except OSError:
                ended = _with_end_marker(file, data)
                if ended is None:
                    raise
        with ended:
            own_size = draft(ended, wanted)
            found = _smaller(_decoded(ended, path, data, background), own_size, wanted)
        said = Notice("no_end_marker", f"{path}: lacks a JPEG's end marker; its pixels are whole")
        return replace(found, notices=(*found.notices, said))
    except Image.DecompressionBombError as error:
        raise too_large(path) from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: {why_unread(path)}") from error
    except DAMAGED as error:
        raise damaged(path, error) from error


def _smaller(
    found: Decoded, own_size: tuple[int, int] | None, wanted: tuple[int, int] | None
) -> Decoded:
    """See `decode`; what is laid over the picture is made smaller alike."""
    own_size = own_size or found.image.size
    image = averaged(found.image, wanted)
    if image.size == own_size:
        return found
    straight = image if found.straight is found.image else averaged(found.straight, wanted)
    alpha = None if found.alpha is None else averaged(found.alpha, wanted)
    return replace(found, image=image, straight=straight, alpha=alpha, own_size=own_size)


# What may follow a JPEG's pixels: their first bits differ, so that a pixel that is missing would
# come out in two ways.
_TAILS = (bytes(64), b"\xaa" * 64)
_END_MARKER = b"\xff\xd9"


def _with_end_marker(file: Image.Image, data: bytes) -> Image.Image | None:
    """A JPEG of whole pixels that lacks only its end marker, with one; None for anything else.

    A decoder fills what is missing, so one that is cut short looks whole as soon as it has an end.
    What tells them apart: whatever stands behind whole pixels changes none of them.
    """
    if file.format not in ("JPEG", "MPO"):
        return None
    pictures = []
    for tail in _TAILS:
        with Image.open(io.BytesIO(data + tail + _END_MARKER), formats=known_formats()) as image:
            pictures.append(image.tobytes())
    if pictures[0] != pictures[1]:
        return None
    return Image.open(io.BytesIO(data + _END_MARKER), formats=known_formats())


_STRAIGHT = {"La": "LA", "RGBa": "RGBA"}


def _decoded(file: Image.Image, path: Path, data: bytes, background: str) -> Decoded:
    profile = file.info.get("icc_profile")
    notices = _of_several(file, path)
    ImageOps.exif_transpose(file, in_place=True)  # a copy of a camera's picture takes its time
    image: Image.Image = file
    notices += (*_large_chunks(file, path), *getattr(file, "notices", ()))
    image = _to_8_bit(image, file, path, data)
    if image.mode in _STRAIGHT:  # premultiplied
        image = image.convert(_STRAIGHT[image.mode])
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    if alpha is not None:
        image = image.convert("L" if image.mode == "LA" else "RGB")
    image, problem = convert_profile(image, profile)
    if problem:
        why = f"{path}: embedded color profile is unusable ({problem}); taken as sRGB"
        notices += (Notice("unusable_profile", why),)
    if alpha is None:
        return Decoded(image, image, None, notices)
    canvas = Image.new("RGB", image.size, ImageColor.getrgb(background)[:3])
    straight = Image.composite(image, canvas, alpha.point([0] + [255] * 255))
    canvas.paste(image, mask=alpha)
    return Decoded(canvas, straight, alpha, notices)


def on_white(image: Image.Image) -> Image.Image:
    """A picture as RGB, what is transparent white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image.convert("RGBA").getchannel("A"))
    return canvas


def _of_several(file: Image.Image, path: Path) -> tuple[Notice, ...]:
    try:
        count = int(getattr(file, "n_frames", 1))
    except DAMAGED:  # of a later picture, which nobody wants
        return ()
    if count < 2:
        return ()
    return (Notice("first_of_several", f"{path}: the first of its {count} pictures is taken"),)


def _large_chunks(file: Image.Image, path: Path) -> tuple[Notice, ...]:
    if file.format != "PNG":
        return ()
    found = [value for value in file.info.values() if isinstance(value, (bytes, str))]
    size = sum(map(len, found))
    if size <= _LARGE_CHUNK:
        return ()
    said = f"{path}: holds {size / 1e6:.1f} MB of profile or text beside its pixels"
    return (Notice("large_chunk", said),)


def _to_8_bit(image: Image.Image, file: Image.Image, path: Path, data: bytes) -> Image.Image:
    """16-bit and float grays as 8-bit ones, with the alpha that one transparent level stands for.

    Whole numbers span 0 to 65535; floats 0 to 1.
    """
    transparent = image.info.get("transparency")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        found = Image.fromarray(levels_of_integers(values, 65535))
        if isinstance(transparent, int):
            alpha = Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
            return Image.merge("LA", (found, alpha))
        return found
    if image.mode == "F":
        return Image.fromarray(levels_of_floats(np.asarray(image), str(path)))
    if file.format == "PNG" and transparent is not None:
        bits = data[24]  # a sample, as the header has it
        if image.mode == "RGB" and isinstance(transparent, tuple) and bits == 16:
            # Pillow has the upper bytes of the pixels, and both of what is transparent.
            image.info["transparency"] = tuple(level >> 8 for level in transparent)
        if image.mode == "L" and isinstance(transparent, int) and bits in _GRAY_STEPS:
            image.info["transparency"] = transparent * _GRAY_STEPS[bits]  # as the pixels are
    return image


# A PNG's gray levels of 2 and 4 bits, as 8-bit ones.
_GRAY_STEPS = {2: 85, 4: 17}
