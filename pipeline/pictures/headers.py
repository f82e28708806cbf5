"""What a picture file says of itself without its pixels: size, profile, EXIF.

In: paths. Out: values. Must not load torch.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path

from PIL import ExifTags, Image, ImageCms, PngImagePlugin, TiffImagePlugin

from pipeline.errors import ImageError
from pipeline.pictures.formats import (
    DAMAGED,
    damaged,
    is_video_name,
    open_file,
    opened,
    why_unread,
)

_LONGEST_EXIF = 65_000  # a JPEG's marker holds 65,533 bytes
_SIDES = (TiffImagePlugin.IMAGEWIDTH, TiffImagePlugin.IMAGELENGTH)
# By which the ratio of its sides may be off: what rounding a small mask's sides comes to.
_SHAPE = 0.02
_PNG_CHUNKS = 8  # bytes before them
_PNG_TEXTS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
_TURNED = (5, 6, 7, 8)  # orientations in which width and height change places


def read_profile(path: Path) -> bytes | None:
    """The RGB color profile embedded in a picture file; None if there is none of RGB.

    Raises:
        ImageError: the file cannot be read.
    """
    with opened(path) as file:
        profile = file.info.get("icc_profile")
    if not profile:
        return None
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space
    except (ImageCms.PyCMSError, *DAMAGED):
        return None  # told as a warning when the picture was read
    return bytes(profile) if space.strip() == "RGB" else None


def read_exif(path: Path) -> bytes:
    """A picture file's EXIF data, its orientation set to upright; empty if there is none.

    Raises:
        ImageError: the file cannot be read.
    """
    with opened(path) as file:
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


def check_header(path: Path) -> None:
    """Reads only a picture's header.

    Raises:
        ImageError: no such file, or not a picture that can be read.
    """
    with contextlib.suppress(Image.DecompressionBombError):
        # Such a one is a picture, for which only its own job should fail.
        with _reading(path), open_file(path):
            return


def read_size(path: Path) -> tuple[int, int]:
    """Width and height in px of the upright picture, from its header alone.

    Raises:
        ImageError: no such file, or not a picture that can be read.
    """
    try:
        with _reading(path), open_file(path) as file:
            try:
                return _upright_size(file)
            except DAMAGED as error:
                # A PNG's orientation may stand behind its pixels: a truncated one fails here.
                raise damaged(path, error) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: too many pixels; scale it down") from error


def _upright_size(file: Image.Image) -> tuple[int, int]:
    width, height = file.size
    # Pillow decodes all of a PNG that says nothing before its pixels, to see what is behind them.
    plain = isinstance(file, PngImagePlugin.PngImageFile) and not _says_more_behind(file)
    exif = Image.Image.getexif(file) if plain else file.getexif()
    turned = exif.get(ExifTags.Base.Orientation, 1) in _TURNED
    if isinstance(file, TiffImagePlugin.TiffImageFile):  # newer Pillow has turned it already
        width, height = (int(file.tag_v2[tag]) for tag in _SIDES)
    return (height, width) if turned else (width, height)


def _says_more_behind(file: PngImagePlugin.PngImageFile) -> bool:
    """Whether a PNG has text or EXIF data behind its pixels, or ends before its end."""
    stream, behind = file.fp, False
    if stream is None:
        return True
    place = stream.tell()
    try:
        stream.seek(_PNG_CHUNKS)
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IEND":
                return False
            behind = behind or kind == b"IDAT"
            if behind and kind in _PNG_TEXTS:
                return True
            stream.seek(length + 4, io.SEEK_CUR)
        return True
    finally:
        stream.seek(place)


def check_shape(mask: tuple[int, int], path: Path, picture: tuple[int, int], its: Path) -> None:
    """A mask has its picture's shape, at any size; else its regions would lie elsewhere.

    Args:
        mask, picture: width and height in px.
        path, its: their files, for the message.

    Raises:
        ImageError: the shapes are not one.
    """
    shapes = [width / height for width, height in (mask, picture)]
    if abs(shapes[0] / shapes[1] - 1) > _SHAPE + 1 / min(mask):
        raise ImageError(
            f"{path}: is {mask[0]} x {mask[1]} px, but its picture {its.name} is {picture[0]} x "
            f"{picture[1]} px; a mask has its picture's shape, at any size"
        )


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tells of a file that is gone, closed or no picture."""
    try:
        yield
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except DAMAGED as error:
        if isinstance(error, OSError) and error.strerror:
            raise damaged(path, error) from error
        if is_video_name(path):
            message = f"{path}: a video is a clip, for `content` of a manifest alone (nst batch)"
            raise ImageError(message) from error
        raise ImageError(f"{path}: {why_unread(path)}") from error
