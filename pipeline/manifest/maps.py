"""Maps of pairs as files: CSV or JSON with content, style, and perhaps label and settings.

In: a file. Out: its rows, each with where it stands; and the other way round, so that what was
drawn at random can be made again. Knows nothing of what a pair's values mean.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError
from pipeline.files import cannot_write

COLUMNS = ("content", "style", "label", "mask", "keep")


def read_map(path: Path, value: Callable[[str], Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a map, each with its place (`map.csv:3`) and as a mapping.

    CSV has a header; columns other than content, style, label, mask and keep are settings, and
    empty cells leave them as they are. JSON is a list of {content, style, label, mask, keep,
    settings}. A style that begins with `{` is a blend or regions, as in a manifest.

    Args:
        value: reads a cell of a setting's column.

    Raises:
        ManifestError: no such file, or not what was described.
    """
    if path.suffix.lower() not in (".csv", ".json"):
        raise ManifestError([f"{path}: a map of pairs is a .csv or a .json file"])
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from (_json_rows if path.suffix.lower() == ".json" else _csv_rows)(
                path, file, value
            )
    except FileNotFoundError as error:
        raise ManifestError([f"{path}: no such map of pairs; check the path"]) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError([f"{path}: cannot be read as UTF-8 text ({error})"]) from error


def _csv_rows(
    path: Path, file: Iterable[str], value: Callable[[str], Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(file)
    missing = [name for name in COLUMNS[:2] if name not in (reader.fieldnames or ())]
    if missing:
        raise ManifestError([f"{path}:1: has no column {' and no column '.join(missing)}"])
    for row in reader:
        at = f"{path}:{reader.line_num}"
        if None in row or None in row.values():
            raise ManifestError([f"{at}: has not as many cells as the first line"])
        settings = {k: value(v) for k, v in row.items() if k not in COLUMNS and v.strip()}
        pair: dict[str, Any] = {k: row[k] for k in COLUMNS if row.get(k)}
        pair["style"] = _style(at, row["style"])
        yield at, pair | ({"settings": settings} if settings else {})


def _style(at: str, cell: str) -> Any:
    if not cell.lstrip().startswith("{"):
        return cell
    try:
        return json.loads(cell)
    except json.JSONDecodeError as error:
        raise ManifestError([f"{at}: style is not JSON ({error})"]) from error


def _json_rows(
    path: Path, file: Iterable[str], value: Callable[[str], Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        rows = json.loads("".join(file))
    except json.JSONDecodeError as error:
        raise ManifestError([f"{path}:{error.lineno}: not JSON: {error.msg}"]) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ManifestError([f"{path}:1: must be a list of {{content, style}}"])
    for index, row in enumerate(rows):
        yield f"{path}[{index}]", row


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
