"""Damage to text and bytes, drawn from a seed: flipped bytes, cut files, hostile values.

In: a valid file and a random generator. Out: a broken one. Knows nothing of what reads it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

# What readers of YAML, JSON, CSV and command lines have fallen over.
NASTY: tuple[str, ...] = (
    "", "null", "true", "no", "-1", "0", "1e400", "-1e400", "1e-400", ".inf", "-.inf", ".nan",
    "NaN", "Infinity", "9" * 5000, "-" + "9" * 300, "1" + "0" * 400, "0x10", "0b1", "1_0", "1:30",
    "2026-13-45", "2026-11-28T25:61:61Z", "2001-1-1 1:1:1.9999999999", "!!int x", "!!float x",
    "!!bool x", "!!null x", "!!timestamp x", "!!binary x", "!!set {a, b}", "!!omap [a: 1]",
    "!!pairs [a: 1]", "!!python/object/apply:os.system [ls]", "!x y", "[]", "{}", "[a]", "{a: 1}",
    "[[[1]]]", "{a: {b: {c: 1}}}", "? [a, b]\n: c", "{[a]: b}", "{1: 2, 1.0: 3, true: 4}",
    "&a [*a]", "*nowhere", "&b {<<: *b}", "<<: 3", "{<<: [1]}", "[" * 40, "[" * 20_000,
    "{a: " * 500,
    '"\\ud800"', '"\\x00"', '"\\0"', "\x00", "\x1b[31mred", "\u202e", "\ufeff", "\ud7ff",
    "x" * 5000,
    "~nobody/x.png", "~/x.png", "~", ".", "..", "/", "//", "/proc/self/root/**", "/proc/1/cwd/**",
    "/proc/1/cwd/*.mp4", "/proc/1/cwd/%04d.png", "loop/**", "loop/x.png", "dangling/**",
    "%04d.png", "%099999999999d.png", "%0d%0d", "*.mp4", "nosuch/*.mov",
    "/dev/null", "/dev/zero", "/dev/stdin", "**", "*", "[", "[!", "[]]", "**/**/**/**", "{stem}",
    "{stem", "{0}", "{stem.__class__}", "{name!r:>9999999}", "%s%n", "pipe", "loop", "dangling",
    "512x", "x512", "512x512x512", "9999999999x1", "'", '"', "'unended", "`", "@", "%", "\t", "- -",
    "--", "--set", "a=b", "=", "a: b: c", "a\nb", "a\r\nb", "#", "|", ">", "|2", "a" * 300 + ".png",
)  # fmt: skip
# A scalar as all these languages write them.
_WORD = re.compile(r"[^\s:,\[\]{}=]+")


def mutated_text(text: str, random: Random) -> bytes:
    """A text with one to three values replaced, lines moved, or bytes changed."""
    for _ in range(random.randint(1, 3)):
        text = random.choice((_replaced, _replaced, _replaced, _shuffled, _doubled, _cut))(
            text, random
        )
    data = text.encode("utf-8", "surrogatepass")
    return mutated_bytes(data, random) if random.random() < 0.25 else data


def mutated_words(words: Sequence[str], random: Random) -> list[str]:
    """A command's words, some of them replaced, doubled, dropped or moved."""
    found = list(words)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(found) + 1)
        act = random.randrange(4)
        if act == 0 or not found:
            found.insert(place, random.choice(NASTY))
        elif act == 1:
            found[place % len(found)] = random.choice(NASTY)
        elif act == 2:
            del found[place % len(found)]
        else:
            found.insert(place, random.choice(found))
    return found


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """Some bytes changed, taken out or put in, and perhaps the end cut off."""
    found = bytearray(data)
    for _ in range(random.randint(1, 12)):
        if not found:
            break
        place = random.randrange(len(found))
        act = random.randrange(4)
        if act == 0:
            found[place] = random.randrange(256)
        elif act == 1:
            found[place] ^= 1 << random.randrange(8)
        elif act == 2:
            del found[place : place + random.choice((1, 2, 4, 16))]
        else:
            found[place:place] = random.randbytes(random.choice((1, 2, 4, 16)))
    if random.random() < 0.3:
        del found[random.randrange(len(found) + 1) :]
    return bytes(found)


def _replaced(text: str, random: Random) -> str:
    words = list(_WORD.finditer(text))
    if not words:
        return random.choice(NASTY)
    word = random.choice(words)
    value = random.choice(NASTY)
    if random.random() < 0.2:
        value = word[0] + value
    return text[: word.start()] + value + text[word.end() :]


def _shuffled(text: str, random: Random) -> str:
    lines = text.splitlines(keepends=True)
    if len(lines) > 1:
        line = lines.pop(random.randrange(len(lines)))
        indent = random.choice(("", " ", "  ", "\t"))
        lines.insert(random.randrange(len(lines) + 1), indent + line)
    return "".join(lines)


def _doubled(text: str, random: Random) -> str:
    begin = random.randrange(len(text) + 1)
    end = min(len(text), begin + random.choice((1, 5, 50, 500)))
    return text[:end] + text[begin:end] * random.choice((1, 2, 20)) + text[end:]


def _cut(text: str, random: Random) -> str:
    begin = random.randrange(len(text) + 1)
    return text[:begin] + text[begin + random.choice((1, 3, 10, 1000)) :]
