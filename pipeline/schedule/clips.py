"""The clips of a run: which frames follow on those that ended, and videos of those that are done.

In: jobs as they are met, and as they end. Out: batches that can be run now, and jobs that never
can. Must not load torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from pipeline.errors import WorkerError
from pipeline.manifest import Manifest
from pipeline.plan import Batch, Chains, Job, together
from pipeline.schedule.videos import Videos
from pipeline.slot import Outcome, failed
from pipeline.store import RunFolder, Summary


class Clips:
    """The clips of a run that is in progress.

    Attributes:
        numbers: of batches.
    """

    def __init__(self, manifest: Manifest, store: RunFolder) -> None:
        self.numbers = itertools.count()
        self._store = store
        self._chains, self._videos = Chains(), Videos(manifest, store)

    def heads(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """The jobs that can be run at once: all but the frames that go on from another open one."""
        return self._chains.heads(jobs)

    def found_done(self, job: Job) -> None:
        """A job was found done at the start."""
        self._videos.add(job)

    def pass_over(self, job: Job) -> None:
        """A job that this run leaves as it is; of a clip it counts if it is done."""
        if job.place and self._store.is_done(job.name, job.key, job.settings):
            self._videos.add(job)

    def after(self, ended: Iterable[tuple[Job, Outcome]]) -> tuple[list[Batch], list[Outcome]]:
        """What follows when jobs that were run together have ended.

        Returns:
            the frames that go on from those that are done, together as those were; and how those
            ended that now never can be run.
        """
        following: list[Job] = []
        lost: list[Outcome] = []
        for job, outcome in ended:
            if outcome.status == "done":
                self._videos.add(job)
                after = self._chains.next_of(job)
                following += [] if after is None else [after]
            elif outcome.status == "failed":
                error = WorkerError(f"frame {outcome.name}, before it, failed: {outcome.error}")
                lost += [failed(later, error) for later in self._chains.broken(job)]
        batches, refused = together(following, self.numbers)
        return batches, [*lost, *(failed(job, error) for job, error in refused)]

    def end(self, summary: Summary, *, stopped: bool) -> list[str]:
        """Waits for the videos that are being written, and puts them into the summary; what is to
        be said of those that could not be.

        Args:
            stopped: only the one that is just being written is waited for.
        """
        for name, error in self._videos.end(stopped=stopped).items():
            if error is None:
                summary.videos.append(name)
            else:
                summary.videos_failed[name] = str(error)
        return [f"no video {name}: {why}" for name, why in summary.videos_failed.items()]
