"""Contact sheets: a run's pictures as labeled rows and columns in one PNG, JPEG, WebP or PDF.

In: records of a run, two axes. Out: pictures, one a section: each combination of the other axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageFont

from pipeline.errors import ImageError, ManifestError
from pipeline.files import write_atomic
from pipeline.manifest import OLD_NAMES, JobNames
from pipeline.pictures import decode, on_white, opened
from pipeline.plan import PLACES
from pipeline.report.inputs import Inputs
from pipeline.report.sheet_cells import Cell, as_words, cells_of, numbered
from pipeline.report.sheet_draw import (
    GAP,
    PAPER,
    Grid,
    Head,
    Place,
    color_scale,
    difference_map,
    draw_grid,
    mean_difference,
    text_line,
)
from pipeline.store import RunFolder

# Suffix -> format, and the longest side that it can have.
_FORMATS = {
    ".png": ("PNG", 2**31 - 1),
    ".jpg": ("JPEG", 65_500),
    ".jpeg": ("JPEG", 65_500),
    ".webp": ("WEBP", 16_383),
    ".pdf": ("PDF", 2**31 - 1),
}
_QUALITY = 92  # of JPEG and WebP
_MOST_PIXELS = 400_000_000
_LEAST_FILLED = 0.4  # of a grid's places; with fewer, pictures stand side by side


@dataclass(frozen=True)
class Chosen:
    """Which of a run's pictures are on a sheet, and what stands above them.

    Attributes:
        only: these jobs; all if None.
        without: these not.
        title: None for the run's name, empty for none.
    """

    only: JobNames | None = None
    without: JobNames = field(default_factory=JobNames)
    title: str | None = None


def make_sheet(
    run: Path,
    rows: str | None,
    cols: str | None,
    output: Path,
    tile: int = 256,
    other: Path | None = None,
    chosen: Chosen | None = None,
) -> list[str]:
    """Writes the contact sheet of a run.

    Args:
        rows, cols: axes: `content`, `style`, `class` and `split` of a data set, or a swept setting
            (by an old name, too). By class, a section has one content of each. Without either:
            contents and styles, or pictures side by side with what tells them apart where that
            would leave most places empty.
        output: a .png, .jpg, .webp or .pdf file; a PDF has a page for each section.
        tile: long side of a picture in px.
        other: another run; each place then shows both runs' pictures of the job's name, and a map
            of where they differ.

    Pictures that are gone or damaged are left out, with a frame where they would stand.

    Returns:
        what was left out, each with the reason.

    Raises:
        ManifestError: an unknown axis, the same one twice, no pictures, an unknown suffix.
        RunFolderError: the file cannot be written.
    """
    if output.suffix.lower() not in _FORMATS:
        raise ManifestError([f"{output}: a sheet is a .png, .jpg, .webp or .pdf"])
    chosen = chosen or Chosen()
    store = RunFolder(run)
    cells = cells_of(store, other, chosen.only, chosen.without)
    left_out = store.left_out()
    if not cells:
        raise ManifestError([f"{run}: {_why_none(chosen, left_out)}"])
    if other and all(cell.other is None for cell in cells):
        raise ManifestError([f"--diff {other}: has no job of {run} by name; nothing to compare"])
    axes = _axes(cells, rows, cols)
    sheet = _Sheet(cells, axes, tile, _compared(store, other), Inputs(store), left_out)
    _check_size(sheet, output)
    title = as_words(store.path.resolve().name) if chosen.title is None else chosen.title
    _save(sheet.pages(output.suffix.lower() == ".pdf"), title, sheet, output)
    return left_out


def _why_none(chosen: Chosen, left_out: Sequence[str]) -> str:
    if chosen.only is not None or chosen.without:
        lists = [] if chosen.only is None else ["--favorites"]
        lists += ["--reject"] if chosen.without else []
        return f"{' and '.join(lists)} leave none of its pictures; check the names"
    why = f" that can be read ({left_out[0]})" if left_out else ""
    return f"no pictures there{why}; run the manifest first"


def _axes(cells: Sequence[Cell], rows: str | None, cols: str | None) -> tuple[str, str] | None:
    """The axes of rows and columns; None for pictures side by side.

    Raises:
        ManifestError: an unknown axis, or the same one twice.
    """
    known = list(cells[0].labels)
    if rows is None and cols is None:
        places = {(cell.labels["content"], cell.labels["style"]) for cell in cells}
        down, across = ({place[i] for place in places} for i in (0, 1))
        is_full = len(places) >= _LEAST_FILLED * len(down) * len(across)
        return ("content", "style") if is_full else None
    if rows is None or cols is None:
        given = rows or cols
        rows = rows or ("style" if given in ("content", *PLACES) else "content")
        cols = cols or ("style" if given != "style" else "content")
    rows, cols = OLD_NAMES.get(rows, rows), OLD_NAMES.get(cols, cols)
    for option, axis in (("--rows", rows), ("--cols", cols)):
        if axis not in known:
            raise ManifestError([f"{option} {axis}: not an axis; there are {', '.join(known)}"])
    if rows == cols:
        raise ManifestError([f"--rows and --cols are both {rows}; choose two axes"])
    return rows, cols


def _compared(store: RunFolder, other: Path | None) -> tuple[str, ...]:
    """What the panels of a place are; none of a sheet of one run."""
    if other is None:
        return ()
    ours, theirs = store.path.resolve(), other.resolve()
    names = [path.name for path in (ours, theirs)]
    if names[0] == names[1]:
        names = [f"{path.parent.name}/{path.name}" for path in (ours, theirs)]
    return (*map(as_words, names), "difference")


class _Sheet:
    """A sheet's sections, each a grid of places.

    Args:
        compared: what the panels of a place are; none of a sheet of one run.
        left_out: what cannot be read is added there.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        axes: tuple[str, str] | None,
        tile: int,
        compared: Sequence[str],
        inputs: Inputs,
        left_out: list[str],
    ) -> None:
        self.axes, self.compared, self.inputs, self.left_out = axes, compared, inputs, left_out
        self.tile = _tile_size(cells, tile)
        used = set(axes or ())
        self.by_place = bool(used & set(PLACES)) and "content" not in used
        if self.by_place:
            cells = numbered(cells, used)
        # A content has one class: beside contents, classes tell nothing apart.
        used |= {*PLACES, *(["content"] if self.by_place else [])}
        shown = {axis for axis in cells[0].labels if len({c.labels[axis] for c in cells}) > 1}
        self.rest = [axis for axis in cells[0].labels if axis in shown - used]
        self.sections: dict[tuple[str, ...], list[Cell]] = {}
        if axes is None:
            self.sections[()] = list(cells)
            return
        for cell in sorted(cells, key=lambda c: [c.order[axis] for axis in self.rest]):
            place = tuple(cell.labels[axis] for axis in self.rest)
            self.sections.setdefault(place, []).append(cell)

    def shape(self, some: Sequence[Cell]) -> tuple[int, int]:
        """Rows and columns of a section."""
        if self.axes is None:
            columns = max(1, min(len(some), round(math.sqrt(len(some) * 1.5))))
            return math.ceil(len(some) / columns), columns
        rows, cols = self.axes
        return len({c.labels[rows] for c in some}), len({c.labels[cols] for c in some})

    def pages(self, apart: bool) -> list[Image.Image]:
        """Each section as a picture.

        Args:
            apart: each has its own columns' heads; else those that are the same stand once.
        """
        grids = [self._grid(values, some) for values, some in self.sections.items()]
        pages, above = [], None
        for grid in grids:
            texts = [head.text for head in grid.across]
            heads = apart or texts != above
            pages.append(draw_grid(grid, self.tile, self.left_out, heads=heads))
            above = texts
        width = max(page.width for page in pages)
        return pages if apart else [_widened(page, width) for page in pages]

    def _grid(self, values: Sequence[str], some: Sequence[Cell]) -> Grid:
        if self.axes is None:
            return self._side_by_side(some)
        named = zip(self.rest, values, strict=True)
        title = ", ".join(_named(axis, value) for axis, value in named)
        rows, cols = self.axes
        across = sorted({(c.order[cols], c.labels[cols]) for c in some})
        down = sorted({(c.order[rows], c.labels[rows]) for c in some})
        column = {text: index for index, (_, text) in enumerate(across)}
        row = {text: index for index, (_, text) in enumerate(down)}
        placed: dict[tuple[int, int], Place] = {}
        for cell in some:
            at = (row[cell.labels[rows]], column[cell.labels[cols]])
            caption = as_words(cell.labels["content"]) if self.by_place else ""
            placed.setdefault(at, self._place(cell, caption))
        heads = [
            [self._head(axis, text, some) for _, text in values]
            for axis, values in ((cols, across), (rows, down))
        ]
        names = tuple("" if axis in ("content", "style") else as_words(axis) for axis in self.axes)
        return Grid(
            title, heads[0], heads[1], (names[1], names[0]), self.compared, placed,
            bool(self.compared) or self.by_place, len(across),
        )  # fmt: skip

    def _side_by_side(self, some: Sequence[Cell]) -> Grid:
        columns = self.shape(some)[1]
        places = {
            divmod(index, columns): self._place(cell, self._differing(cell))
            for index, cell in enumerate(some)
        }
        captions = bool(self.rest) or bool(self.compared)
        return Grid("", (), (), ("", ""), self.compared, places, captions, columns)

    def _differing(self, cell: Cell) -> str:
        return ", ".join(_named(axis, cell.labels[axis]) for axis in self.rest)

    def _head(self, axis: str, text: str, some: Sequence[Cell]) -> Head:
        words = as_words(text) if axis in ("content", "style") else text
        if axis not in ("content", "style"):
            return Head(words)
        first = next(cell for cell in some if cell.labels[axis] == text)
        found = self.inputs.find(*first.inputs[axis])
        if found is None:
            return Head(words)
        try:
            small = decode(found).image
        except ImageError:  # whoever made the run knows; a label is enough here
            return Head(words)
        small.thumbnail(self.tile, Image.Resampling.LANCZOS)
        return Head(words, small)

    def _place(self, cell: Cell, caption: str) -> Place:
        return partial(_panels, cell, self.tile, bool(self.compared), caption)


