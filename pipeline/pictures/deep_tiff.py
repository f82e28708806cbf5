"""TIFF files whose samples Pillow does not read, or reads wrongly: 16 bits in planes or as
negatives, 12 and 32 bits, floats, gray with alpha.

In: files that Pillow opens. Out: 8-bit pictures, decoded by tifffile. Registered with Pillow as a
format of its own that is asked before its `TIFF`, so that headers and pixels, wherever they are
read, go the same way. A layout that this cannot read either is refused by name. Must not load
torch.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from pipeline.errors import ImageError
from pipeline.pictures.levels import levels_of_floats, levels_of_integers

FORMAT = "DEEPTIFF"
_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_KINDS = {1: "", 2: "signed ", 3: "float ", 4: "untyped ", 5: "complex ", 6: "complex "}
_COLORS = {0: "gray (white is zero)", 1: "gray", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr"}
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_PREMULTIPLIED = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class _Layout:
    """How the first page of a TIFF file keeps its samples."""

    def __init__(self, page: Any) -> None:
        self.bits = _first(page.bitspersample)
        self.kind = _first(page.sampleformat) if page.sampleformat else 1
        self.color, self.samples = int(page.photometric), int(page.samplesperpixel)
        self.planes = self.samples > 1 and int(page.planarconfig) == 2
        self.extra = tuple(int(kind) for kind in page.extrasamples or ())

    @property
    def is_pillows(self) -> bool:
        """Whether Pillow reads it, and rightly."""
        whole = self.color == _BLACK_IS_ZERO and self.samples == 1
        if self.kind != 1:
            return self.kind == 3 and self.bits == 32 and whole
        if self.bits <= 8:
            return True
        if self.bits != 16 or self.planes:
            return False
        return whole or (self.color == _RGB and self.samples in (3, 4)) or self.color == 5

    @property
    def is_ours(self) -> bool:
        """Whether `_pixels` knows it."""
        colors = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}
        least = colors.get(self.color, 0)
        numbers = (self.kind == 1 and self.bits <= 32) or (self.kind == 3 and self.bits <= 64)
        return numbers and least > 0 and self.samples - least in (0, 1)

    def __str__(self) -> str:
        color = _COLORS.get(self.color, f"of color space {self.color}")
        alpha = " with alpha" if self.samples in (2, 4) and self.color in (0, 1, 2) else ""
        where = " in planes" if self.planes else ""
        return f"a {self.bits}-bit {_KINDS.get(self.kind, '')}{color}{alpha} TIFF{where}"


class DeepTiff(ImageFile.ImageFile):
    """A TIFF file of one of these layouts, as Pillow's pictures are; 8-bit once it is loaded."""

    format, format_description = FORMAT, "TIFF of samples deeper than 8 bits"
    _page: Any = None

    def _open(self) -> None:
        page = _first_page(self.fp)
        self._layout = _Layout(page)
        if self._layout.is_pillows:
            raise SyntaxError("a layout that Pillow reads")
        if not self._layout.is_ours:
            raise self._refusal("is not read")
        self._page, self._turn = page, _TURNS.get(_tag(page, "Orientation", 1))
        turned = _tag(page, "Orientation", 1) in (5, 6, 7, 8)
        width, height = page.imagewidth, page.imagelength
        self._size = (height, width) if turned else (width, height)
        self._mode = _MODES[self._layout.samples]
        profile = _tag(page, "InterColorProfile", None)
        if isinstance(profile, bytes):
            self.info["icc_profile"] = profile

    def load(self) -> Any:
        """Decodes the pixels."""
        if self._page is not None:
            image = self._decoded()
            self.im, self._mode, self._page = image.im, image.mode, None
        return Image.Image.load(self)

    def _decoded(self) -> Image.Image:
        try:
            values = self._page.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            packed = getattr(self._page.compression, "name", self._page.compression)
            raise self._refusal(f"(compression {packed}) is not read") from error
        # Of a file with several pages in one series this page alone; samples last, and all kept.
        values = np.moveaxis(values, 0, -1) if self._layout.planes else values
        shape = (self._page.imagelength, self._page.imagewidth, self._layout.samples)
        pixels = _pixels(values.reshape(shape), self._layout, str(self.filename or "picture"))
        image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
        return image if self._turn is None else image.transpose(self._turn)

    def _refusal(self, why: str) -> ImageError:
        return ImageError(f"{self.filename!s}: {self._layout} {why}; convert it to 8 or 16-bit RGB")


def _pixels(values: np.ndarray[Any, Any], layout: _Layout, name: str) -> np.ndarray[Any, Any]:
    """Samples H x W x 1 to 4 of any depth as 8-bit ones."""
    colors = layout.samples - (layout.samples in (2, 4))
    if layout.kind == 3:
        alpha = np.nan_to_num(values[..., colors:], nan=0.0).clip(0, 1)
        found = levels_of_floats(values[..., :colors], name)
    else:
        top = (1 << layout.bits) - 1
        alpha = values[..., colors:] / np.float64(top)
        found = levels_of_integers(values[..., :colors], top)
    if layout.color == _WHITE_IS_ZERO:
        found = 255 - found
    if not alpha.size:
        return found
    if layout.extra[:1] == (_PREMULTIPLIED,):
        found = np.clip(np.rint(found / np.maximum(alpha, 1 / 255)), 0, 255)
    return np.concatenate([found, np.rint(alpha * 255)], 2).astype(np.uint8)


def _first_page(file: Any) -> Any:
    """The first page, read by tifffile.

    Raises:
        SyntaxError: it cannot be read; Pillow then tells what is wrong.
    """
    import tifffile  # takes a tenth of a second

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is told by errors
    file.seek(0)
    try:
        return tifffile.TiffFile(file).pages.first
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError) as error:
        raise SyntaxError(str(error)) from error
    except (OSError, TypeError, ValueError) as error:
        raise SyntaxError(str(error)) from error


def _tag(page: Any, name: str, otherwise: Any) -> Any:
    with contextlib.suppress(ArithmeticError, LookupError, OSError, TypeError, ValueError):
        tag = page.tags.get(name)
        return otherwise if tag is None else tag.value
    return otherwise


def _first(value: int | Sequence[int]) -> int:
    return int(value if isinstance(value, int) else value[0])


def register() -> None:
    """Tells Pillow of it."""
    Image.register_open(FORMAT, DeepTiff, lambda prefix: prefix[:4] in _MARKS)
