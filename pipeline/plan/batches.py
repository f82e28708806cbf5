"""Jobs -> batches: packs jobs that can share a tensor, within a bounded look-ahead.

In: a stream of jobs. Out: batches, on demand. Knows nothing of devices or processes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import ImageError, NstError
from pipeline.method import Scale, schedule_scales, smallest_side
from pipeline.pictures import read_size
from pipeline.plan.jobs import Job

LOOK_AHEAD = 256
# What a batch costs whatever its size, in jobs: 0.05 (VGG-19, 256 px) to 0.5 (`lite`, 128 px) as
# measured on CPUs. It only weighs fuller batches against slots that end at the same time.
_BATCH_COST = 0.25


def _shape_of(job: Job) -> tuple[Any, ...]:
    """What jobs must have in common to share a tensor; begins with the scales."""
    s = job.settings
    layers = (tuple(s.content_layers), tuple(s.style_layers))
    network = (s.pooling, s.pooling_scale, s.padding, s.normalized, s.precision)
    losses = (s.loss, s.style_loss, s.tv_loss)
    method = (s.optimizer, s.corrections, s.adam_decay, s.carry, s.clamp)
    fitted = (s.fit == "stretch", job.content.mask)  # one mask has the same regions for all
    return (scales_of(job), losses, method, layers, network, fitted)


def _cost(scales: Iterable[Scale], jobs: int) -> float:
    """Roughly proportional to a batch's time: pixels times steps times jobs."""
    return (jobs + _BATCH_COST) * sum(scale.pixels * scale.steps for scale in scales)


def _parts(count: int, size: int) -> list[int]:
    """`count` jobs in as few batches of at most `size` as can be, and these as equal: 5 and 5."""
    number = math.ceil(count / size)
    return [(i + 1) * count // number - i * count // number for i in range(number)]


def _time(groups: Iterable[tuple[Sequence[Scale], int, int]], size: int, slots: int) -> float:
    """When the last of the slots ends if these groups (scales, jobs, limit) are all there is.

    No batch has more than `size` jobs, and the longest comes first.
    """
    costs = [
        _cost(scales, part) for scales, n, limit in groups for part in _parts(n, min(limit, size))
    ]
    ends = [0.0] * slots
    for cost in sorted(costs, reverse=True):
        heapq.heapreplace(ends, ends[0] + cost)
    return max(ends)


def pack(
    jobs: Iterable[Job],
    limit: Callable[[int, int], int],
    refuse: Callable[[Job, NstError], None],
    slots: int = 1,
) -> Iterator[Batch]:
    """Groups jobs into batches.

    Some hundred jobs are looked at before the first batch leaves. When the stream ends, what is
    left goes out the longest batches first, in batches of the size with which all slots are done
    soonest.

    Args:
        limit: width, height in px -> how many jobs fit a batch.
        refuse: told of jobs that cannot be run at all, such as unreadable pictures.
        slots: how many batches can run at once.
    """
    waiting: dict[tuple[Any, ...], list[Job]] = {}
    held = number = 0

    def batches(shape: tuple[Any, ...], group: list[Job], size: int) -> Iterator[Batch]:
        nonlocal number
        taken = 0
        for part in _parts(len(group), size):
            yield Batch(number, tuple(group[taken : taken + part]), shape[0])
            taken += part
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
    groups = [(s[0], len(group), size_of(s)) for s, group in waiting.items()]
    sizes = range(max((limit for _, _, limit in groups), default=0), 0, -1)
    best = min(sizes, key=lambda size: _time(groups, size, slots), default=1)
    last = [b for s, group in waiting.items() for b in batches(s, group, min(size_of(s), best))]
    yield from sorted(last, key=lambda b: _cost(b.scales, len(b.jobs)), reverse=True)


ContentKey = tuple[Path, str, bool, "Path | None"]


def content_key(job: Job) -> ContentKey:
    """What decides how a job's content picture is read; jobs that share it share the picture."""
    settings = job.settings
    gray = settings.color == "preserve_luminance"
    return job.content.path, settings.background, gray, job.content.mask


def scales_of(job: Job) -> tuple[Scale, ...]:
    """The schedule of a job, from its content's header alone.

    Raises:
        ImageError: the picture cannot be read, or would be too small for the deepest layer.
    """
    scales = schedule_scales(job.settings, *read_size(job.content.path))
    least = smallest_side(job.settings.layers)
    last = scales[-1]
    if min(last.width, last.height) < least:
        raise ImageError(
            f"{job.content.path}: would be {last.width} x {last.height} px, but layer "
            f"{job.settings.layers[-1]} needs sides of at least {least} px; raise `size` or leave "
            f"the deepest layers out"
        )
    return scales


@dataclass(frozen=True)
class Batch:
    """Jobs optimized together as one tensor on one device.

    Attributes:
        jobs: they share canvas, scales, loss, optimizer and layers.
        scales: the schedule, coarse to fine.
        attempts: how often workers died over these jobs before.
        ahead: content pictures that this slot will likely want next, decoded meanwhile.
    """

    number: int
    jobs: tuple[Job, ...]
    scales: tuple[Scale, ...]
    attempts: int = 0
    ahead: tuple[ContentKey, ...] = ()

    def followed_by(self, other: Batch | None) -> Batch:
        """This batch, with the other's content pictures to be read ahead."""
        keys = dict.fromkeys(content_key(job) for job in other.jobs) if other else ()
        return replace(self, ahead=tuple(keys))
