"""A contact sheet's grid as a picture: heads with thumbnails, labels once, panels, a color scale.

In: heads, and a function for each place that gives its picture. Out: pictures. Knows no run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.errors import ImageError

INK, SOFT, PAPER = (35, 33, 30), (105, 99, 93), (255, 255, 255)
GAP = 8
# A difference of so much, of 255, is the brightest color: nothing near, dark to light.
FULL_DIFFERENCE = 64
_HEAT = ((0, 0, 0), (70, 15, 110), (190, 55, 80), (250, 140, 20), (255, 250, 180))


@dataclass(frozen=True)
class Head:
    """What a row or a column is: its label, and perhaps a picture above it."""

    text: str
    picture: Image.Image | None = None


# One place: its panels (one picture, or two runs' and their difference), and words below them. May
# raise `ImageError`.
Place = Callable[[], tuple[Sequence[Image.Image], str]]


@dataclass(frozen=True)
class Grid:
    """A section of a sheet.

    Attributes:
        title: above it; empty for none.
        across, down: heads of columns and of rows; without any, none are drawn.
        axes: what the columns and the rows are, where their heads do not show it.
        panels: what each of a place's panels is; one without a label if empty.
        places: row and column -> what stands there.
        captions: whether places have words below them.
        columns: in a row, where there are no heads.
    """

    title: str
    across: Sequence[Head]
    down: Sequence[Head]
    axes: tuple[str, str]
    panels: Sequence[str]
    places: Mapping[tuple[int, int], Place]
    captions: bool
    columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows = 1 + max((row for row, _ in self.places), default=0)
        return len(self.down) or rows, len(self.across) or self.columns


class Sizes:
    """The lengths of a grid, px, from its tile's.

    Args:
        tile: width and height of one panel.
    """

    def __init__(self, grid: Grid, tile: tuple[int, int], heads: bool) -> None:
        long = max(tile)
        self.tile = tile
        self.font: Any = ImageFont.load_default(max(11, long // 15))
        self.line = round(max(11, long // 15) * 1.45)
        self.title = round(self.line * 1.5) if grid.title else 0
        self.axis = self.line if heads and grid.axes[0] else 0
        self.head = heads and any(head.picture for head in grid.across)
        self.thumb = long * 2 // 5
        self.panels = self.line if heads and grid.panels else 0
        text = self.line if heads and grid.across else 0
        above = self.title + self.axis + (self.thumb + GAP // 2 if self.head else 0) + text
        self.top = above + self.panels + (GAP if above + self.panels else 0)
        self.caption = self.line if grid.captions else 0
        self.left = self._left(grid)
        self.across = tile[0] * max(1, len(grid.panels)) + GAP
        self.down = tile[1] + self.caption + GAP

    def _left(self, grid: Grid) -> int:
        if not grid.down:
            return 0
        words = [head.text for head in grid.down] + [grid.axes[1]]
        longest: int = round(max(self.font.getlength(word) for word in words))
        thumbs = self.thumb if any(head.picture for head in grid.down) else 0
        return min(max(longest, thumbs), round(1.2 * max(self.tile))) + 2 * GAP

    def whole(self, grid: Grid) -> tuple[int, int]:
        """Width and height of the section."""
        rows, columns = grid.shape
        return self.left + self.across * columns, self.top + self.down * rows


def draw_grid(
    grid: Grid, tile: tuple[int, int], left_out: list[str], *, heads: bool = True
) -> Image.Image:
    """A section; what cannot be read is added to `left_out`, with a frame where it would stand.

    Args:
        heads: whether the columns have theirs here; else they stand above an earlier section.
    """
    sizes = Sizes(grid, tile, heads)
    sheet = Image.new("RGB", sizes.whole(grid), PAPER)
    draw = ImageDraw.Draw(sheet)
    if grid.title:
        draw.text((0, 0), _fitting(grid.title, sizes.font, sheet.width), INK, sizes.font)
    if heads:
        _draw_across(sheet, draw, grid, sizes)
    _draw_down(sheet, draw, grid, sizes)
    for (row, column), place in grid.places.items():
        at = (sizes.left + sizes.across * column, sizes.top + sizes.down * row)
        _draw_place(sheet, draw, place, at, sizes, left_out)
    return sheet


def _draw_across(sheet: Image.Image, draw: ImageDraw.ImageDraw, grid: Grid, sizes: Sizes) -> None:
    middle = sizes.left + (sheet.width - sizes.left - GAP) // 2
    top = sizes.title
    if sizes.axis:
        draw.text((middle, top), grid.axes[0], SOFT, sizes.font, "ma")
        top += sizes.axis
    for index, head in enumerate(grid.across):
        left = sizes.left + sizes.across * index
        width = sizes.across - GAP
        if head.picture is not None:
            small = _shrunk(head.picture, (width, sizes.thumb))
            sheet.paste(
                small, (left + (width - small.width) // 2, top + sizes.thumb - small.height)
            )
        at = (left + width // 2, top + (sizes.thumb + GAP // 2 if sizes.head else 0))
        draw.text(at, _fitting(head.text, sizes.font, width), INK, sizes.font, "ma")
    for index in range(grid.shape[1] if grid.panels else 0):
        for number, text in enumerate(grid.panels):
            left = sizes.left + sizes.across * index + sizes.tile[0] * number
            at = (left + sizes.tile[0] // 2, sizes.top - GAP - sizes.panels)
            draw.text(at, _fitting(text, sizes.font, sizes.tile[0] - 4), SOFT, sizes.font, "ma")


def _draw_down(sheet: Image.Image, draw: ImageDraw.ImageDraw, grid: Grid, sizes: Sizes) -> None:
    width = sizes.left - 2 * GAP
    if grid.down and grid.axes[1]:
        at = (0, sizes.top - GAP)
        draw.text(at, _fitting(grid.axes[1], sizes.font, width), SOFT, sizes.font, "ld")
    for index, head in enumerate(grid.down):
        top = sizes.top + sizes.down * index
        middle = top + sizes.tile[1] // 2
        text = _fitting(head.text, sizes.font, width)
        if head.picture is None:
            draw.text((0, middle), text, INK, sizes.font, "lm")
            continue
        small = _shrunk(head.picture, (width, min(sizes.thumb, sizes.tile[1] - sizes.line)))
        begin = middle - (small.height + sizes.line) // 2
        sheet.paste(small, ((width - small.width) // 2, begin))
        draw.text((width // 2, begin + small.height + 4), text, INK, sizes.font, "ma")


def _draw_place(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    place: Place,
    at: tuple[int, int],
    sizes: Sizes,
    left_out: list[str],
) -> None:
    width, height = sizes.tile
    try:
        panels, caption = place()
    except ImageError as error:
        left_out.append(str(error))
        draw.rectangle((*at, at[0] + width - 1, at[1] + height - 1), outline=SOFT)
        return
    for number, panel in enumerate(panels):
        sheet.paste(panel, (at[0] + width * number, at[1]))
    text = _fitting(caption, sizes.font, sizes.across - GAP)
    draw.text((at[0], at[1] + height + 2), text, SOFT, sizes.font)


def _shrunk(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture that fits into a width and height, px."""
    small = picture.copy()
    small.thumbnail((size[0], max(1, size[1])), Image.Resampling.LANCZOS)
    return small


