"""Contact sheets: a run's pictures as labeled rows and columns in one PNG or PDF.

In: records of a run, two axes. Out: pictures, one a section: each combination of the other axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFont

from pipeline.errors import ImageError, ManifestError
from pipeline.files import write_atomic
from pipeline.manifest import OLD_NAMES
from pipeline.pictures import on_white, opened
from pipeline.plan import value_text
from pipeline.report.axes import rank
from pipeline.store import RunFolder

_INK, _SOFT, _PAPER = (35, 33, 30), (110, 104, 98), (255, 255, 255)
_GAP = 6
_MOST_PIXELS = 400_000_000
_AMPLIFIED = 4  # differences are shown so many times as large


@dataclass(frozen=True)
class _Cell:
    """One job's picture and where it belongs."""

    labels: Mapping[str, str]
    order: Mapping[str, tuple[int, float, str]]
    path: Callable[[], Path]
    other: Callable[[], Path] | None


def make_sheet(
    run: Path, rows: str, cols: str, output: Path, tile: int = 192, other: Path | None = None
) -> list[str]:
    """Writes the contact sheet of a run.

    Args:
        rows, cols: axes, such as `content`, `style`, or a swept setting (by an old name, too).
        output: a .png or .pdf file; a PDF has a page for each section.
        tile: long side of a picture in px.
        other: another run; each cell then shows both runs' pictures of the job's name, and how
            they differ, four times as strong.

    Pictures that are gone or damaged are left out, with a frame where they would stand.

    Returns:
        what was left out, each with the reason.

    Raises:
        ManifestError: an unknown axis, the same one twice, no pictures, an unknown suffix.
        RunFolderError: the file cannot be written.
    """
    if output.suffix.lower() not in (".png", ".pdf"):
        raise ManifestError([f"{output}: a sheet is a .png or a .pdf"])
    store = RunFolder(run)
    cells = _cells(store, other)
    left_out = store.left_out()
    if not cells:
        why = f" that can be read ({left_out[0]})" if left_out else ""
        raise ManifestError([f"{run}: no pictures there{why}; run the manifest first"])
    known = list(cells[0].labels)
    rows, cols = OLD_NAMES.get(rows, rows), OLD_NAMES.get(cols, cols)
    for option, axis in (("--rows", rows), ("--cols", cols)):
        if axis not in known:
            raise ManifestError([f"{option} {axis}: not an axis; there are {', '.join(known)}"])
    if rows == cols:
        raise ManifestError([f"--rows and --cols are both {rows}; choose two axes"])
    sections: dict[tuple[str, ...], list[_Cell]] = {}
    rest = [axis for axis in known if axis not in (rows, cols)]
    rest = [axis for axis in rest if len({cell.labels[axis] for cell in cells}) > 1]
    for cell in sorted(cells, key=lambda c: [c.order[axis] for axis in rest]):
        sections.setdefault(tuple(cell.labels[axis] for axis in rest), []).append(cell)
    _check_size(sections, rows, cols, tile * (3 if other else 1), tile, output)
    pages = []
    for values, some in sections.items():
        title = ", ".join(f"{axis} {value}" for axis, value in zip(rest, values, strict=True))
        pages.append(_section(some, rows, cols, tile, title, other is not None, left_out))
    _save(pages, output)
    return left_out


def _cells(store: RunFolder, other: Path | None) -> list[_Cell]:
    found, beside = [], RunFolder(other) if other else None
    for record in store.records():
        values: dict[str, Any] = {
            "content": Path(record.content.path).stem,
            "style": record.style.name,
            **record.swept,
        }
        match = beside.record(record.name) if beside else None
        found.append(
            _Cell(
                {name: _label(value) for name, value in values.items()},
                {name: rank(name, value, str(value)) for name, value in values.items()},
                partial(store.picture, record.output.path),
                partial(beside.picture, match.output.path) if beside and match else None,
            )
        )
    axes = dict.fromkeys(name for cell in found for name in cell.labels)
    return [
        _Cell(
            {name: cell.labels.get(name, "as set") for name in axes},
            {name: cell.order.get(name, (2, 0.0, "")) for name in axes},
            cell.path,
            cell.other,
        )
        for cell in found
    ]


def _label(value: Any) -> str:
    return value if isinstance(value, str) else value_text(value)


