"""Maps of pairs as files: CSV or JSON with content, style, and perhaps label and settings.

In: a file. Out: its rows, each with where it stands; and the other way round, so that what was
drawn at random can be made again. Knows nothing of what a pair's values mean.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError
from pipeline.files import cannot_write, read_bytes
from pipeline.json_text import read_json
from pipeline.manifest.map_text import cells, decoded
from pipeline.manifest.paths import exists, meant, path_in
from pipeline.remote import local_copy

MAX_BYTES = 512 * 2**20
COLUMNS = ("content", "style", "label", "mask", "keep")


def read_map(path: Path, value: Callable[[str], Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a map, each with its place (`map.csv:3`) and as a mapping.

    CSV has a header, in any capitals; columns other than content, style, label, mask and keep are
    settings, and empty cells leave them as they are. JSON is a list of {content, style, label,
    mask, keep, settings}. A style that begins with `{` is a blend or regions, as in a manifest.

    Args:
        value: reads a cell of a setting's column.

    Raises:
        ManifestError: no such file, or not what was described.
    """
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise ManifestError([f"{path}: a map of pairs is a .csv or a .json file"])
    try:
        data = read_bytes(local_copy(path), MAX_BYTES)
    except FileNotFoundError as error:
        raise ManifestError([f"{path}: no such map of pairs; check the path"]) from error
    except OSError as error:
        raise ManifestError([f"{path}: cannot be read ({error.strerror}); check it"]) from error
    rows = _READERS[kind]
    text = decoded(path, data, lambda text: _hits(path, list(_tried(rows(path, text, str)))))
    yield from rows(path, text, value)


def _tried(rows: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The rows up to one that is wrong, which is told once the encoding is known."""
    with contextlib.suppress(ManifestError):
        yield from (row for _, row in rows)


def _hits(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """How many of the paths beyond ASCII are there."""
    found = {str(row[name]) for row in rows for name in ("content", "style", "mask") if name in row}
    beyond = (word for word in found if not word.isascii())
    return sum(exists(path_in(path.parent, meant(path.parent, word))) for word in beyond)


def _csv_rows(
    path: Path, text: str, value: Callable[[str], Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = cells(path, text, COLUMNS[:2])
    _, header = next(rows)
    for line, row in rows:
        at = f"{path}:{line}"
        named = dict(zip(header, row, strict=True))
        _check_unnamed(at, header, row)
        pair: dict[str, Any] = {k: named[k].strip() for k in COLUMNS if named.get(k, "").strip()}
        for name, cell in pair.items():
            if "\n" in cell and not cell.startswith("{"):
                raise ManifestError([f"{at}: {name} has several lines; a quote does not end"])
        pair["style"] = _style(at, named["style"].strip())
        others = {k: v for k, v in named.items() if k and k not in COLUMNS and v.strip()}
        settings = {name: _value(at, name, cell, value) for name, cell in others.items()}
        yield at, pair | ({"settings": settings} if settings else {})


def _check_unnamed(at: str, header: Sequence[str], row: Sequence[str]) -> None:
    """A column without a name numbers the rows, as pandas writes it, or is empty."""
    for name, cell in zip(header, row, strict=True):
        if not name and not (cell.strip().isdigit() or not cell.strip()):
            raise ManifestError([f"{at}: {cell.strip()!r} stands in a column without a name"])


def _value(at: str, name: str, cell: str, value: Callable[[str], Any]) -> Any:
    try:
        return value(cell)
    except ManifestError as error:
        raise ManifestError([f"{at}: {name}: {error}"]) from error


def _style(at: str, cell: str) -> Any:
    if not cell.startswith("{"):
        return cell
    try:
        return read_json(cell)
    except ValueError as error:
        raise ManifestError([f"{at}: style is not JSON ({error})"]) from error


def _json_rows(
    path: Path, text: str, value: Callable[[str], Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        rows = read_json(text)
    except json.JSONDecodeError as error:
        raise ManifestError([f"{path}:{error.lineno}: not JSON: {error.msg}"]) from error
    except ValueError as error:
        raise ManifestError([f"{path}:1: not JSON: {error}"]) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ManifestError([f"{path}:1: must be a list of {{content, style}}"])
    for index, row in enumerate(rows):
        yield f"{path}[{index}]", {name.strip().lower(): given for name, given in row.items()}


_READERS = {".csv": _csv_rows, ".tsv": _csv_rows, ".json": _json_rows}


def write_map(
    path: Path, pairs: Iterable[tuple[Path, Any, str, Path | None, Path | None]], temporary: Path
) -> None:
    """Writes a map as CSV, whole or not at all.

    Args:
        pairs: content, style (a path, or a mapping as in a manifest), the content's label and mask,
            and what to keep of it.
        temporary: an existing folder on the same disk.

    Raises:
        RunFolderError: no space or no rights.
    """
    draft = temporary / f"{path.name}.new"
    try:
        with draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for content, style, label, mask, keep in pairs:
                cell = json.dumps(style) if isinstance(style, Mapping) else str(style)
                writer.writerow((str(content), cell, label, str(mask or ""), str(keep or "")))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
