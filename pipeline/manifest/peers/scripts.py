"""A script of several commands of another tool: a manifest each, one after the other.

In: the script's text. Out: manifests by name. Where a command takes the file that one before
writes, its manifest names that one's picture.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from pipeline.errors import ManifestError
from pipeline.manifest.peers.tools import tool_named, translated
from pipeline.manifest.peers.translation import Tool
from pipeline.manifest.peers.words import refuse_shell, without_program
from pipeline.manifest.peers.written import manifest_text, manifest_values

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
# What a script may do beside, without changing what is made.
_HARMLESS = {"echo", "set", "mkdir", "date", "source", "."}
_ENDS = {";", "&&"}


def import_script(tool: str, text: str, name: str) -> dict[str, str]:
    """The manifests of a script's commands, in order, as YAML by file name.

    Args:
        tool: one of `TOOLS`.
        name: what the manifests are called, with a number behind where there are several.

    Raises:
        ManifestError: what is wrong, each with the script's line.
    """
    known = tool_named(tool)
    commands = list(_commands(known, text))
    if not commands:
        raise ManifestError([f"{name}: no command of {tool} in it"])
    pictures: dict[str, str] = {}
    outputs: set[str] = set()
    found: dict[str, str] = {}
    for number, (line, words) in enumerate(commands, 1):
        try:
            translation = translated(known, words)
            values = manifest_values(translation)
        except ManifestError as error:
            raise ManifestError([f"line {line}: {problem}" for problem in error.problems]) from None
        file = f"{name}-{number}.yaml" if len(commands) > 1 else f"{name}.yaml"
        _go_on_from(values, pictures)
        folder = str(values["output"])
        folder = f"{folder}-{number}" if folder in outputs else folder
        outputs.add(folder)
        values["output"] = {"path": folder, "name": "{stem}"}
        form = values["settings"].get("format", "png")
        stem = PurePath(values["content"][0]).stem
        pictures[_plain(translation.output)] = f"{folder}/images/{stem}.{form}"
        found[file] = manifest_text(values, translation, tool)
    return found


def _plain(path: str) -> str:
    return PurePath(path).as_posix()


def _go_on_from(values: dict[str, Any], pictures: Mapping[str, str]) -> None:
    """Puts the pictures of earlier steps in the place of the files that these wrote."""

    def now(path: Any) -> Any:
        return pictures.get(_plain(path), path) if isinstance(path, str) else path

    values["content"] = [now(path) for path in values["content"]]
    values["style"] = [
        {**style, "blend": {now(path): weight for path, weight in style["blend"].items()}}
        if isinstance(style, dict)
        else now(style)
        for style in values["style"]
    ]
    settings = values["settings"]
    if "init" in settings:
        settings["init"] = now(settings["init"])


def _commands(tool: Tool, text: str) -> Iterator[tuple[int, list[str]]]:
    """The tool's commands with their lines' numbers, variables replaced."""
    variables: dict[str, str] = {}
    for line, words in _lines(text):
        for part in _parts(words):
            assigned = [_ASSIGNMENT.fullmatch(word) for word in part if word != "export"]
            try:
                if all(assigned):
                    for match in filter(None, assigned):
                        variables[match[1]] = _expanded(match[2], variables)
                    continue
                if part[0] in _HARMLESS:
                    continue
                whole = [_expanded(word, variables) for word in part]
                refuse_shell(whole)
            except ManifestError as error:
                raise ManifestError([f"line {line}: {p}" for p in error.problems]) from None
            _, started = without_program(whole, tool.programs)
            if not started:
                raise ManifestError([f"line {line}: {whole[0]}: is no command of this tool"])
            yield line, whole


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines as words, those that end in a backslash joined with the next."""
    joined, first = "", 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        first = first if joined else number
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        lexer = shlex.shlex(joined, posix=True, punctuation_chars=";&|<>()")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError as error:
            raise ManifestError([f"line {first}: {error}".lower()]) from None
        joined = ""
        if words:
            yield first, words


def _parts(words: list[str]) -> Iterator[list[str]]:
    """A line's commands."""
    part: list[str] = []
    for word in [*words, ";"]:
        if word not in _ENDS:
            part.append(word)
        elif part:
            yield part
            part = []


def _expanded(word: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in variables:
            raise ManifestError([f"${name}: the script does not say what it is; write it out"])
        return variables[name]

    return _VARIABLE.sub(value, word)
