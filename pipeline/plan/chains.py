"""Frames of clips: each is to be run after the one before.

In: the plan's jobs, and those that are done. Out: jobs that can be run now, and batches of those
that follow on what was done. Must not load torch.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipeline.errors import NstError
from pipeline.plan.batch import Batch
from pipeline.plan.batches import shape_of
from pipeline.plan.jobs import Job


class Chains:
    """The clips that are underway: what of each is still to come."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Job]] = {}

    def heads(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Of the frames of one chain only the first, and all other jobs; the frames after it wait.

        Args:
            jobs: a chain's stand beside each other, in order.
        """
        for chain, several in itertools.groupby(jobs, key=_chain_of):
            if not chain:
                yield from several
                continue
            frames = deque(several)
            first = frames.popleft()
            self._waiting[chain] = frames
            yield first

    def next_of(self, job: Job) -> Job | None:
        """The frame that waits for this one, if any; it waits no longer."""
        waiting = self._waiting.get(_chain_of(job))
        if not waiting:
            self._waiting.pop(_chain_of(job), None)
            return None
        return waiting.popleft()

    def broken(self, job: Job) -> Sequence[Job]:
        """All frames that wait for this one, which cannot be made; they wait no longer."""
        return tuple(self._waiting.pop(_chain_of(job), ()))


def _chain_of(job: Job) -> str:
    """The chain's name, or empty."""
    return job.place.chain if job.place else ""


def together(
    jobs: Iterable[Job], numbers: Iterator[int]
) -> tuple[list[Batch], list[tuple[Job, NstError]]]:
    """Frames that follow on those of one batch as batches of those that can share a tensor.

    Args:
        numbers: of new batches.

    Returns:
        the batches; and jobs that cannot be run at all, with the reason.
    """
    groups: dict[tuple[Any, ...], list[Job]] = {}
    refused: list[tuple[Job, NstError]] = []
    for job in jobs:
        try:
            groups.setdefault(shape_of(job), []).append(job)
        except NstError as error:
            refused.append((job, error))
    return [Batch(next(numbers), tuple(g), shape[0]) for shape, g in groups.items()], refused
