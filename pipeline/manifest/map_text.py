"""Maps of pairs as text: their encoding, and what stands between their cells.

In: bytes. Out: text, and its cells. What is in doubt is refused with its line.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import ManifestError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which begins it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Without a mark of its own; that of the system the files came from is one of these.
_OTHERS = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "cp932", "gbk", "big5", "cp949",
    "mac_roman", "cp850", "cp437",
)  # fmt: skip
_DELIMITERS = (",", ";", "\t", "|")


def decoded(path: Path, data: bytes, hits: Callable[[str], int]) -> str:
    """A map's text: UTF-8, UTF-16 or UTF-32; or what makes its paths those of files that are there.

    Args:
        path: of the map, for messages.
        hits: how many paths beyond ASCII in a text are files'; -1 where it cannot be read.

    Raises:
        ManifestError: no encoding, or several, make files of its paths.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strictly(path, data, encoding)
    if b"\0" in data:  # every second byte of plain words
        little = data[1::2].count(0) > data[::2].count(0)
        return _strictly(path, data, "utf-16-le" if little else "utf-16-be")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        place = error.start
    texts = {data.decode(errors="surrogateescape"): "the files' own names"}
    for encoding in _OTHERS:
        try:
            texts.setdefault(data.decode(encoding), encoding)
        except UnicodeDecodeError:
            continue
    counts = {text: hits(text) for text in texts}
    most = max(counts.values())
    best = [text for text, count in counts.items() if count == most]
    if most > 0 and len(best) == 1:
        return best[0]
    line = data[:place].count(b"\n") + 1
    seen = data.splitlines()[line - 1][:80]
    doubt = "several encodings make" if most > 0 else "no encoding of Windows makes"
    raise ManifestError(
        [
            f"{path}:{line}: is not UTF-8, and {doubt} of it paths of files that are there; save "
            f"it as UTF-8 (seen: {seen!r})"
        ]
    )


def _strictly(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(encoding, errors="replace").count("\n") + 1
        seen = data[error.start : error.start + 8]
        raise ManifestError(
            [
                f"{path}:{line}: is not whole {encoding.upper()} text; save it as UTF-8 (seen: "
                f"{seen!r})"
            ]
        ) from error


def cells(path: Path, text: str, needed: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """A CSV file's rows, each with its line; first the header, in small letters.

    Commas, semicolons, tabs or bars stand between cells: the one with which the header has the
    needed columns. Blank rows and blanks around names are left out.

    Raises:
        ManifestError: no such header, rows of another length, or quotes that do not end.
    """
    lines = io.StringIO(text, newline="")
    skipped = 0
    for line in lines:
        skipped += 1
        if line.strip() and not line.lower().startswith("sep="):  # Excel's own
            break
    else:
        raise ManifestError(
            [f"{path}:1: is empty; its first line must name {' and '.join(needed)}"]
        )
    header, delimiter = _header(path, skipped, line, needed)
    yield skipped, header
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    begin = skipped + 1
    try:
        for row in reader:
            at, begin = begin, skipped + reader.line_num + 1
            if any(cell.strip() for cell in row):
                yield at, _of_length(path, at, row, len(header))
    except csv.Error as error:
        raise ManifestError([f"{path}:{begin}: not CSV ({error})"]) from error


def _header(path: Path, at: int, line: str, needed: tuple[str, ...]) -> tuple[list[str], str]:
    every = {}
    for delimiter in _DELIMITERS:
        row = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
        every[delimiter] = names = [cell.strip().lower() for cell in row]
        if set(needed) <= set(names):
            twice = next((name for name in names if name and names.count(name) > 1), None)
            if twice:
                raise ManifestError([f"{path}:{at}: column {twice} stands twice"])
            return names, delimiter
    seen = max(every.values(), key=lambda names: (len(set(needed) & set(names)), len(names)))
    missing = " and no column ".join(name for name in needed if name not in seen)
    raise ManifestError([f"{path}:{at}: has no column {missing} (seen: {', '.join(seen)})"])


def _of_length(path: Path, at: int, row: list[str], length: int) -> list[str]:
    if len(row) < length or any(cell.strip() for cell in row[length:]):
        raise ManifestError(
            [f"{path}:{at}: has not as many cells as the first line, {len(row)} and not {length}"]
        )
    return row[:length]
