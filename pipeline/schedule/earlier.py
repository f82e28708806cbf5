"""What earlier runs of a folder made: what of it is done, what goes by another name now, what is
stale.

In: jobs, as the plan streams by. Out: whether each is done. Must not load torch.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator

from pipeline.address import Address
from pipeline.plan import Job, Plan
from pipeline.remote import fetched_ahead
from pipeline.schedule.counts import Counts
from pipeline.schedule.ending import Ending
from pipeline.schedule.options import RunOptions
from pipeline.store import Shards, Stale


class Earlier:
    """The pictures that lie in a run folder when its run begins."""

    def __init__(
        self,
        plan: Plan,
        shards: Shards,
        counts: Counts,
        ending: Ending,
        options: RunOptions,
        log: logging.Logger,
    ) -> None:
        self._plan, self._shards = plan, shards
        self._summary, self._ending, self._log = counts.summary, ending, log
        self._stale = Stale(shards.store)
        self._looked, self._options = False, options
        self._failed: frozenset[str] = frozenset()

    def look(self) -> None:
        """Looks for what is stale."""
        plan, stale = self._plan, self._stale
        before = stale.store.stale_names()
        stale.look(plan.names(), plan.formats, loose=not plan.shard_size)
        if self._options.partial:  # what jobs left aside now would take along is not known
            # A run with another `--set` may have listed what is a job's own again.
            still = [below for below in before.pictures if below in stale.pictures]
            stale.pictures = dict.fromkeys(still)
            stale.failures = list(dict.fromkeys([*before.failures, *stale.failures]))
        self._failed = frozenset(stale.store.failures())
        self._looked = True
        self.tell()

    def ahead(self, jobs: Iterator[Job], only: Container[str] | None = None) -> Iterator[Job]:
        """The jobs; of a remote folder the records of this shard's are fetched ahead, each of which
        is kept until the next job is asked for.

        Args:
            only: names of the jobs that are wanted; None for all.
        """
        store = self._shards.store

        def fetch(job: Job) -> None:
            if self._options.takes(job.lot) and (only is None or job.name in only):
                store.look_ahead(job.name)

        for job in fetched_ahead(jobs, fetch) if isinstance(store.path, Address) else jobs:
            yield job
            store.inside.forget_ahead(store.record_path(job.name))

    def is_done(self, job: Job) -> bool:
        """Whether a job is done, perhaps under another name until now; a failure that it had while
        its inputs or settings were others then stands no more."""
        done = self._find(job)
        if job.name in self._failed:
            settled = self._stale.failures
            if done and job.name not in settled:
                settled.append(job.name)
            elif not done and job.name in settled:
                settled.remove(job.name)
        return done

    def _find(self, job: Job) -> bool:
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
