"""YAML with the line of every value, within limits.

In: a file. Out: a `Document`: plain values, and messages that name file and line. Knows nothing of
what the values mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ManifestError
from pipeline.notices import Notice

MAX_DEPTH = 20
MAX_EXPANDED_NODES = 5_000_000
Position = tuple[str | int, ...]
# Takes a position below some other one, and what is wrong there.
Report = Callable[[Position, str], None]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML with YAML 1.2's plain scalars: `1e3` and `1_000` are numbers, `no` is a word."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_INT = re.compile(r"^[-+]?[0-9][0-9_]*$")
_FLOAT = re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$")
for _tag, _pattern, _first in (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), "~nN\0"),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+0123456789."),
    ("merge", re.compile(r"^<<$"), "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, [*_first, ""])
_Loader.add_constructor(
    "tag:yaml.org,2002:int", lambda _, node: int(str(node.value).replace("_", ""))
)
_Loader.add_constructor(
    "tag:yaml.org,2002:float", lambda _, node: float(str(node.value).replace("_", ""))
)


def read_document(path: Path) -> Document:
    """Reads a manifest's file.

    Raises:
        ManifestError: no such file, not YAML, over a limit, or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ManifestError([f"{path}: no such manifest; check the path"]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError([f"{path}: cannot be read as UTF-8 text ({error})"]) from error
    document = Document(path, text)
    if not isinstance(document.data, dict):
        what = "empty" if document.data is None else f"a {type(document.data).__name__}"
        document.report((), f"a mapping with output, content and style is needed, this is {what}")
        document.raise_if_any()
    return document


class Document:
    """A manifest's data, and the line of every value in it.

    Attributes:
        data: as plain values.
        lines: by position, from 1.
        problems, warnings: what is wrong with it, and what a person should know, so far.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines: dict[Position, int] = {}
        self.text = text
        self.problems: list[str] = []
        self.warnings: list[Notice] = []
        self.data: Any = None
        self._check_depth(text)
        try:
            loader = _Loader(text)
            try:
                node = loader.get_single_node()
                self._check_size(node)
                self._walk(node, ())
                self.data = loader.construct_document(node) if node is not None else None
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise ManifestError([self.at(mark.line + 1 if mark else 1, _reason(error))]) from error
        except yaml.YAMLError as error:
            raise ManifestError([self.at(1, f"not YAML: {error}")]) from error

    def at(self, line: int, message: str) -> str:
        """A message about a line."""
        return f"{self.path}:{line}: {message}"

    def _check_depth(self, text: str) -> None:
        depth = 0
        try:
            for event in yaml.parse(text, Loader=_Loader):
                if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                    depth += 1
                    if depth > MAX_DEPTH:
                        mark = event.start_mark
                        line = mark.line + 1 if mark else 1
                        message = f"nested more than {MAX_DEPTH} levels deep; flatten it"
                        raise ManifestError([self.at(line, message)])
                elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                    depth -= 1
        except yaml.YAMLError:
            return  # reported, with its line, by the full parse

    def _check_size(self, root: yaml.Node | None) -> None:
        """Counts nodes as if aliases were written out, without writing them out."""
        sizes: dict[int, int] = {}

        def size(node: yaml.Node, above: tuple[int, ...]) -> int:
            if id(node) in above:
                line = node.start_mark.line + 1
                raise ManifestError([self.at(line, "an alias that contains itself")])
            if id(node) not in sizes:
                inner = (*above, id(node))
                sizes[id(node)] = 1 + sum(size(child, inner) for child in _children(node))
            return sizes[id(node)]

        if root is not None and (total := size(root, ())) > MAX_EXPANDED_NODES:
            line = root.start_mark.line + 1
            message = f"aliases expand to {total:,} values; at most {MAX_EXPANDED_NODES:,} are read"
            raise ManifestError([self.at(line, message)])

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
            unique = list(dict.fromkeys(self.problems))
            raise ManifestError(sorted(unique, key=_line_of))


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


def _reason(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "not YAML"
    if "could not determine a constructor" in problem:
        return "tags such as !!python/object are not read; write plain values"
    context = f" ({error.context})" if error.context else ""
    return f"not YAML: {problem}{context}"


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def parse_value(text: str) -> Any:
    """A value written as in a manifest: `1e3` is a number, `[conv1_1, conv2_1]` a list.

    Raises:
        ManifestError: not YAML.

    >>> parse_value("1e3"), parse_value("[conv1_1, conv2_1]"), parse_value("no")
    (1000.0, ['conv1_1', 'conv2_1'], 'no')
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ManifestError([f"{text!r}: not a value as in YAML ({error})"]) from error
