"""The name that a wrong one was meant to be.

In: a name, and those that there are. Out: words for a message.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_MOST_SHOWN = 100


def nearest(name: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` for the nearest known name, or a list of what there is.

    >>> nearest("sed", ["seed", "size"]), nearest("zzz", ["seed", "size"])
    ("; did you mean 'seed'?", '; known are seed, size')
    """
    close = difflib.get_close_matches(name, known, 1, 0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    more = f" and {len(known) - _MOST_SHOWN:,} more" if len(known) > _MOST_SHOWN else ""
    return f"; known are {', '.join(known[:_MOST_SHOWN])}{more}"
