"""Text for terminals: what names and files hold never moves a cursor or sets a title.

In: text from anywhere. Out: the same, with control characters spelled out. Must not load torch, nor
rich before it is asked for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

from pipeline.address import clean

if TYPE_CHECKING:
    from rich.console import Console

# C0 but tabs and new lines, DEL, C1, and what turns the direction of writing.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""A text whose control characters are spelled out, as `\x1b`, and without the secrets of
    addresses.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _CONTROLS.sub(lambda match: repr(match[0])[1:-1], clean(text))


def json_printable(text: str) -> str:
    """The same of a JSON text, which stays JSON."""
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", clean(text))


def line(text: str) -> str:
    r"""A text that is one line, whatever names in it hold.

    >>> line("a\nb")
    'a\\nb'
    """
    return printable(text).replace("\n", "\\n")


def counted(count: int, noun: str, several: str = "") -> str:
    """A number of things in words.

    Args:
        several: the noun of any other number than 1, if that is not the noun and an s.

    >>> counted(1, "job"), counted(12000, "job"), counted(0, "class", "classes")
    ('1 job', '12,000 jobs', '0 classes')
    """
    return f"{count:,} {noun if count == 1 else several or f'{noun}s'}"


def say(*words: object, file: TextIO | None = None, end: str = "\n", flush: bool = False) -> None:
    """`print`, but nothing that is said acts on the terminal; standard output, unless a file is
    given."""
    text = printable(" ".join(map(str, words)))
    print(text, end=end, file=file or sys.stdout, flush=flush)


def console(**options: Any) -> Console:
    """Rich's console for tables and live views, in which what they hold is as `printable` has it.

    Args:
        options: rich's own.
    """
    plain = {"markup": False, "emoji": False}  # what stands in brackets is a name
    return _plain_console()(**(plain | options))


@cache
def _plain_console() -> type[Console]:
    from rich.console import Console  # here alone: it takes a tenth of a second to load
    from rich.segment import Segment

    class PlainConsole(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            """As rich's own; the control segments that it makes itself stay."""
            for segment in super().render(renderable, options):
                text, style, control = segment
                yield segment if control else Segment(printable(text), style)

    return PlainConsole
