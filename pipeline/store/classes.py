"""The numbers of classes in shards.

In: classes, of which data sets may say numbers, and those that earlier shards have. Out: the names
by number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.errors import RunFolderError

_MOST = 100_000  # beyond it a data set's numbers are no classes': hashes, ids


def numbered(
    found: Iterable[tuple[str, int | None]], kept: Sequence[str | None] = ()
) -> tuple[str | None, ...]:
    """The classes' names by number; None where a number is of none.

    A data set's own numbers stand, and so do those of earlier shards; folders that have none come
    behind, in order of their names. A number of several classes has itself for a name.

    Args:
        found: classes by name, each with the number that its data set has for it.
        kept: what earlier shards were written with.

    Raises:
        RunFolderError: a number that earlier shards have for a folder is another class's now.

    >>> numbered([("dog", None), ("cat", 2), ("ant", None), ("cat", None)])
    (None, None, 'cat', 'ant', 'dog')
    """
    own: dict[int, str] = {}
    folders = set()
    for name, number in found:
        if number is None:
            folders.add(name)
        elif 0 <= number < _MOST:
            own[number] = name if own.get(number, name) == name else str(number)
    names = [*kept, *[None] * (max(own, default=-1) + 1 - len(kept))]
    for number, name in own.items():
        before = names[number]
        if before in folders and before != name:
            raise RunFolderError(
                f"shards/classes.json: class {number} is {before!r} in the shards that are there, "
                f"and {name!r} in a data set; choose another `output`"
            )
        names[number] = name
    return (*names, *sorted(folders - set(names)))
