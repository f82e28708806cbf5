"""The losses of some steps, for records.

In: steps of a batch. Out: a curve a job; losses stay on the device until they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.method import Step
from pipeline.slot.checkpoint import Curve
from pipeline.store import Point

_POINTS = 50


class Curves:
    """The losses of about `_POINTS` steps of each job of a batch.

    Args:
        before: each job's curve up to the checkpoint that it goes on from.
    """

    def __init__(self, before: Sequence[Curve]) -> None:
        self.before = before
        self.rows: list[tuple[int, Tensor]] = []

    def add(self, step: Step) -> None:
        """Keeps a step's losses if it is one of those to keep."""
        every = max(1, step.total // _POINTS)
        if step.number % every == 0 or step.number in (1, step.total):
            self.rows.append((step.number, step.losses.table()))

    def values(self) -> list[Curve]:
        """Per job: step, and each loss. Waits for the device once."""
        if not self.rows:
            return [[*before] for before in self.before]
        numbers, tables = zip(*self.rows, strict=True)
        jobs = torch.stack(tables).permute(2, 0, 1).cpu().tolist()
        return [
            [*before, *map(_point, numbers, own)]
            for before, own in zip(self.before, jobs, strict=True)
        ]


def _point(step: int, losses: Sequence[float]) -> Point:
    content, style, neighbors, tv, temporal, total = losses
    point: Point = {"step": step, "content": content, "style": style, "tv": tv, "total": total}
    if neighbors:
        point["neighbors"] = neighbors
    if temporal:
        point["temporal"] = temporal
    return point
