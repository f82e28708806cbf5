"""Which picture formats are read, and the one way to open a file without its pixels.

In: paths. Out: opened files. Only the formats named here are read, whatever a file's suffix says:
Pillow knows others, of which one starts a program (PostScript). A new one is a line in `FORMATS`.
Must not load torch.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import lzma
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from pipeline.errors import ImageError, install
from pipeline.remote import local_copy

# Our own reader of TIFFs that Pillow does not read, and what they begin with.
DEEP_TIFF = "DEEPTIFF"
MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Pillow's name of each format that is read -> its files' suffixes, in small letters, which folders
# and globs are searched for. The last has no mark of its own and so is tried last.
FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (),  # several JPEGs in one file, under JPEG's suffixes
    "PNG": (".png",),
    "WEBP": (".webp",),
    DEEP_TIFF: (),  # under TIFF's suffixes, and asked first
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif"),
    "JXL": (".jxl",),
    "JPEG2000": (".jp2",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "PPM": (".ppm", ".pgm"),
    "ICO": (".ico",),
    "TGA": (".tga",),
}
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
# Formats that Pillow has from a package of their own -> package and the extra that brings it.
_PACKAGES = {"HEIF": ("pillow_heif", "heif"), "JXL": ("pillow_jxl", "jxl")}

# Bytes of one profile or text that a PNG may unpack to. Pillow's own limit is 1 MB, and files of
# others hold more.
_LARGEST_CHUNK = 32 << 20

# Likewise of videos, which PyAV reads.
VIDEO_SUFFIXES = frozenset([".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"])


def is_image_name(path: Path) -> bool:
    """Whether the file's suffix is one of the picture formats that are read."""
    return path.suffix.lower() in SUFFIXES


# Decoders raise whatever they like on damaged files: all but running out of memory.
DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zlib.error,
)


def _open_deep_tiff(file: Any, name: Any) -> Any:
    from pipeline.pictures.deep_tiff import DeepTiff  # here alone: arrays take a while to load

    return DeepTiff(file, name)


@lru_cache(maxsize=1)
def known_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that can be read here, with the packages that are installed."""
    Image.init()
    Image.register_open(DEEP_TIFF, _open_deep_tiff, lambda prefix: prefix[:4] in MARKS)
    PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, _LARGEST_CHUNK)
    for package, _ in _PACKAGES.values():
        with contextlib.suppress(ImportError):
            module = importlib.import_module(package)
            if package == "pillow_heif":
                module.register_heif_opener()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def why_unread(path: Path) -> str:
    """What to do about a file that is none of the formats that are read."""
    for name, suffixes in FORMATS.items():
        if path.suffix.lower() in suffixes and name not in known_formats():
            extra = _PACKAGES.get(name, ("", ""))[1]
            way = f"install the extra: {install(extra)}" if extra else "install Pillow 11.3"
            return f"{name} is not read here; {way}, or convert it to PNG or JPEG"
    return "not a picture that can be read; convert it to PNG or JPEG"


def is_video_name(path: Path) -> bool:
    """Whether the file's suffix is one of a video's."""
    return path.suffix.lower() in VIDEO_SUFFIXES


_PILLOW = re.compile(r"PIL\.")


@contextlib.contextmanager
def open_file(path: Path, data: bytes | None = None) -> Iterator[Image.Image]:
    """A picture file, its pixels not yet decoded; Pillow's errors are the caller's to tell.

    Args:
        data: its bytes, where they have been read.
    """
    if data is None:
        # Here, since these need to know which suffixes are pictures'.
        from pipeline.pictures.sets import member_bytes

        data = member_bytes(path)
    here = local_copy(path) if data is None else path
    if data is None and not here.is_file() and here.exists():  # a pipe would wait for ever
        raise UnidentifiedImageError(f"{path} is no file")
    _quiet_pillow()
    source = here if data is None else NamedBytes(data, path)
    with Image.open(source, formats=known_formats()) as file:
        yield file


class NamedBytes(io.BytesIO):
    """A file's bytes that know its name, for messages."""

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(data)
        self.name = str(path)


def _quiet_pillow() -> None:
    """Pillow warns at half of its limit of pixels, where only the limit counts, and of metadata,
    where it names no file. Pictures are read in threads, among which a filter for a block of code
    would leak: so this one is for good."""
    given = ("ignore", None, Warning, _PILLOW, 0)
    if given not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)


def damaged(path: Path, error: Exception) -> ImageError:
    """The error to raise where a file, or its decoder, raises another one."""
    if isinstance(error, OSError) and error.strerror:  # the system's, not Pillow's
        return ImageError(f"{path}: cannot be read ({error.strerror}); check it")
    return ImageError(f"{path}: damaged or truncated picture ({error}); replace it")


def too_large(path: Path) -> ImageError:
    """The error to raise where Pillow refuses a picture for its number of pixels."""
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return ImageError(
        f"{path}: more than {limit:,} pixels, refused as a decompression bomb; scale it down"
    )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A picture file, its pixels not yet decoded, for what wants it as it is.

    Raises:
        ImageError: it, or what is read of it within the block, is missing, damaged or too large.
    """
    try:
        with open_file(path) as file:
            yield file
    except Image.DecompressionBombError as error:
        raise too_large(path) from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: {why_unread(path)}") from error
    except DAMAGED as error:
        raise damaged(path, error) from error