def _check_size(
    sections: Mapping[tuple[str, ...], Sequence[_Cell]],
    rows: str,
    cols: str,
    width: int,
    height: int,
    output: Path,
) -> None:
    areas = [
        len({c.labels[rows] for c in some}) * len({c.labels[cols] for c in some}) * width * height
        for some in sections.values()
    ]
    area = max(areas) if output.suffix.lower() == ".pdf" else sum(areas)
    if area > _MOST_PIXELS:
        fitting = math.isqrt(_MOST_PIXELS * height * height // area)
        raise ManifestError(
            [f"{output}: {area:,} pixels are too many; choose --tile {fitting} or other axes"]
        )


def _section(
    cells: Sequence[_Cell],
    rows: str,
    cols: str,
    tile: int,
    title: str,
    compares: bool,
    left_out: list[str],
) -> Image.Image:
    """One grid of pictures with its labels; what cannot be read is added to `left_out`."""
    pixels = max(11, tile // 13)
    font = ImageFont.load_default(pixels)
    across = sorted({(c.order[cols], c.labels[cols]) for c in cells})
    down = sorted({(c.order[rows], c.labels[rows]) for c in cells})
    width, height = _tile_size(cells, tile)
    wide = width * (3 if compares else 1) + _GAP
    line = pixels * 1.5
    top = round(line * (2.2 if title else 1.2))
    left = round(max(font.getlength(f"{rows} {text}") for _, text in down)) + 3 * _GAP
    left = min(left, 2 * tile)
    size = (left + wide * len(across) + _GAP, round(top + (height + _GAP) * len(down)) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((_GAP, _GAP), title, _INK, font)
    for index, (_, text) in enumerate(across):
        place = (left + wide * index, top - round(line))
        draw.text(place, _fitting(f"{cols} {text}", font, wide - _GAP), _SOFT, font)
    for index, (_, text) in enumerate(down):
        place = (_GAP, top + (height + _GAP) * index + height // 2)
        draw.text(place, _fitting(f"{rows} {text}", font, left - 2 * _GAP), _SOFT, font, "lm")
    taken = set()
    for cell in cells:
        column = [text for _, text in across].index(cell.labels[cols])
        row = [text for _, text in down].index(cell.labels[rows])
        if (row, column) in taken:
            continue
        taken.add((row, column))
        place = (left + wide * column, top + (height + _GAP) * row)
        try:
            sheet.paste(_picture(cell, (width, height), compares), place)
        except ImageError as error:
            left_out.append(str(error))
            draw.rectangle((*place, place[0] + width - 1, place[1] + height - 1), outline=_SOFT)
    return sheet


def _tile_size(cells: Sequence[_Cell], tile: int) -> tuple[int, int]:
    """Width and height of the first picture that can be read, its longer side a tile's."""
    for cell in cells:
        try:
            with opened(cell.path()) as first:
                sides = (max(1, round(tile * side / max(first.size))) for side in first.size)
                return next(sides), next(sides)
        except ImageError:
            continue
    return tile, tile


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


def _picture(cell: _Cell, size: tuple[int, int], compares: bool) -> Image.Image:
    mine = _load(cell.path(), size)
    if not compares:
        return mine
    both = Image.new("RGB", (3 * size[0], size[1]), _PAPER)
    both.paste(mine, (0, 0))
    if cell.other is not None:
        theirs = _load(cell.other(), size)
        difference = ImageChops.difference(mine, theirs).point(lambda v: min(255, v * _AMPLIFIED))
        both.paste(theirs, (size[0], 0))
        both.paste(difference, (2 * size[0], 0))
    return both


def _load(path: Path, size: tuple[int, int]) -> Image.Image:
    with opened(path) as image:
        fitted = on_white(image)
    fitted.thumbnail(size, Image.Resampling.LANCZOS)
    framed = Image.new("RGB", size, _PAPER)
    framed.paste(fitted, ((size[0] - fitted.width) // 2, (size[1] - fitted.height) // 2))
    return framed


def _save(pages: Sequence[Image.Image], output: Path) -> None:
    buffer = BytesIO()
    if output.suffix.lower() == ".pdf":
        pages[0].save(buffer, "PDF", save_all=True, append_images=list(pages[1:]))
    else:
        width = max(page.width for page in pages)
        whole = Image.new("RGB", (width, sum(page.height for page in pages)), _PAPER)
        above = 0
        for page in pages:
            whole.paste(page, (0, above))
            above += page.height
        whole.save(buffer, "PNG")
    write_atomic(output, buffer.getvalue())
