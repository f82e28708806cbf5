"""Which picture formats are read, and the one way to open a file without its pixels.

In: paths. Out: opened files. A new format that is read is a suffix here; where Pillow needs a
package for it (HEIC: pillow-heif), `open_file` is where to register it. Must not load torch.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from pipeline.errors import ImageError

# By suffix, in small letters; folders and globs are searched for these.
SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".jp2"]
)

# Likewise of videos, which PyAV reads.
VIDEO_SUFFIXES = frozenset([".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"])


def is_image_name(path: Path) -> bool:
    """Whether the file's suffix is one of the picture formats that are read."""
    return path.suffix.lower() in SUFFIXES


# Pillow raises all of these on damaged files.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error)


def is_video_name(path: Path) -> bool:
    """Whether the file's suffix is one of a video's."""
    return path.suffix.lower() in VIDEO_SUFFIXES


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[Image.Image]:
    """A picture file, its pixels not yet decoded; Pillow's errors are the caller's to tell."""
    with warnings.catch_warnings():
        # Pillow warns at half of its limit and refuses at the limit; only the limit counts.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as file:
            yield file


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
    except DAMAGED as error:
        raise ImageError(f"{path}: cannot be read ({error}); check it") from error
