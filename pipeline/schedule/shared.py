"""A run whose jobs are shared out among several processes: `--shard auto`.

In: batches that are about to run, and the run folder's queue. Out: what of them is this process's;
another pass over the plan where another process died. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from pipeline.plan import Batch, Job
from pipeline.schedule.ending import Ending
from pipeline.schedule.engine import Ended, Engine
from pipeline.schedule.feed import Feed
from pipeline.schedule.options import RunOptions
from pipeline.store import Queue, RunFolder


class Sharing:
    """Which jobs are this process's: all, those of its shard, or what it claims in time.

    Args:
        drop: told of a job that another process has claimed.
    """

    def __init__(
        self, store: RunFolder, options: RunOptions, drop: Callable[[Job], object]
    ) -> None:
        self._store, self._options, self._drop = store, options, drop
        self._queue = Queue(store) if options.shares else None
        self._passes = 0

    def takes(self, job: Job) -> bool:
        """Whether a job of the plan may be this process's; on a later pass only if it is open."""
        if self._queue is None:
            return self._options.takes(job.lot)
        if self._passes and self._has_ended(job):
            return False
        return self._queue.takes(job)

    def _has_ended(self, job: Job) -> bool:
        """On a later pass: all that this process had claimed is done or has failed by then."""
        mine = self._queue is not None and self._queue.owns(job)
        return mine or self._store.is_done(job.name, job.key, job.settings)

    def gets(self, job: Job) -> bool:
        """Whether this process is the one to say that a job has failed before it could run.

        Raises:
            RunFolderError: as `claim`.
        """
        return self._queue is None or bool(self._queue.claim([job]))

    def claim(self, batch: Batch) -> Batch | None:
        """What of a batch is this process's; None for nothing.

        Raises:
            RunFolderError: the queue cannot be written.
        """
        if self._queue is None:
            return batch
        mine = self._queue.claim(batch.jobs)
        for job in batch.jobs:
            if job not in mine:
                self._drop(job)
        return replace(batch, jobs=mine) if mine else None

    def run(
        self, engine: Engine, feed: Feed, again: Callable[[], Iterator[Batch]], ending: Ending
    ) -> Iterator[Ended]:
        """Runs the feed; then, pass by pass, what processes that died have left."""
        yield from engine.run(feed)

        def asked() -> bool:
            if self._store.live.stop_asked() and not ending.asked:
                ending.hear("nst stop")
            return ending.asked

        while self._queue is not None and not asked() and self._queue.wait(asked):
            self._passes += 1
            feed.begin_again(again())
            yield from engine.run(feed)
