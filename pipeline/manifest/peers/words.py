"""Which of the words that somebody pasted are a tool's options.

In: words. Out: options with their values, and plain words. Refuses what only a shell understands.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from pathlib import PurePath

from pipeline.errors import ManifestError
from pipeline.manifest.peers.translation import Option, Tool, Translation

_SHELL = ("for", "while", "until", "do", "done", "if", "then", "fi", "case", "esac", "function")
_BEFORE = {"sudo", "time", "nohup", "env", "exec", "uv", "poetry", "nice"}
_PYTHON = re.compile(r"(?:python[\d.]*|py|th|luajit|qlua)(?:\.exe)?")
_NUMBER = re.compile(r"-\.?\d[\d.e+-]*")


def refuse_shell(words: Sequence[str]) -> None:
    """What is a shell's.

    Raises:
        ManifestError: with the word, and what there is instead.
    """
    for index, word in enumerate(words):
        if (index == 0 and word in _SHELL) or word in ("do", "done"):
            raise ManifestError(
                [
                    f"{word}: a shell's loops and conditions are not read; write one "
                    f"command, and in its manifest `content: [photos/*.jpg]` for many pictures, "
                    f"`grid:` for many values"
                ]
            )
        if re.fullmatch(r"[;|&<>()]+|\d?>+.*", word) or re.search(r"[$`]|;$", word):
            raise ManifestError([f"{word}: is a shell's, and not read; write one plain command"])


def without_program(words: Sequence[str], programs: Collection[str]) -> tuple[list[str], bool]:
    """The words after the program's name, however it is started, and whether there was one."""
    rest = list(words[1:] if words[:1] == ["--"] else words)
    while rest:
        name = PurePath(rest[0]).name
        if re.fullmatch(r"[A-Za-z_]\w*=.*", rest[0]) or name in _BEFORE:
            rest = rest[1:]
            rest = rest[1:] if name in ("uv", "poetry") and rest[:1] == ["run"] else rest
        elif _PYTHON.fullmatch(name):
            rest = rest[1:]
            while rest and rest[0] in ("-u", "-O"):
                rest = rest[1:]
            if rest[:1] == ["-m"]:
                return rest[2:], True
        elif name in programs or name.endswith((".py", ".lua")):
            return rest[1:], True
        else:
            break
    return rest, False


def take_options(tool: Tool, words: Sequence[str], found: Translation) -> list[str]:
    """Takes all options into the translation; the words that belong to none.

    Of an option that stands there twice the last counts, as in those tools.

    Raises:
        ManifestError: an unknown option, a value that is wrong, missing or too much.
    """
    given: dict[str, list[str]] = {}
    plain: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, joined = word.partition("=")
        name = tool.short.get(name, name)
        if not name.startswith("-") or _NUMBER.fullmatch(word):
            plain.append(word)
            continue
        if name not in tool.options:
            close = difflib.get_close_matches(name, tool.options, 1, 0.6)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ManifestError([f"{name}: unknown option{hint}"])
        if equals:
            rest.insert(0, joined)
        if name in given:
            found.notes.append(f"{name}: stands there twice; the last counts")
        given.pop(name, None)
        given[name] = _values(tool.options[name], name, rest)
    for name, values in given.items():
        try:
            tool.options[name].act(found, values)
        except ManifestError as error:
            raise ManifestError([f"{name}: {error}"]) from error
    if plain and not tool.takes:
        raise ManifestError([f"{plain[0]}: belongs to no option; a value stands after its option"])
    return plain


def _values(option: Option, name: str, words: list[str]) -> list[str]:
    """The values that belong to an option, taken from the words."""
    values: list[str] = []
    while words and (option.most < 0 or len(values) < option.most):
        if words[0].startswith("-") and not _NUMBER.fullmatch(words[0]):
            break
        values.append(words.pop(0))
    if len(values) < option.least:
        raise ManifestError([f"{name}: needs {'a value' if option.least == 1 else 'values'}"])
    return values
