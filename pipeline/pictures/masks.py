"""Masks: which part of a content picture takes which style (Gatys et al. 2017, "Controlling
Perceptual Factors in Neural Style Transfer", arXiv 1611.07865).

In: mask pictures, gray or of few colors. Out: named regions as guidance channels. Knows nothing of
jobs or networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.errors import ImageError
from pipeline.notices import Notice
from pipeline.pictures.read import Decoded, decode
from pipeline.pictures.regions import BLACK, WHITE

MOST_REGIONS = 16
# A gray picture no brighter than this numbers its regions: by brightness all of it would be black.
_HIGHEST_NUMBER = 15


@dataclass(frozen=True)
class Mask:
    """Regions of a picture.

    Attributes:
        regions: the color of each region, `#rrggbb`, as 8-bit guidance pictures of one size.
        notices: what a person should know of the file.
    """

    regions: Mapping[str, Image.Image]
    notices: tuple[Notice, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The regions' colors, in order."""
        return tuple(self.regions)

    @property
    def empty(self) -> frozenset[str]:
        """Regions that are nowhere."""
        pictures = self.regions.items()
        return frozenset(name for name, image in pictures if not image.getextrema()[1])


def in_shape(mask: Image.Image, picture: tuple[int, int]) -> Image.Image:
    """A mask of about its picture's shape in exactly this shape, so that what crops the one crops
    the other at the same place; no value is mixed with another."""
    if mask.width * picture[1] == mask.height * picture[0]:
        return mask
    return mask.resize(picture, Image.Resampling.NEAREST)


def read_mask(path: Path, levels: bool = False) -> Mask:
    """Reads a mask; see `mask_of`.

    Raises:
        ImageError: not a picture, or of too many colors.
    """
    return mask_of(decode(path), path, levels)


def mask_of(decoded: Decoded, path: Path, levels: bool = False) -> Mask:
    """The mask that a picture, read from `path`, is.

    A gray picture has two regions: white, by its brightness, and black, by what it lacks of it. One
    whose levels are small numbers, or are named, and a picture of colors have one region for each,
    up to 16.

    Args:
        levels: a style names gray levels (see `names_levels`).

    Raises:
        ImageError: it has too many colors.
    """
    image = decoded.image
    values = np.asarray(image)
    gray = bool((values == values[..., :1]).all())
    if gray and not levels and not 0 < values.max() <= _HIGHEST_NUMBER:
        white = image.getchannel(0)
        black = white.point([255 - level for level in range(256)])
        return Mask({WHITE: white, BLACK: black}, decoded.notices)
    codes = values.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    found = np.unique(codes)
    if len(found) > MOST_REGIONS:
        what = "gray levels" if gray else "colors"
        raise ImageError(
            f"{path}: {len(found):,} {what}, but a mask has one flat color a region, at most "
            f"{MOST_REGIONS}; draw it without smooth edges and store it as PNG"
        )
    return Mask(
        {
            f"#{code:06x}": Image.fromarray((codes == code).astype(np.uint8) * 255, "L")
            for code in found.tolist()
        },
        decoded.notices,
    )
