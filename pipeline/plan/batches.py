"""Jobs -> batches: packs jobs that can share a tensor, within a bounded look-ahead.

In: a stream of jobs. Out: batches, on demand. Knows nothing of devices or processes.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pipeline.errors import NstError
from pipeline.manifest import backbone_text, network_of
from pipeline.method import Scale
from pipeline.plan.batch import Batch, scales_of
from pipeline.plan.jobs import Job

# Jobs that are looked at before a full batch leaves, so that the last ones are shared out evenly;
# and before one leaves that is not full: of the first batch, which slots wait for, and of others.
LOOK_AHEAD = 256
MOST_HELD_FIRST, MOST_HELD = 1024, 8192
# What a batch costs whatever its size, in jobs: 0.05 (VGG-19, 256 px) to 0.5 (`lite`, 128 px) as
# measured on CPUs. It only weighs fuller batches against slots that end at the same time.
_BATCH_COST = 0.25
# A step's time through each network, over `lite`'s, by the README's figures and counted products.
_TIMES = {"lite": 1.0, "vgg16": 5.3, "vgg19": 6.8}


def shape_of(job: Job) -> tuple[Any, ...]:
    """What jobs must have in common to share a tensor; begins with the scales and the backbone."""
    s = job.settings
    layers = (tuple(s.content_layers), tuple(s.style_layers))
    network = (s.pooling, s.pooling_scale, s.padding, s.normalized, s.precision)
    losses = (s.loss, s.style_loss, s.tv_loss, s.neighbor_weight > 0 and s.neighbor_every)
    method = (s.optimizer, s.corrections, s.adam_decay, s.carry, s.clamp)
    # One mask has the same regions for all, but for styles that name its levels.
    masked = job.content.mask and (job.content.mask, job.style.names_levels)
    fitted = (s.fit == "stretch", masked)
    goes_on = job.before is not None
    backbone = backbone_text(s.backbone)
    return (scales_of(job), backbone, losses, method, layers, network, fitted, goes_on)


def _cost(scales: Iterable[Scale], jobs: int, each: float = 1.0) -> float:
    """Roughly proportional to a batch's time: pixels times steps times jobs.

    Args:
        each: the time of its network, as `_TIMES` has it.
    """
    return each * (jobs + _BATCH_COST) * sum(scale.pixels * scale.steps for scale in scales)


def _parts(count: int, size: int) -> list[int]:
    """`count` jobs in as few batches of at most `size` as can be, and these as equal: 5 and 5."""
    number = math.ceil(count / size)
    return [(i + 1) * count // number - i * count // number for i in range(number)]


def _time(
    groups: Iterable[tuple[Sequence[Scale], float, int, int]], size: int, slots: int
) -> float:
    """When the last of the slots ends if these groups (scales, network's time, jobs, limit) are all
    there is.

    No batch has more than `size` jobs, and the longest comes first.
    """
    costs = [
        _cost(scales, part, each)
        for scales, each, n, limit in groups
        for part in _parts(n, min(limit, size))
    ]
    ends = [0.0] * slots
    for cost in sorted(costs, reverse=True):
        heapq.heapreplace(ends, ends[0] + cost)
    return max(ends)


class _Waiting:
    """Jobs that wait for a batch, in groups of those that can share a tensor."""

    def __init__(
        self, limit: Callable[[int, int], int], numbers: Iterator[int], backbone: str
    ) -> None:
        self._limit, self._numbers, self._own = limit, numbers, backbone
        self._last = ""  # backbone of the batch that was taken last
        self._groups: dict[tuple[Any, ...], list[Job]] = {}
        # By how many wait: their shapes, the one that has waited longest first.
        self._by_count: dict[int, dict[tuple[Any, ...], None]] = {}
        self._full: dict[tuple[Any, ...], None] = {}
        self.held = 0

    def add(self, job: Job) -> int:
        """Adds a job; how many of its kind fill a batch.

        Raises:
            NstError: it cannot be run at all.
        """
        shape = shape_of(job)
        group = self._groups.setdefault(shape, [])
        self._count(shape, len(group), len(group) + 1)
        group.append(job)
        self.held += 1
        return self._size_of(shape)

    @property
    def has_full(self) -> bool:
        """Whether a group fills a batch."""
        return bool(self._full)

    def take_one(self) -> Batch:
        """A batch of the group that has waited longest of those that fill one, else of the
        largest; first of the backbone of the one before, which its slot has at hand."""
        ready = self._full or self._by_count[max(self._by_count)]
        chosen = next((shape for shape in ready if shape[1] == self._last), next(iter(ready)))
        self._last = chosen[1]
        size, group = self._size_of(chosen), self._groups.pop(chosen)
        self._count(chosen, len(group), len(group[size:]))
        if group[size:]:
            self._groups[chosen] = group[size:]
        self.held -= len(group[:size])
        return self._batch(chosen, group[:size])

    def _count(self, shape: tuple[Any, ...], before: int, now: int) -> None:
        """A group has another number of jobs."""
        if before:
            del self._by_count[before][shape]
            if not self._by_count[before]:
                del self._by_count[before]
        if now:
            self._by_count.setdefault(now, {})[shape] = None
        if now >= self._size_of(shape):
            self._full.setdefault(shape)
        else:
            self._full.pop(shape, None)

    def take_all(self, slots: int) -> list[Batch]:
        """All that is left, the longest batches first, in batches of the size with which all slots
        are done soonest."""
        groups = [
            (s[0], self._time_of(s), len(group), self._size_of(s))
            for s, group in self._groups.items()
        ]
        sizes = range(max((limit for *_, limit in groups), default=0), 0, -1)
        best = min(sizes, key=lambda size: _time(groups, size, slots), default=1)
        batches: list[tuple[float, Batch]] = []
        for shape, group in self._groups.items():
            taken, each = 0, self._time_of(shape)
            for part in _parts(len(group), min(self._size_of(shape), best)):
                batch = self._batch(shape, group[taken : taken + part])
                batches.append((_cost(batch.scales, part, each), batch))
                taken += part
        return [b for _, b in sorted(batches, key=lambda found: found[0], reverse=True)]

    def _time_of(self, shape: tuple[Any, ...]) -> float:
        """The time of a step through a shape's network, over `lite`'s."""
        backbone = self._groups[shape][0].settings.backbone
        return _TIMES.get(network_of(backbone).name if backbone else self._own, 1.0)

    def _size_of(self, shape: tuple[Any, ...]) -> int:
        last: Scale = shape[0][-1]
        return max(1, self._limit(last.width, last.height))

    def _batch(self, shape: tuple[Any, ...], jobs: Sequence[Job]) -> Batch:
        return Batch(next(self._numbers), tuple(jobs), shape[0])


def pack(
    jobs: Iterable[Job],
    limit: Callable[[int, int], int],
    refuse: Callable[[Job, NstError], None],
    slots: int = 1,
    numbers: Iterator[int] | None = None,
    backbone: str = "",
) -> Iterator[Batch]:
    """Groups jobs into batches: full ones as they come about, the others last.

    Some hundred jobs are looked at before the first one leaves, and some thousand are held back at
    most.

    Args:
        limit: width, height in px -> how many jobs fit a batch.
        refuse: told of jobs that cannot be run at all, such as unreadable pictures.
        slots: how many batches can run at once.
        numbers: of the batches, where others take some of them.
        backbone: the name of the network of jobs whose settings name none.
    """
    waiting, most = _Waiting(limit, numbers or itertools.count(), backbone), MOST_HELD_FIRST
    for job in jobs:
        try:
            size = waiting.add(job)
        except NstError as error:
            refuse(job, error)
            continue
        enough = LOOK_AHEAD + slots * size
        if waiting.held >= (enough if waiting.has_full else most + enough):
            most = MOST_HELD
            yield waiting.take_one()
    yield from waiting.take_all(slots)