def difference_map(one: Image.Image, other: Image.Image) -> Image.Image:
    """Where two pictures of one size differ: the mean over the channels, black where they agree, to
    light yellow from `FULL_DIFFERENCE` of 255 on."""
    first, second = (np.asarray(image, dtype=np.float32) for image in (one, other))
    strength = np.abs(first - second).mean(2) / FULL_DIFFERENCE
    return Image.fromarray(_heat(strength))


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    """The mean absolute difference of two pictures of one size, of 255."""
    first, second = (np.asarray(image, dtype=np.float32) for image in (one, other))
    return float(np.abs(first - second).mean())


def color_scale(width: int, font: Any, line: int) -> Image.Image:
    """What the colors of difference maps mean, as a bar with its ends."""
    strengths = np.linspace(0, 1, width, dtype=np.float32)
    bar = Image.fromarray(_heat(np.tile(strengths, (line // 2, 1))))
    left, right = "0", f"{FULL_DIFFERENCE} of 255 or more"
    words = [round(font.getlength(text)) + GAP for text in (left, right)]
    scale = Image.new("RGB", (width + sum(words) + GAP, line), PAPER)
    draw = ImageDraw.Draw(scale)
    draw.text((0, line // 2), left, SOFT, font, "lm")
    scale.paste(bar, (words[0], line // 4))
    draw.text((words[0] + width + GAP, line // 2), right, SOFT, font, "lm")
    return scale


def _heat(strength: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Strengths in [0, 1] as colors, uint8 H W 3."""
    places = np.linspace(0, 1, len(_HEAT))
    channels = [np.interp(strength, places, [color[i] for color in _HEAT]) for i in range(3)]
    colors: np.ndarray[Any, Any] = np.stack(channels, -1).round().astype(np.uint8)
    return colors


def text_line(text: str, pixels: int, width: int) -> Image.Image:
    """A line of text as a picture, shortened to fit.

    Args:
        pixels: the letters' size.
    """
    font: Any = ImageFont.load_default(pixels)
    line = Image.new("RGB", (width, round(pixels * 1.6)), PAPER)
    ImageDraw.Draw(line).text((0, line.height // 2), _fitting(text, font, width), INK, font, "lm")
    return line


def _fitting(text: str, font: Any, width: float) -> str:
    """The text, shortened in the middle until it fits."""
    if font.getlength(text) <= width:
        return text
    keep = len(text)
    while keep > 2 and font.getlength(_cut(text, keep)) > width:
        keep -= 1
    return _cut(text, keep)


def _cut(text: str, keep: int) -> str:
    return text[: (keep + 1) // 2] + "…" + text[len(text) - keep // 2 :]
