"""A picture of a data set, by its name there. Must not load torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """A picture of a data set.

    Attributes:
        name: by which the data set knows it: its path in a tar, its row's number in a table.
        file: what output names call it, with `/`.
        label: its class in words, or empty.
        number: its class's number, where the data set has one, else None.
    """

    name: str
    file: str
    label: str = ""
    number: int | None = None