def _named(axis: str, value: str) -> str:
    return as_words(value) if axis in ("content", "style") else f"{as_words(axis)} {value}"


def _tile_size(cells: Sequence[Cell], tile: int) -> tuple[int, int]:
    """Width and height of the first picture that can be read, its longer side a tile's."""
    for cell in cells:
        try:
            with opened(cell.path()) as first:
                sides = (max(1, round(tile * side / max(first.size))) for side in first.size)
                return next(sides), next(sides)
        except ImageError:
            continue
    return tile, tile


def _check_size(sheet: _Sheet, output: Path) -> None:
    """Refuses what memory or the format cannot hold, with a tile that would do.

    Raises:
        ManifestError: it is too large.
    """
    wide, high = sheet.tile[0] * max(1, len(sheet.compared)), sheet.tile[1]
    shapes = [sheet.shape(some) for some in sheet.sections.values()]
    areas = [rows * columns * wide * high for rows, columns in shapes]
    kind, longest = _FORMATS[output.suffix.lower()]
    pages = kind == "PDF"
    area = max(areas) if pages else sum(areas)
    rows = max(r for r, _ in shapes) if pages else sum(r for r, _ in shapes)
    # Labels and heads are more: of a sheet with few rows they are half of it.
    side = 1.5 * max(rows * high, max(columns for _, columns in shapes) * wide)
    shrink = min(math.sqrt(_MOST_PIXELS / area), longest / side)
    if shrink < 1:
        fitting = int(max(sheet.tile) * shrink)
        raise ManifestError(
            [f"{output}: {area:,} pixels are too many; choose --tile {fitting} or other axes"]
        )


