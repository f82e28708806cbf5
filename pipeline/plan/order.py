"""In which order a plan's pairs and grid points come.

In: pairs and the number of points. Out: each pair with each point, once.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from pipeline.plan.pairing import PairIndex

Order = Literal["plan", "breadth", "shuffle"]
ORDERS: tuple[Order, ...] = ("plan", "breadth", "shuffle")


def in_order(
    pairs: Iterable[PairIndex], points: int, order: Order, seed: int
) -> Iterator[tuple[PairIndex, int]]:
    """Each pair with the number of each point of the grid.

    Args:
        order: `plan`: pairs in order, each with all its points, the last axis fastest. `breadth`:
            every content once, then every content with something else, so that a run that is cut
            short covers all of them. `shuffle`: drawn by `seed`.
    """
    if order == "plan":
        for pair in pairs:
            yield from ((pair, point) for point in range(points))
        return
    known = list(pairs)
    # Numbers alone: a million of them are 8 MB.
    for turn in _breadth(known, points) if order == "breadth" else _shuffled(known, points, seed):
        number, point = divmod(turn, points)
        yield known[number], point


def _shuffled(pairs: Sequence[PairIndex], points: int, seed: int) -> Iterable[int]:
    turns = array("Q", range(len(pairs) * points))
    random.Random(seed).shuffle(turns)
    return turns


def _breadth(pairs: Sequence[PairIndex], points: int) -> Iterator[int]:
    """Round by round one turn of each content, by another style or point than its neighbor's."""
    own: dict[int, array[int]] = {}
    for number, pair in enumerate(pairs):
        every = range(number * points, (number + 1) * points)
        own.setdefault(pair.content, array("Q")).extend(every)
    for round_ in range(max(map(len, own.values()), default=0)):
        for position, turns in enumerate(own.values()):
            if round_ < len(turns):
                yield turns[(round_ + position) % len(turns)]
