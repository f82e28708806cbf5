"""A summary that is counted up as a run goes.

In: jobs that are met and batches that ended. Out: the `Summary` that `run.json` holds. Knows no
files. Must not load torch.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal

from pipeline.notices import Notice
from pipeline.plan import Job, split_and_class_of
from pipeline.slot import Outcome, Report
from pipeline.store import Failure, PastRun, SlotUse, Summary, Tally, now

_FAILURES_IN_SUMMARY = 100
# Classes and styles that the summary counts one by one.
_MOST_COUNTED = 10_000
_NEXT = 3
_SHOWN = 10  # notices of one code, one by one; the rest are counted


class Counts:
    """Keeps a run's summary.

    Args:
        jobs: of the plan, or about as many as this shard has of it.
        devices: of the slots.
        before: the summary that an earlier run of the same folder left, or None.
    """

    def __init__(self, jobs: int, devices: Sequence[str], before: Summary | None) -> None:
        self.summary = Summary(jobs=jobs, devices=list(devices), earlier=_earlier(before))
        self._slots = len(devices)
        self._began = time.monotonic()

    def meet(self, job: Job, *, done: bool) -> None:
        """A job of the plan, and whether it was found done."""
        self._tally(job, "jobs")
        self.summary.looked_at += 1
        self.summary.jobs = max(self.summary.jobs, self.summary.looked_at)
        if done:
            self.summary.already_done += 1
            self._tally(job, "done")

    def leave(self, job: Job) -> None:
        """A job that was met, and that another process runs."""
        self.summary.looked_at -= 1
        self.summary.jobs -= 1
        self._tally(job, "jobs", -1)

    def end(self, outcome: Outcome, job: Job | None) -> None:
        """A job that ended, and what it was; None for one that was not underway."""
        summary = self.summary
        summary.targets_hits += outcome.hits
        summary.targets_computed += outcome.computed
        if outcome.status == "done":
            summary.done += 1
            self._tally(job, "done")
        elif outcome.status == "failed":
            self._tally(job, "failed")

    def fail(self, failure: Failure) -> None:
        """A job that failed for a reason of its own."""
        self.summary.failed += 1
        if len(self.summary.failures) < _FAILURES_IN_SUMMARY:
            note = {"name": failure.name, "type": failure.type, "error": failure.error}
            self.summary.failures.append(note)  # type: ignore[arg-type]

    def notice(self, said: Notice, *, of_all: bool = False) -> bool:
        """Counts a notice; whether it is one of its code's first, which are shown one by one.

        Args:
            of_all: it is the manifest's or the command's, and the same for all parts of the run.
        """
        count = self.summary.warnings.get(said.code, 0) + 1
        self.summary.warnings[said.code] = count
        if of_all:
            self.summary.told[said.code] = self.summary.told.get(said.code, 0) + 1
        return count <= _SHOWN

    def use(self, report: Report) -> None:
        """A batch that ended in a slot."""
        if report.slot:
            use = self.summary.slots.setdefault(report.slot, SlotUse(device=report.device))
            size = len(report.outcomes)
            use.batches += 1
            use.jobs += size
            use.busy_s += report.busy_s
            use.sizes[size] = use.sizes.get(size, 0) + 1
            _add(use.phases_s, report.seconds)
        if report.fits is not None:
            self.summary.out_of_memory += 1

    def say_next(self, jobs: Sequence[Job]) -> None:
        """What would be run next."""
        self.summary.next = [job.name for job in jobs[:_NEXT]]

    def refresh(self) -> None:
        """What follows from the counts and the time."""
        summary = self.summary
        summary.updated = now()
        summary.seconds = round(time.monotonic() - self._began, 3)
        passed = max(summary.seconds, 1e-9)
        summary.images_per_hour = round(3600 * summary.done / passed, 1)
        for use in summary.slots.values():
            use.busy_share = round(use.busy_s / passed, 4)
        slots = max(len(summary.slots), self._slots, 1)
        shares = [use.busy_share for use in summary.slots.values()]
        summary.utilization = round(sum(shares) / slots, 4)

    def _tally(
        self, job: Job | None, what: Literal["jobs", "done", "failed"], number: int = 1
    ) -> None:
        """Counts a job by its content's class, if it has one, and by its style."""
        if job is None:
            return
        _, of_class = split_and_class_of(job.below)
        pairs = [(self.summary.styles, job.style.label)]
        pairs += [(self.summary.classes, of_class)] if of_class else []
        for counts, name in pairs:
            if name not in counts and len(counts) >= _MOST_COUNTED:
                name = "(others)"
            row = counts.setdefault(name, Tally(jobs=0, done=0, failed=0))
            row[what] += number


def _add(sums: dict[str, float], more: Mapping[str, float]) -> None:
    for name, value in more.items():
        sums[name] = sums.get(name, 0.0) + value


def _earlier(before: Summary | None) -> list[PastRun]:
    """What earlier runs of the folder did; those that found nothing to do are left out."""
    if before is None:
        return []
    last = PastRun(**{name: getattr(before, name) for name in PastRun.model_fields})
    return [*before.earlier, *([last] if last.done or last.failed else [])]
