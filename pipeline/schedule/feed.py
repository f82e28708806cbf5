"""The batches that are to be run next: what has to be tried again first, then the stream.

In: batches. Out: one at a time. Must not load torch.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from pipeline.plan import Batch

# Width and height of a batch's largest scale in px -> how many jobs.
Limit = Callable[[int, int], int]

SPOILS = 2  # devices that broke over a batch until it is the batch that is to blame


def may_take(slot: int, batch: Batch) -> bool:
    """Whether a batch is for this slot: one over which its device broke, or its process ended, is
    for another one, until the batch is to blame."""
    lost = (*batch.spoilt, *batch.died)
    return slot not in lost or len(lost) >= SPOILS


class Feed:
    """The batches that are to be run: what has to be tried again first, then the stream.

    Args:
        claim: what of a batch is to be run here after all, asked for when it is given.
        is_shared: whether other processes take batches of the same stream.

    Attributes:
        stopped: no batch is given any more.
        waiting: batches that slots have been given and have not begun.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        claim: Callable[[Batch], Batch | None] | None = None,
        is_shared: bool = False,
    ) -> None:
        self._batches, self._claim = batches, claim
        self._again: deque[Batch] = deque()
        self.is_shared = is_shared
        self.stopped = False
        self.waiting: list[Batch] = []

    def next(
        self, slot: int | None = None, limit: Limit | None = None, *, behind: bool = False
    ) -> Batch | None:
        """The next batch; None if there is none now (one that is lost may come back later).

        Args:
            slot: that is to run it; see `may_take`.
            limit: how many jobs it takes; of a larger batch the rest is for whoever comes next.
            behind: whether it is to wait behind another batch; none that is to be run alone then.
        """
        while not self.stopped and (batch := self._taken(slot, behind)) is not None:
            part = self._part(batch, limit)
            claimed = part if self._claim is None else self._claim(part)
            if claimed is not None:
                return claimed
        return None

    def _part(self, batch: Batch, limit: Limit | None) -> Batch:
        """As much of a batch as a slot takes; the rest stays."""
        if limit is None:
            return batch
        last = batch.scales[-1]
        most = max(1, limit(last.width, last.height))
        if len(batch.jobs) <= most:
            return batch
        self._again.appendleft(replace(batch, jobs=batch.jobs[most:]))
        return replace(batch, jobs=batch.jobs[:most])

    def _taken(self, slot: int | None, behind: bool) -> Batch | None:
        for index, batch in enumerate(self._again):
            if (slot is None or may_take(slot, batch)) and not (behind and batch.alone):
                del self._again[index]
                return batch
        return next(self._batches, None)

    def begin_again(self, batches: Iterator[Batch]) -> None:
        """Another stream, where the first has ended."""
        self._batches = batches

    def after(self, count: int) -> Batch | None:
        """The batch that would be given after `count - 1` others; None if there are not so many."""
        while len(self._again) < count:
            batch = next(self._batches, None)
            if batch is None:
                return None
            self._again.append(batch)
        return self._again[count - 1]

    def peek(self) -> Batch | None:
        """What `next` would give now, unless it is not to be run here after all; it stays."""
        return None if self.stopped else self.after(1)

    def put_back(self, batch: Batch) -> None:
        """To be run as it is: it was not at fault."""
        self._again.appendleft(batch)

    def put_first(self, batches: Sequence[Batch]) -> None:
        """To be run before all others: what goes on from a batch that was just done."""
        self._again.extendleft(reversed(batches))

    def put_back_halved(self, batch: Batch) -> None:
        """To be tried again, in halves, until a job that kills its worker stands alone."""
        tried = replace(batch, attempts=batch.attempts + 1)
        half = math.ceil(len(batch.jobs) / 2)
        parts = [p for p in (batch.jobs[:half], batch.jobs[half:]) if p]
        self._again.extend(replace(tried, jobs=part) for part in parts)
