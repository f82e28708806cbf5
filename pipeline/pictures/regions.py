"""Names of a mask's regions: colors, and which of them take which style.

In: names. Out: names and places. Loads no pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import ImageColor

from pipeline.errors import ImageError

WHITE, BLACK = "#ffffff", "#000000"


def region_name(color: str) -> str:
    """`#rrggbb` of a CSS color name or code, or of a gray level 0 to 255.

    >>> region_name("blue"), region_name("#0F0"), region_name("2")
    ('#0000ff', '#00ff00', '#020202')

    Raises:
        ValueError: no color.
    """
    if color.isdecimal() and color.isascii():
        level = int(color)
        if level > 255:
            raise ValueError("gray levels end at 255")
        return f"#{level:02x}{level:02x}{level:02x}"
    return "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(color)[:3])


def names_levels(regions: Sequence[str]) -> bool:
    """Whether regions `#rrggbb` name gray levels other than white and black: gray masks then have
    one region a level.

    >>> names_levels(["#ffffff", "#000000"]), names_levels(["#ff0000"]), names_levels(["#010101"])
    (False, False, True)
    """
    grays = {name for name in regions if name[1:3] == name[3:5] == name[5:7]}
    return bool(grays - {WHITE, BLACK})


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
