"""Masks: which part of a content picture takes which style (Gatys et al. 2017, "Controlling
Perceptual Factors in Neural Style Transfer", arXiv 1611.07865).

In: mask pictures, gray or of few colors. Out: named regions as guidance channels. Knows nothing of
jobs or networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from pipeline.errors import ImageError
from pipeline.notices import Notice
from pipeline.pictures.read import Decoded, decode

WHITE, BLACK = "#ffffff", "#000000"
MOST_REGIONS = 16


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


def region_name(color: str) -> str:
    """`#rrggbb` of a CSS color name or code.

    >>> region_name("blue"), region_name("#0F0")
    ('#0000ff', '#00ff00')

    Raises:
        ValueError: no color.
    """
    return "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(color)[:3])


def read_mask(path: Path) -> Mask:
    """Reads a mask.

    A gray picture has two regions: white, by its brightness, and black, by what it lacks of it. A
    picture of up to 16 colors has one region a color.

    Raises:
        ImageError: not a picture, or of more colors.
    """
    return mask_of(decode(path), path)


def mask_of(decoded: Decoded, path: Path) -> Mask:
    """The mask that a picture, read from `path`, is; see `read_mask`.

    Raises:
        ImageError: it has too many colors.
    """
    image = decoded.image
    values = np.asarray(image)
    if (values == values[..., :1]).all():
        white = image.getchannel(0)
        black = white.point([255 - level for level in range(256)])
        return Mask({WHITE: white, BLACK: black}, decoded.notices)
    codes = values.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    found = np.unique(codes)
    if len(found) > MOST_REGIONS:
        raise ImageError(
            f"{path}: {len(found):,} colors, but a mask has one flat color a region, at most "
            f"{MOST_REGIONS}; draw it without smooth edges and store it as PNG"
        )
    return Mask(
        {
            f"#{code:06x}": Image.fromarray((codes == code).astype(np.uint8) * 255, "L")
            for code in found.tolist()
        },
        decoded.notices,
    )


def styled_regions(
    content: Sequence[str], style: Sequence[str] | None, where: Path, what: str
) -> list[int | None]:
    """For each of the content's regions, which of the style's it takes; None leaves it as it is.

    Args:
        content: the content's regions.
        style: the style's, or None for a style without: all regions but black then take all of it
            (region 0).
        where: the content's mask, for messages.
        what: the style, for messages.

    Raises:
        ImageError: no region takes a style.
    """
    if style is None:
        taken: list[int | None] = [None if name == BLACK else 0 for name in content]
    else:
        taken = [style.index(name) if name in style else None for name in content]
    if all(index is None for index in taken):
        wanted = ", ".join(style) if style else "one that is not black"
        raise ImageError(
            f"{where}: has the regions {', '.join(content)}, but style {what} is for {wanted}; "
            f"paint them in the same colors"
        )
    return taken
