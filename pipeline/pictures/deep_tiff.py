"""TIFF files whose samples Pillow does not read, or reads wrongly: 16 bits in planes or as
negatives, 32 bits, floats, gray with alpha.

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

from pipeline.errors import ImageError, install
from pipeline.notices import Notice
from pipeline.pictures.formats import DAMAGED, DEEP_TIFF
from pipeline.pictures.levels import Array, levels_of_floats, levels_of_integers

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK = 0, 1, 2, 5
_WHOLE, _SIGNED, _FLOAT = 1, 2, 3
_KINDS = {1: "", 2: "signed ", 3: "float ", 4: "untyped ", 5: "complex ", 6: "complex "}
_COLORS = {0: "gray (white is zero)", 1: "gray", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr"}
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_PREMULTIPLIED, _ALPHAS = 1, (1, 2)
_16_BITS = 65535
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Layout:
    """How the first page of a TIFF file keeps its samples."""

    def __init__(self, page: Any) -> None:
        self.bits = _first(page.bitspersample)
        self.kind = _first(page.sampleformat) if page.sampleformat else _WHOLE
        self.color, self.samples = int(page.photometric), int(page.samplesperpixel)
        self.planes = self.samples > 1 and int(page.planarconfig) == 2
        self.extra = tuple(int(kind) for kind in page.extrasamples or ())
        self.is_big_endian = page.parent.byteorder == ">"
        self.is_bigtiff = bool(page.parent.is_bigtiff)
        self.turn = int(_tag(page, "Orientation", 1))

    @property
    def is_pillows(self) -> bool:
        """Whether Pillow reads it, and rightly."""
        if self.is_big_endian and self.is_bigtiff:
            return False
        gray = self.color == _BLACK_IS_ZERO and self.samples == 1
        if self.kind == _FLOAT:  # big-endian ones come out black where they are packed
            return self.bits == 32 and gray and not self.is_big_endian
        if self.kind != _WHOLE:
            return False
        if self.bits <= 8:
            return True
        if self.bits != 16 or self.planes:
            return False
        colors = self.color == _RGB and self.samples in (3, 4)
        return gray or colors or (self.color == _CMYK and self.samples == 4)

    @property
    def colors(self) -> int:
        """Samples of a pixel that are no extra ones."""
        return {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}.get(self.color, 0)

    @property
    def has_alpha(self) -> bool:
        """Whether the sample behind the colors is said to be alpha; another one is dropped."""
        return self.samples > self.colors and self.extra[:1] in [(kind,) for kind in _ALPHAS]

    @property
    def is_ours(self) -> bool:
        """Whether `_pixels` knows it."""
        bits = {_WHOLE: (8, 16, 32), _SIGNED: (16, 32), _FLOAT: (16, 32, 64)}.get(self.kind, ())
        return self.bits in bits and self.colors > 0 and self.samples - self.colors in (0, 1)

    @property
    def was_misread(self) -> bool:
        """Whether earlier versions made other pixels, or another size, of it."""
        return not self.is_pillows or self.kind == _FLOAT or self.turn > 4

    def __str__(self) -> str:
        color = _COLORS.get(self.color, f"of color space {self.color}")
        alpha = " with alpha" if self.has_alpha and self.colors else ""
        where = " in planes" if self.planes else ""
        return f"a {self.bits}-bit {_KINDS.get(self.kind, '')}{color}{alpha} TIFF{where}"


class DeepTiff(ImageFile.ImageFile):
    """A TIFF file of one of these layouts, as Pillow's pictures are; 8-bit once it is loaded.

    Attributes:
        notices: what a person should know of it, once it is loaded.
    """

    format, format_description = DEEP_TIFF, "TIFF of samples deeper than 8 bits"
    _page: Any = None

    def _open(self) -> None:
        self.notices: list[Notice] = []
        # Of a file whose bytes were read before Pillow knows no name.
        self._path = str(self.filename or getattr(self.fp, "name", "picture"))
        self._file = open_tiff(self.fp)
        try:
            page = self._file.pages.first
            self._layout = Layout(page)
        except DAMAGED as error:
            raise SyntaxError(str(error)) from error  # Pillow then tells what is wrong
        if self._layout.is_pillows:
            raise SyntaxError("a layout that Pillow reads")
        if not self._layout.is_ours:
            raise self._refusal("is not read")
        self._page, self._turn = page, _TURNS.get(self._layout.turn)
        width, height = page.imagewidth, page.imagelength
        self._size = (height, width) if self._layout.turn in (5, 6, 7, 8) else (width, height)
        self._mode = _MODES[self._layout.colors + self._layout.has_alpha]
        profile = _tag(page, "InterColorProfile", None)
        if isinstance(profile, bytes):
            self.info["icc_profile"] = profile

    @property
    def n_frames(self) -> int:
        """Pages of the file."""
        return len(self._file.pages)

    def load(self) -> Any:
        """Decodes the pixels.

        Raises:
            ImageError: they are packed in a way that wants another package, or their numbers are of
                no range that is known. What is damaged raises tifffile's errors, as Pillow's own
                formats raise theirs.
        """
        if self._page is not None:
            image = self._decoded()
            self.im, self._mode, self._page = image.im, image.mode, None
        return Image.Image.load(self)

    def _decoded(self) -> Image.Image:
        try:
            values = self._page.asarray()
        except DAMAGED as error:
            if isinstance(error, ImportError) or "imagecodecs" in str(error):
                raise self._refusal(self._how_packed()) from error
            raise
        values = np.moveaxis(values, 0, -1) if self._layout.planes else values
        shape = (self._page.imagelength, self._page.imagewidth, self._layout.samples)
        pixels = self._pixels(values.reshape(shape))
        image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
        return image if self._turn is None else image.transpose(self._turn)

    def _pixels(self, values: Array) -> Array:
        """Samples H x W x 1 to 4 of any depth as 8-bit ones."""
        layout = self._layout
        colors, extra = values[..., : layout.colors], values[..., layout.colors :]
        alpha: Array | None = None
        if layout.kind == _FLOAT:
            found = levels_of_floats(colors, self._path)
            if layout.has_alpha:
                alpha = np.rint(np.nan_to_num(extra, nan=0.0).clip(0, 1) * 255).astype(np.uint8)
        else:
            top = self._top(values)
            found = levels_of_integers(colors, top)
            alpha = levels_of_integers(extra, top) if layout.has_alpha else None
        if layout.color == _WHITE_IS_ZERO:
            found = 255 - found
        if alpha is None:
            return found
        if layout.extra[0] == _PREMULTIPLIED:
            straight = found / (np.maximum(alpha, 1) / 255)
            found = np.clip(np.rint(straight), 0, 255).astype(np.uint8)
        return np.concatenate([found, alpha], 2)

    def _top(self, values: Array) -> int:
        """What is white: all bits, or 16 of 32 where no value is above that, as programs write it.

        Raises:
            ImageError: signed numbers, some of them below 0.
        """
        layout = self._layout
        if layout.kind == _SIGNED and values.min(initial=0) < 0:
            raise self._refusal(f"with values below 0 (down to {values.min()}) is not read")
        if layout.bits < 32:
            return int((1 << layout.bits) - 1)
        if values.max(initial=0) > _16_BITS:
            return (1 << 32) - 1
        said = f"{self._path}: its 32-bit values reach {values.max()}; taken as 16-bit ones"
        self.notices.append(Notice("guessed_range", said))
        return _16_BITS

    def _how_packed(self) -> str:
        packed = getattr(self._page.compression, "name", self._page.compression)
        predictor = int(self._page.predictor)
        more = f", predictor {predictor}" if predictor > 1 else ""
        return f"(compression {packed}{more}) needs a package more: {install('deep')}, or"

    def _refusal(self, why: str) -> ImageError:
        end = "convert it to 8 or 16-bit RGB"
        return ImageError(f"{self._path}: {self._layout} {why}{_joint(why)}{end}")


def _joint(why: str) -> str:
    return " " if why.endswith(" or") else "; "


def open_tiff(file: Any) -> Any:
    """A TIFF file as tifffile reads it.

    Raises:
        SyntaxError: it cannot be read.
    """
    import tifffile  # takes a tenth of a second

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is told by errors
    file.seek(0)
    try:
        return tifffile.TiffFile(file)
    except DAMAGED as error:
        raise SyntaxError(str(error)) from error


def _tag(page: Any, name: str, otherwise: Any) -> Any:
    with contextlib.suppress(ArithmeticError, LookupError, OSError, TypeError, ValueError):
        tag = page.tags.get(name)
        return otherwise if tag is None else tag.value
    return otherwise


def _first(value: int | Sequence[int]) -> int:
    return int(value if isinstance(value, int) else value[0])
