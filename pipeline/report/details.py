"""Records and curves in small files that a page opened from disk may load: scripts, not JSON.

In: entries. Out: a file for each `CHUNK` of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.files import cannot_write
from pipeline.report.drawings import curves_svg
from pipeline.report.entries import Entry
from pipeline.store import RunFolder

CHUNK = 50  # records in one file of details


def script_json(data: Any) -> str:
    """JSON that may stand in a <script> element: whatever a name holds, it cannot end it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def write_details(store: RunFolder, folder: Path, entries: Sequence[Entry]) -> None:
    """Records and curves in files that a page opened from disk may load: scripts, not JSON.

    Raises:
        RunFolderError: no space or no rights.
    """
    for number, start in enumerate(range(0, len(entries), CHUNK)):
        rows = [
            {"record": _shortened(entry.record), "curves": curves_svg(entry.record)}
            for entry in entries[start : start + CHUNK]
        ]
        text = f"nstDetail({number},{script_json(rows)});\n"
        path = folder / f"{number:05}.js"
        data = text.encode(errors="backslashreplace")  # paths need not be UTF-8
        if not _is(store, path, data):
            store.inside.write(path, data)
    try:
        for path in store.inside.files(folder, "*.js"):
            if not path.stem.isdecimal() or int(path.stem[:9]) * CHUNK >= len(entries):
                store.inside.remove(path)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _is(store: RunFolder, path: Path, data: bytes) -> bool:
    try:
        return store.inside.read(path) == data
    except OSError:
        return False


def _shortened(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "losses"}
