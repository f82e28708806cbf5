"""JSON that others wrote: any text comes back as a value or as a ValueError.

In: text or bytes. Out: plain values. Knows no files and no forms.
"""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 100


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: not JSON, not UTF-8, nested deeper than `MAX_DEPTH`, or a number of thousands of
            digits.

    >>> read_json('{"size": 64}')
    {'size': 64}
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from error
    _check_depth(found)
    return found


def _check_depth(found: Any) -> None:
    """The interpreter's own limit depends on who calls; whoever writes it out again has it too."""
    level, depth = [found], 0
    while level := [value for value in level if isinstance(value, (dict, list))]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        level = [
            below for value in level
            for below in (value.values() if isinstance(value, dict) else value)
        ]  # fmt: skip
