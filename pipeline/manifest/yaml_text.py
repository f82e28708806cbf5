"""YAML that people give, within limits: of bytes, values, depth, aliases and digits.

In: text of a manifest or of one value. Out: plain values, and the nodes with their lines. Whatever
is wrong with it is a `yaml.MarkedYAMLError`, with the place; time and memory are linear in size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite
from typing import Any

import yaml

MAX_BYTES = 32 * 2**20
MAX_DEPTH = 20
MAX_VALUES = 1_000_000
MAX_BY_ALIASES = 100_000  # values more than are written
MAX_DIGITS = 300

# Names of tags that are read, and the plain words that mean them without a tag.
_PLAIN = {
    "null": ("~nN\0", re.compile(r"~|null|Null|NULL|")),
    "bool": ("tTfF", re.compile(r"true|True|TRUE|false|False|FALSE")),
    "int": ("-+0123456789", re.compile(r"[-+]?[0-9][0-9_]*")),
    # No two parts of it can take the same sign, so that it never tries again from the start.
    "float": (
        "-+0123456789.",
        re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"),
    ),
    "merge": ("<", re.compile(r"<<")),
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML with YAML 1.2's plain scalars: `1e3` and `1_000` are numbers, `no` is a word."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    yaml_constructors: dict[str | None, Any] = {}  # noqa: RUF012


class _LimitError(yaml.MarkedYAMLError):
    """Refused by us; its words need no explanation."""

    def __init__(self, message: str, mark: Any) -> None:
        super().__init__(problem=message, problem_mark=mark)


def _wrong(node: yaml.Node, message: str) -> yaml.MarkedYAMLError:
    return _LimitError(message, node.start_mark)


def _of_kind(kind: str, loader: Any, node: yaml.Node) -> Any:
    """A scalar as what its tag says, given or meant.

    Raises:
        yaml.MarkedYAMLError: it is none, or has too many digits.
    """
    if not isinstance(node, yaml.ScalarNode):
        raise _wrong(node, f"!!{kind} is of single values")
    text = str(node.value)
    if not _PLAIN[kind][1].fullmatch(text):
        raise _wrong(node, f"{text[:40]!r} is no {kind}")
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if len(text) > MAX_DIGITS:
        raise _wrong(node, f"a number of {len(text):,} digits; at most {MAX_DIGITS} are read")
    plain = text.replace("_", "")
    number = int(plain) if kind == "int" else float(plain)
    if not isfinite(float(number)):
        raise _wrong(node, f"{text[:40]} is larger than any number that is computed with")
    return number


def _refused(loader: Any, node: yaml.Node) -> Any:
    raise _wrong(node, "tags such as !!python/object are not read; write plain values")


for _tag, (_first, _pattern) in _PLAIN.items():
    _whole = re.compile(f"(?:{_pattern.pattern})$")
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _whole, [*_first, ""])
for _tag in ("null", "bool", "int", "float"):
    _Loader.add_constructor(
        f"tag:yaml.org,2002:{_tag}",
        lambda loader, node, kind=_tag: _of_kind(kind, loader, node),
    )
for _tag, _make in (
    ("str", yaml.SafeLoader.construct_yaml_str),
    ("seq", yaml.SafeLoader.construct_yaml_seq),
    ("map", yaml.SafeLoader.construct_yaml_map),
):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _make)
_Loader.add_constructor(None, _refused)


def read_yaml(text: str) -> tuple[Any, yaml.Node | None]:
    """The value of a text, and its node; None and None of an empty one.

    Raises:
        yaml.MarkedYAMLError: not YAML, a tag, or over a limit.
    """
    _check_text(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, None
        _check_aliases(node)
        return loader.construct_document(node), node
    finally:
        loader.dispose()


# What a single value without anything in it looks like: no limit but that of digits concerns it.
_SINGLE = re.compile(r"[\w.+/ ~-]{0,100}", re.ASCII)


def _check_text(text: str) -> None:
    """Bytes, signs, depth and number of values, before anything is built of them."""
    if _SINGLE.fullmatch(text) and "- " not in text:
        return
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        before = text[: error.start]
        mark = yaml.Mark("", 0, before.count("\n"), 0, None, 0)
        message = f"{text[error.start : error.start + 1]!r} is no sign of UTF-8 text"
        raise _LimitError(message, mark) from error
    if size > MAX_BYTES:
        message = f"larger than {MAX_BYTES // 2**20} MiB; name folders, or a map of pairs"
        raise _LimitError(message, None)
    depth = values = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
            if depth > MAX_DEPTH:
                message = f"nested more than {MAX_DEPTH} levels deep; flatten it"
                raise _LimitError(message, event.start_mark)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        if isinstance(event, yaml.NodeEvent):
            values += 1
            if values > MAX_VALUES:
                message = f"more than {MAX_VALUES:,} values; name folders, or a map of pairs"
                raise _LimitError(message, event.start_mark)


def _check_aliases(root: yaml.Node) -> None:
    """Counts values and levels as if aliases were written out, without writing them out."""
    known: dict[int, tuple[int, int]] = {}

    def extent(node: yaml.Node, above: tuple[int, ...]) -> tuple[int, int]:
        """Values and levels of a node and all below it."""
        if id(node) in above:
            raise _wrong(node, "an alias that contains itself")
        if id(node) not in known:
            inner = (*above, id(node))
            below = [extent(child, inner) for child in children(node)]
            size = 1 + sum(count for count, _ in below)
            levels = max((levels for _, levels in below), default=0)
            known[id(node)] = size, levels + (not isinstance(node, yaml.ScalarNode))
        size, levels = known[id(node)]
        if levels > MAX_DEPTH:
            raise _wrong(node, f"nested more than {MAX_DEPTH} levels deep by aliases; flatten it")
        if size - len(known) > MAX_BY_ALIASES:
            message = f"aliases expand to {size:,} values; at most {MAX_BY_ALIASES:,} more are read"
            raise _wrong(node, f"{message} than are written")
        return size, levels

    extent(root, ())


def children(node: yaml.Node) -> Iterator[yaml.Node]:
    """The nodes right below a node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def reason(error: yaml.YAMLError) -> tuple[int, str]:
    """The line of an error, from 1, and what is wrong there."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return 1, f"not YAML: {error}"
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    if isinstance(error, _LimitError):
        return line, str(error.problem)
    context = f" ({error.context})" if error.context else ""
    return line, f"not YAML: {error.problem}{context}"
