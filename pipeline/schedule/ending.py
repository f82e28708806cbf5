"""How a run ends before all is done: somebody asks it to stop, or no other job would fare better.

In: signals, and errors of the run folder. Out: no new batch, a reason in the summary, and words for
whoever watches.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Collection, Iterator
from dataclasses import replace

from pipeline.errors import DiskFullError, RunFolderError
from pipeline.schedule.counts import Counts
from pipeline.schedule.feed import Feed
from pipeline.schedule.progress import Progress
from pipeline.slot import Outcome
from pipeline.store import RunFolder
from pipeline.terminal import counted


class Ending:
    """The early end of one run.

    Attributes:
        asked: whether it was asked for; no batch begins any more.
    """

    def __init__(
        self,
        store: RunFolder,
        counts: Counts,
        feed: Feed,
        log: logging.Logger,
        progress: Progress,
    ) -> None:
        self._store, self._counts, self._feed = store, counts, feed
        self._log, self._progress = log, progress
        self.asked = False

    def stop(self) -> None:
        """No new batch; running ones stop at their next step."""
        self.asked = self._feed.stopped = True
        with contextlib.suppress(OSError, RunFolderError):  # a full disk: they run to their end
            self._store.live.ask_to_stop()

    def hear(self, why: str) -> None:
        """The run is asked to stop in order: by a signal, by `nst stop`, or its time is up."""
        self._counts.summary.stopped = True
        self._log.warning("%s: stopping", why)
        self._progress.warn("stopping: finishing what is being written; again to stop at once")
        self.stop()

    def give_up(self, problem: str) -> None:
        """Ends the run early: no other job would fare better."""
        if not self._counts.summary.problem:
            self._counts.summary.problem = problem
            self._log.error("stopping: %s", problem)
            self._progress.warn(f"stopping: {problem}")
        self.stop()

    def leaves(self, names: Collection[str]) -> None:
        """Jobs that were neither made nor failed when the run ended: if nothing ended it early,
        that is a fault of ours, of which the summary must not be silent."""
        summary = self._counts.summary
        if not names or self.asked or summary.stopped or summary.problem:
            return
        first = ", ".join(itertools.islice(names, 3)) + (", ..." if len(names) > 3 else "")
        summary.problem = (
            f"the run ended with {counted(len(names), 'job')} neither made nor failed ({first}), a "
            f"fault of nst; give the same command again"
        )
        self._log.error("%s", summary.problem)
        self._progress.warn(summary.problem)

    def without_blame(self, outcome: Outcome) -> Outcome:
        """The outcome; of a job that had nowhere to be written, as of one that is left to do, and
        the run ends early."""
        why = outcome.error or ""
        if outcome.error_type == RunFolderError.__name__:
            try:
                self._store.check_writable()
            except RunFolderError as error:
                why = str(error)
            else:
                return outcome  # it is that job's own place
        elif outcome.error_type != DiskFullError.__name__:
            return outcome
        self._log.warning("left to do: %s: %s", outcome.name, outcome.error)
        self.give_up(why)
        return replace(outcome, status="stopped")

    @contextlib.contextmanager
    def giving_up(self) -> Iterator[None]:
        """A run folder that cannot be written within the block ends the run early."""
        try:
            yield
        except RunFolderError as error:
            self.give_up(str(error))
