"""Whether a slot is to blame for the batches that it lost, or they are.

In: how each batch of each slot ended. Out: the same, with the slots that are to blame so far; and
why a slot is to get no batch any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pipeline.plan import Batch
from pipeline.schedule.engine import Ended

_MOST_BROKEN = 3  # batches in a row over which a slot's device broke
# Batches in a row over which its process ended, or hung, from which on it is the slot that is to
# blame: if another slot gets on meanwhile, or none does.
_MOST_LOST, _MOST_LOST_ALONE = 3, 10


@dataclass
class _Standing:
    """Of a slot.

    Attributes:
        broke: how often in a row its device broke, or its process could not begin.
        lost: numbers of the batches over which its process ended or hung since its last success.
        done_before: how many batches were done in all slots when the first of these was lost.
    """

    broke: int = 0
    lost: set[int] = field(default_factory=set)
    done_before: int = 0


class Blame:
    """What the slots of a run, or the cards of a cluster, lost and made."""

    def __init__(self) -> None:
        self._slots: dict[int, _Standing] = {}
        self._done = 0

    def judge(self, slot: int, ended: Ended, *, died: bool) -> tuple[Ended, str]:
        """How a slot's batch ended, with whom it is to be kept from.

        Args:
            died: whether the slot's process ended over the batch, or hung.

        Returns:
            it, and of a slot that is to get no batch any more after how many of which kind; else
            nothing is said.
        """
        standing, batch = self._slots.setdefault(slot, _Standing()), ended.batch
        if ended.report is not None:
            self._slots[slot] = _Standing()
            self._done += 1
            return ended, ""
        if ended.broken:
            standing.broke += 1
            spoilt = replace(batch, spoilt=(*batch.spoilt, slot))
            many = standing.broke >= _MOST_BROKEN
            why = f"{standing.broke} in a row that broke it" if many else ""
            return replace(ended, batch=spoilt), why
        if not died:
            return ended, ""
        marked = batch if slot in batch.died else replace(batch, died=(*batch.died, slot))
        return replace(ended, batch=marked), self._lost_too_many(standing, batch)

    def _lost_too_many(self, standing: _Standing, batch: Batch) -> str:
        """Parts of one batch count once: one job of it may kill a process again and again."""
        if not standing.lost:
            standing.done_before = self._done
        standing.lost.add(batch.number)
        most = _MOST_LOST if self._done > standing.done_before else _MOST_LOST_ALONE
        count = len(standing.lost)
        return f"{count} in a row that were lost" if count >= most else ""
