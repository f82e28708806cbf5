"""A contact sheet's pictures, each with its place on every axis.

In: records of a run, perhaps of another one. Out: cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.manifest import JobNames
from pipeline.plan import value_text
from pipeline.report.axes import rank
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
    """The pictures of a run that are meant, each with a value on every axis."""
    beside = RunFolder(other) if other else None
    without = without.among(record.name for record in store.records())
    only = None if only is None else only.among(record.name for record in store.records())
    found = [
        _cell(store, record, beside)
        for record in store.records()
        if (only is None or only.takes(record.name)) and not without.takes(record.name)
    ]
    axes = dict.fromkeys(name for cell in found for name in cell.labels)
    return [
        replace(
            cell,
            labels={name: cell.labels.get(name, "as set") for name in axes},
            order={name: cell.order.get(name, (2, 0.0, "")) for name in axes},
        )
        for cell in found
    ]


def _cell(store: RunFolder, record: Record, beside: RunFolder | None) -> Cell:
    values: dict[str, Any] = {
        "content": Path(record.content.path).stem,
        "style": record.style.name,
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
