"""Jobs -> batches: packs jobs that can share a tensor, within a bounded look-ahead.

In: a stream of jobs. Out: batches, on demand. Knows nothing of devices or processes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from pipeline.errors import NstError
from pipeline.inputs import scales_of
from pipeline.plan import Job
from pipeline.stylize import Scale
from pipeline.worker import Batch

LOOK_AHEAD = 256


def _shape_of(job: Job) -> tuple[Any, ...]:
    """What jobs must have in common to share a tensor; begins with the scales."""
    s = job.settings
    layers = (tuple(s.content_layers), tuple(s.style_layers))
    network = (s.pooling, s.pooling_scale, s.padding, s.normalised, s.precision)
    losses = (s.loss, s.style_loss, s.tv_loss)
    method = (s.optimiser, s.corrections, s.adam_decay, s.carry, s.clamp)
    fitted = (s.fit == "stretch", job.content.mask)  # one mask has the same regions for all
    return (scales_of(job), losses, method, layers, network, fitted)


def _cost(batch: Batch) -> int:
    """Roughly proportional to a batch's time: pixels times steps times jobs."""
    return len(batch.jobs) * sum(scale.pixels * scale.steps for scale in batch.scales)


def pack(
    jobs: Iterable[Job],
    limit: Callable[[int, int], int],
    refuse: Callable[[Job, NstError], None],
    slots: int = 1,
) -> Iterator[Batch]:
    """Groups jobs into batches.

    Some hundred jobs are looked at before the first batch leaves. When the stream ends, what is
    left is shared out evenly among the slots, the longest batches first, so that no slot idles.

    Args:
        limit: width, height in px -> how many jobs fit a batch.
        refuse: told of jobs that cannot be run at all, such as unreadable pictures.
        slots: how many batches can run at once.
    """
    waiting: dict[tuple[Any, ...], list[Job]] = {}
    held = number = 0

    def batches(shape: tuple[Any, ...], group: list[Job], size: int) -> Iterator[Batch]:
        nonlocal number
        count = math.ceil(len(group) / size)
        for i in range(count):  # as equal as can be: 5 and 5, not 8 and 2
            part = group[i * len(group) // count : (i + 1) * len(group) // count]
            yield Batch(number, tuple(part), shape[0])
            number += 1

    def size_of(shape: tuple[Any, ...]) -> int:
        last: Scale = shape[0][-1]
        return max(1, limit(last.width, last.height))

    for job in jobs:
        try:
            shape = _shape_of(job)
        except NstError as error:
            refuse(job, error)
            continue
        waiting.setdefault(shape, []).append(job)
        held += 1
        if held < LOOK_AHEAD + slots * size_of(shape):
            continue
        # The group that has waited longest of those that fill a batch, else the largest.
        full = (s for s, group in waiting.items() if len(group) >= size_of(s))
        chosen = next(full, None) or max(waiting, key=lambda s: len(waiting[s]))
        size = size_of(chosen)
        group, rest = waiting[chosen][:size], waiting.pop(chosen)[size:]
        if rest:
            waiting[chosen] = rest
        held -= len(group)
        yield from batches(chosen, group, size)
    share = max(1, math.ceil(held / slots))
    last = [b for s, group in waiting.items() for b in batches(s, group, min(size_of(s), share))]
    yield from sorted(last, key=_cost, reverse=True)


class Feed:
    """The batches that are to be run: what has to be tried again first, then the stream."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._again: deque[Batch] = deque()
        self.stopped = False

    def next(self) -> Batch | None:
        """The next batch; None if there is none now (one that is lost may come back later)."""
        if self.stopped:
            return None
        return self._again.popleft() if self._again else next(self._batches, None)

    def after(self, count: int) -> Batch | None:
        """The batch that would be given after `count - 1` others; None if there are not so many."""
        while len(self._again) < count:
            batch = next(self._batches, None)
            if batch is None:
                return None
            self._again.append(batch)
        return self._again[count - 1]

    def put_back(self, batch: Batch) -> None:
        """To be run as it is: it was not at fault."""
        self._again.appendleft(batch)

    def put_back_halved(self, batch: Batch) -> None:
        """To be tried again, in halves, until a job that kills its worker stands alone."""
        tried = replace(batch, attempts=batch.attempts + 1)
        half = math.ceil(len(batch.jobs) / 2)
        parts = [p for p in (batch.jobs[:half], batch.jobs[half:]) if p]
        self._again.extend(replace(tried, jobs=part) for part in parts)
