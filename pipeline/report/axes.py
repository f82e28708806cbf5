"""The axes of a run's grid: content, style, a data set's class and split, and each swept setting.

In: entries. Out: axes, their values in order, and each entry's place on them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pipeline.manifest import LEVELS
from pipeline.plan import NO_PLACE, PLACES, value_text
from pipeline.report.entries import Entry
from pipeline.report.table import places

Kind = Literal["content", "style", "place", "setting"]


@dataclass
class Axis:
    """One axis of the grid: its values in order of appearance, and each job's among them.

    Attributes:
        kind: `place` is a folder that a data set has its classes or splits in.
        pictures: of each value, with its digest, as records have them.
    """

    name: str
    kind: Kind
    index: dict[str, int] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    pictures: list[tuple[str, str] | None] = field(default_factory=list)
    column: list[int] = field(default_factory=list)

    def add(self, key: str, label: str, value: Any, picture: tuple[str, str] | None) -> None:
        """The next job's value."""
        if key not in self.index:
            self.index[key] = len(self.labels)
            self.labels.append(label)
            self.values.append(value)
            self.pictures.append(None)
        self.pictures[self.index[key]] = self.pictures[self.index[key]] or picture
        self.column.append(self.index[key])


def make_axes(entries: Sequence[Entry]) -> list[Axis]:
    """content, style, class and split where there are several, and each swept setting.

    A clip is one content, whatever its frames are called.
    """
    swept = list(dict.fromkeys(name for entry in entries for name in entry.swept))
    contents, styles = Axis("content", "content"), Axis("style", "style")
    folders = [Axis(name, "place") for name in PLACES]
    axes = {name: Axis(name, "setting") for name in swept}
    clips = clips_of(entries)
    paths = [clips.get(entry.name, entry.content) for entry in entries]
    labels = short_names(sorted(set(paths)))
    for entry, path in zip(entries, paths, strict=True):
        contents.add(path, labels[path], path, _picture(entry, entry.content))
        first = next(iter(entry.parts), "")
        blend = {"name": entry.style, "parts": entry.parts, "regions": entry.regions}
        styles.add(
            json.dumps([entry.style, sorted(entry.parts.items())]),
            entry.style,
            blend,
            _picture(entry, first),
        )
        # A clip is a folder of its frames.
        name = str(PurePosixPath(entry.name).parent) if entry.name in clips else entry.name
        for folder in folders:
            place = places(name, entry.file)[folder.name]
            folder.add(place, place or NO_PLACE, place, None)
        for name, axis in axes.items():
            value = entry.swept.get(name)
            label = value_text(value) if name in entry.swept else "as set"
            axis.add(json.dumps(value, sort_keys=True), label, value, None)
    ordered = [
        contents,
        styles,
        *(folder for folder in folders if _several(folder, entries)),
        *axes.values(),
    ]
    for axis in ordered:
        _in_order(axis)
    return ordered


def _several(axis: Axis, entries: Sequence[Entry]) -> bool:
    """Whether what is done has several of its values."""
    return len({v for v, e in zip(axis.column, entries, strict=True) if e.image}) > 1


def clips_of(entries: Sequence[Entry]) -> dict[str, str]:
    """The path of the clip of each entry that is a clip's frame, by the entry's name.

    A failed frame does not say so itself: it lies beside frames that do.
    """
    found: dict[PurePosixPath, str] = {}
    for entry in entries:
        if entry.clip is not None:
            found[PurePosixPath(entry.name).parent] = entry.clip.path
    folders = ((entry.name, PurePosixPath(entry.name).parent) for entry in entries)
    return {name: found[folder] for name, folder in folders if folder in found}


def _picture(entry: Entry, path: str) -> tuple[str, str] | None:
    digest = entry.digests.get(path)
    return (path, digest) if digest else None


def short_names(paths: Collection[str]) -> dict[str, str]:
    """File names without their suffix; where two are the same, with as many folders as tell them
    apart, or with their suffix.

    >>> short_names(["in/cat/1.jpg", "in/dog/1.jpg", "in/x.png"])
    {'in/cat/1.jpg': 'cat/1', 'in/dog/1.jpg': 'dog/1', 'in/x.png': 'x'}
    >>> short_names(["in/a.jpg", "in/a.png"])
    {'in/a.jpg': 'a.jpg', 'in/a.png': 'a.png'}
    """
    same: dict[str, list[Path]] = {}
    for path in dict.fromkeys(paths):
        same.setdefault(Path(path).stem, []).append(Path(path))
    texts = {path: text for some in same.values() for path, text in _told_apart(some).items()}
    return {path: texts[Path(path)] for path in paths}


def _told_apart(paths: Sequence[Path]) -> dict[Path, str]:
    """Names of files that have one stem."""
    for with_suffix, folders in ((False, 0), (False, 1), (False, 2), (False, 3), (True, 0)):
        texts = {path: _last_parts(path, folders, with_suffix) for path in paths}
        if len(set(texts.values())) == len(texts):
            return texts
    return {path: str(path) for path in paths}


def _last_parts(path: Path, folders: int, with_suffix: bool) -> str:
    above = path.parent.parts[max(0, len(path.parent.parts) - folders) :]
    return "/".join([*above, path.name if with_suffix else path.stem])


def rank(axis: str, value: Any, label: str) -> tuple[int, float, str]:
    """By which an axis' values are in order: levels from the least to the most, numbers by size,
    all else by name."""
    levels = list(LEVELS.get(axis, ()))
    if value in levels:
        return (0, float(levels.index(value)), "")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (0, float(value), "") if is_number else (1, 0.0, label)


def _in_order(axis: Axis) -> None:
    def of(place: int) -> tuple[int, float, str]:
        return rank(axis.name, axis.values[place], axis.labels[place])

    order = sorted(range(len(axis.labels)), key=of)
    new = {old: place for place, old in enumerate(order)}
    for name in ("labels", "values", "pictures"):
        setattr(axis, name, [getattr(axis, name)[old] for old in order])
    axis.column = [new[old] for old in axis.column]
