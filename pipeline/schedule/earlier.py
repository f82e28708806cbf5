"""What earlier runs of a folder made: what of it is done, what goes by another name now, what is
stale.

In: jobs, as the plan streams by. Out: whether each is done. Must not load torch.
"""

from __future__ import annotations

import logging

from pipeline.plan import Job, Plan
from pipeline.schedule.counts import Counts
from pipeline.schedule.ending import Ending
from pipeline.store import RunFolder, Shards, Stale


class Earlier:
    """The pictures that lie in a run folder when its run begins."""

    def __init__(
        self,
        plan: Plan,
        store: RunFolder,
        shards: Shards,
        counts: Counts,
        ending: Ending,
        log: logging.Logger,
    ) -> None:
        self._plan, self._shards = plan, shards
        self._summary, self._ending, self._log = counts.summary, ending, log
        self._stale = Stale(store)
        self._looked = False

    def look(self) -> None:
        """Looks for what is stale."""
        plan = self._plan
        self._stale.look(plan.names(), plan.formats, loose=not plan.shard_size)
        self._looked = True
        self.tell()

    def is_done(self, job: Job) -> bool:
        """Whether a job is done, perhaps under another name until now."""
        if self._shards.settle(job):
            return True
        with self._ending.giving_up():
            if self._stale.take(job):
                self._log.info("%s: taken along, it had another name", job.name)
                return True
        return False

    def tell(self) -> None:
        """Says in the run folder what is stale, so that nobody takes it for the run's."""
        if self._looked:
            self._summary.stale, self._summary.moved = len(self._stale.pictures), self._stale.moved
            with self._ending.giving_up():
                self._stale.write()
