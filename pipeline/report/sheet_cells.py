"""A contact sheet's pictures, each with its place on every axis.

In: records of a run, perhaps of another one. Out: cells.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.manifest import JobNames
from pipeline.plan import NO_PLACE, PLACES, value_text
from pipeline.report.axes import rank, short_names
from pipeline.report.table import places
from pipeline.store import Record, RunFolder


@dataclass(frozen=True)
class Cell:
    """One job's picture and where it belongs.

    Attributes:
        labels, order: of each axis.
        inputs: `content` and `style`: the picture's path and digest, as records have them.
        path: where the picture is; may raise `ImageError`.
        other: the same of another run, if it has the job.
    """

    labels: Mapping[str, str]
    order: Mapping[str, tuple[int, float, str]]
    inputs: Mapping[str, tuple[str, str]]
    path: Callable[[], Path]
    other: Callable[[], Path] | None


def cells_of(
    store: RunFolder, other: Path | None, only: JobNames | None, without: JobNames
) -> list[Cell]:
    """The pictures of a run that are meant, each with a value on every axis: content, style, swept
    settings, and class and split where a content has one."""
    beside = RunFolder(other) if other else None
    without = without.among(record.name for record in store.records())
    only = None if only is None else only.among(record.name for record in store.records())
    found = [
        _cell(store, record, beside)
        for record in store.records()
        if (only is None or only.takes(record.name)) and not without.takes(record.name)
    ]
    axes = dict.fromkeys(name for cell in found for name in cell.labels)
    for name in PLACES:
        if all(cell.labels[name] == NO_PLACE for cell in found):
            axes.pop(name, None)
    contents = short_names({cell.labels["content"] for cell in found})
    return [
        replace(
            cell,
            labels={name: cell.labels.get(name, "as set") for name in axes}
            | {"content": contents[cell.labels["content"]]},
            order={name: cell.order.get(name, (2, 0.0, "")) for name in axes},
        )
        for cell in found
    ]


def numbered(cells: Sequence[Cell], axes: Collection[str]) -> list[Cell]:
    """The same, with an axis `picture`: the number of a content among those of its class, or of its
    place on others of these axes."""
    found: dict[tuple[str, ...], dict[str, int]] = {}
    wide = [axis for axis in axes if axis in PLACES]
    for cell in sorted(cells, key=lambda cell: cell.order["content"]):
        some = found.setdefault(tuple(cell.labels[axis] for axis in wide), {})
        some.setdefault(cell.labels["content"], len(some) + 1)
    return [_with_number(cell, found[tuple(cell.labels[axis] for axis in wide)]) for cell in cells]


def _with_number(cell: Cell, numbers: Mapping[str, int]) -> Cell:
    number = numbers[cell.labels["content"]]
    return replace(
        cell,
        labels={**cell.labels, "picture": f"{number:,}"},
        order={**cell.order, "picture": (0, number, "")},
    )


def _cell(store: RunFolder, record: Record, beside: RunFolder | None) -> Cell:
    # A clip is a folder of its frames.
    name = record.name if record.clip is None else str(PurePosixPath(record.name).parent)
    found = places(name, record.content.file)
    values: dict[str, Any] = {
        "content": record.content.path,
        "style": record.style.name,
        **{axis: found[axis] or NO_PLACE for axis in PLACES},
        **record.swept,
    }
    match = beside.record(record.name) if beside else None
    first = next(iter(record.style.pictures), None)
    return Cell(
        labels={name: _label(value) for name, value in values.items()},
        order={name: rank(name, value, str(value)) for name, value in values.items()},
        inputs={
            "content": (record.content.path, record.content.sha256),
            "style": (first.path, first.sha256) if first else ("", ""),
        },
        path=partial(store.picture, record.output.path),
        other=partial(beside.picture, match.output.path) if beside and match else None,
    )


def _label(value: Any) -> str:
    return value if isinstance(value, str) else value_text(value)


def as_words(name: str) -> str:
    """A name as a person writes it.

    >>> as_words("style_weight"), as_words("the_great_wave"), as_words("_")
    ('style weight', 'the great wave', '_')
    """
    return " ".join(name.replace("_", " ").split()) or name
