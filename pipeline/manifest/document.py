"""YAML with the line of every value, within limits.

In: a file. Out: a `Document`: plain values, and messages that name file and line. Knows nothing of
what the values mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar

import yaml

from pipeline.errors import ManifestError
from pipeline.manifest.text import read_text_file
from pipeline.manifest.yaml_text import MAX_BYTES, read_yaml, reason
from pipeline.notices import Notice
from pipeline.terminal import counted

# How many problems are listed; the rest is counted.
MOST_PROBLEMS = 100
Position = tuple[str | int, ...]
Entry = TypeVar("Entry")
# Takes a position below some other one, and what is wrong there.
Report = Callable[[Position, str], None]


def read_document(path: Path) -> Document:
    """Reads a manifest's file.

    Raises:
        ManifestError: no such file, not YAML, over a limit, or no mapping.
    """
    document = Document(path, read_text_file(path, "manifest", MAX_BYTES))
    if not isinstance(document.data, dict):
        what = "empty" if document.data is None else f"a {type(document.data).__name__}"
        document.report((), f"a mapping with output, content and style is needed, this is {what}")
        document.raise_if_any()
    return document


def document_of(data: Mapping[str, Any]) -> Document:
    """A manifest that was made in Python, as if its YAML lay in the working folder.

    Raises:
        ManifestError: a value that YAML does not have.
    """
    try:
        text = yaml.safe_dump(_written(data), sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        why = " ".join(str(error).split())[:200]
        raise ManifestError([f"the manifest has a value that YAML does not have: {why}"]) from error
    return Document(Path.cwd() / "manifest made in Python", text)


def _written(value: Any) -> Any:
    """A value as it is written in YAML: paths as text, tuples as lists, numpy's numbers and arrays
    as Python's."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {_written(key): _written(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(inner) for inner in value]
    return str(value) if isinstance(value, PurePath) else value


class Document:
    """A manifest's data, and the line of every value in it.

    Attributes:
        data: as plain values.
        lines: by position, from 1.
        kept: of a list with wrong entries, and of each axis of the grid, `grid.NAME`, where those
            that are right stand in the file.
        problems, warnings: what is wrong with it, and what a person should know, so far.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines: dict[Position, int] = {}
        self.kept: dict[str, list[int]] = {}
        self.text = text
        self.problems: list[str] = []
        self.warnings: list[Notice] = []
        self.data: Any = None
        try:
            self.data, node = read_yaml(text)
        except yaml.YAMLError as error:
            raise ManifestError([self.at(*reason(error))]) from error
        self._walk(node, ())

    def at(self, line: int, message: str) -> str:
        """A message about a line."""
        return f"{self.path}:{line}: {message}"

    def _walk(self, node: yaml.Node | None, position: Position) -> None:
        if node is None:
            return
        self.lines[position] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                name = str(key.value)
                if name in seen:
                    self.problems.append(
                        self.at(
                            line,
                            f"key {name!r} stands twice, first in line {seen[name]}",
                        )
                    )
                seen.setdefault(name, line)
                inner: Position = (*position, name)
                self._walk(value, inner)
                self.lines[inner] = line
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._walk(item, (*position, index))

    def places(self, key: str, entries: Sequence[Entry]) -> Iterable[tuple[int, Entry]]:
        """The entries of a list that are right, each with its place in the file."""
        return zip(self.kept.get(key, range(len(entries))), entries, strict=True)

    def report(self, position: Position, message: str) -> None:
        """Adds a problem at the line of `position`, or of what encloses it."""
        name = position_text(position)
        prefix = f"{name}: " if name else ""
        self.problems.append(self.at(self.line_of(position), prefix + message))

    def line_of(self, position: Position) -> int:
        """The line of a position, or of what encloses it."""
        place = position
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def raise_if_any(self) -> None:
        """Raises a ManifestError with all problems, in the order of lines."""
        if self.problems:
            unique = sorted(dict.fromkeys(self.problems), key=_line_of)
            more = len(unique) - MOST_PROBLEMS
            rest = [f"{self.path}: and {counted(more, 'problem')} more"] if more > 0 else []
            raise ManifestError(unique[:MOST_PROBLEMS] + rest)


def report_at(document: Document, *position: str | int) -> Report:
    """Reports problems below a position of the manifest."""
    return lambda below, message: document.report((*position, *below), message)


def position_text(position: Position) -> str:
    """A position as it is written in messages: `pairs[0].settings.size`."""
    return "".join(map(_part, position)).lstrip(".")


def _part(part: str | int) -> str:
    plain = isinstance(part, str) and re.fullmatch(r"\w+", part)
    return f".{part}" if plain else f"[{part!r}]"


def _line_of(problem: str) -> int:
    match = re.search(r":(\d+): ", problem)
    return int(match[1]) if match else 0


def parse_value(text: str) -> Any:
    """A value written as in a manifest: `1e3` is a number, `[conv1_1, conv2_1]` a list.

    Raises:
        ManifestError: not YAML, or over a limit.

    >>> parse_value("1e3"), parse_value("[conv1_1, conv2_1]"), parse_value("no")
    (1000.0, ['conv1_1', 'conv2_1'], 'no')
    """
    try:
        return read_yaml(text)[0]
    except yaml.YAMLError as error:
        _, why = reason(error)
        raise ManifestError([f"{text[:80]!r}: not a value as in YAML ({why})"]) from error