def _panels(
    cell: Cell, size: tuple[int, int], compares: bool, caption: str
) -> tuple[list[Image.Image], str]:
    """A place's pictures, and the words below them.

    Raises:
        ImageError: one cannot be read.
    """
    mine = _load(cell.path, size)
    if not compares:
        return [_framed(mine, size)], caption
    if cell.other is None:
        return [_framed(mine, size)], _joined(caption, "not there in the other run")
    theirs = _load(cell.other, size)
    panels = [_framed(mine, size), _framed(theirs, size)]
    if mine.size != theirs.size:
        return panels, _joined(caption, "another shape in the other run")
    said = f"{mean_difference(mine, theirs):.1f} of 255 on average"
    panels.append(_framed(difference_map(mine, theirs), size))
    return panels, _joined(caption, said)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _load(place: Callable[[], Path], size: tuple[int, int]) -> Image.Image:
    """A picture as large as fits."""
    with opened(place()) as image:
        whole = on_white(image)
    scale = min(size[0] / whole.width, size[1] / whole.height)
    sides = (max(1, round(whole.width * scale)), max(1, round(whole.height * scale)))
    return whole.resize(sides, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _framed(fitted: Image.Image, size: tuple[int, int]) -> Image.Image:
    framed = Image.new("RGB", size, PAPER)
    framed.paste(fitted, ((size[0] - fitted.width) // 2, (size[1] - fitted.height) // 2))
    return framed


def _widened(page: Image.Image, width: int) -> Image.Image:
    if page.width == width:
        return page
    whole = Image.new("RGB", (width, page.height), PAPER)
    whole.paste(page)
    return whole


def _save(pages: Sequence[Image.Image], title: str, sheet: _Sheet, output: Path) -> None:
    """Puts the title above and, of differences, the colors' scale below; and writes the file."""
    kind, _ = _FORMATS[output.suffix.lower()]
    parts = [[page] for page in pages] if kind == "PDF" else [list(pages)]
    large = max(sheet.tile)
    for page in parts:
        if title:
            page.insert(0, text_line(title, max(14, large // 9), max(page[0].width, 200)))
        if sheet.compared:
            font = ImageFont.load_default(max(11, large // 15))
            page.append(color_scale(large, font, round(max(11, large // 15) * 1.45)))
    stacked = [_stacked(page, max(12, large // 12)) for page in parts]
    buffer = BytesIO()
    if kind == "PDF":
        stacked[0].save(buffer, "PDF", save_all=True, append_images=stacked[1:])
    else:
        stacked[0].save(buffer, kind, quality=_QUALITY)
    write_atomic(output, buffer.getvalue())


def _stacked(parts: Sequence[Image.Image], margin: int) -> Image.Image:
    """Pictures one below the other, within a margin."""
    width = max(part.width for part in parts) + 2 * margin - GAP
    height = sum(part.height for part in parts) + 2 * margin + GAP * (len(parts) - 1)
    whole = Image.new("RGB", (width, height), PAPER)
    above = margin
    for part in parts:
        whole.paste(part, (margin, above))
        above += part.height + GAP
    return whole
