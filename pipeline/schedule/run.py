"""Plan -> batches -> slots: runs every open job once and decides what is tried again.

In: a plan and a run folder. Out: a `Summary`; pictures, records and failures are in the folder.
Which process runs what is the engine's business; how pictures are made is the worker's.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.errors import NstError, WorkerError
from pipeline.notices import TAKEN_OVER, Notice
from pipeline.plan import Batch, Job, Plan, pack
from pipeline.schedule.clips import Clips
from pipeline.schedule.counts import Counts
from pipeline.schedule.earlier import Earlier
from pipeline.schedule.ending import Ending
from pipeline.schedule.engine import Ended, Engine, Work
from pipeline.schedule.engines import open_engine
from pipeline.schedule.feed import SPOILS, Feed
from pipeline.schedule.log import open_log
from pipeline.schedule.options import RunOptions
from pipeline.schedule.progress import Progress
from pipeline.schedule.run_json import RunJson
from pipeline.schedule.shared import Sharing
from pipeline.schedule.slots import limit_of
from pipeline.schedule.stopping import heard_signals, stops_at
from pipeline.slot import Outcome, RunContext, failed, work_batch
from pipeline.store import Failure, Summary, now, shards_of
from pipeline.terminal import counted


def run_plan(
    plan: Plan,
    context: RunContext,
    progress: Progress,
    options: RunOptions,
    work: Work = work_batch,
    told: Sequence[Notice] = (),
) -> Summary:
    """Runs every job of the plan that is not done. The caller holds the run folder's lock.

    Args:
        work: runs one batch in a worker.
        told: before the run began, shown already; they are logged and counted.

    Raises:
        EngineError: the engine cannot be started.
    """
    with open_log(context.store, options.log_format, options.log) as log:
        run = _Run(plan, context, progress, options, log)
        jobs_of = counted(len(plan), "job")
        log.info("%s into %s on %s", jobs_of, context.run, ", ".join(context.slots))
        for notice in told:
            log.warning("%s: %s", notice.code, notice)
            run.counts.notice(notice, of_all=notice.code != TAKEN_OVER)
        run.run_json.write()  # what is to be done, from the first second
        jobs = options.share(len(plan))
        ends = stops_at(options.ends_at, run.ending.hear)
        with ends, heard_signals(run.ending.hear), progress.watching(context.store, jobs):
            with _opened(run, work) as engine:
                _drive(run, engine)
        summary = run.counts.summary
        log.info(
            "%d done, %d failed, %d done before%s",
            summary.done, summary.failed, summary.already_done,
            ", stopped" if summary.stopped else "",
        )  # fmt: skip
        return summary


@contextlib.contextmanager
def _opened(run: _Run, work: Work) -> Iterator[Engine]:
    """The engine; where there is none, `run.json` says why."""
    with contextlib.ExitStack() as stack:
        try:
            engine = stack.enter_context(open_engine(run.context, work, run.options))
            run.devices = engine.devices
        except NstError as error:
            run.counts.summary.problem = str(error)
            run.end()
            raise
        yield engine


def _drive(run: _Run, engine: Engine) -> None:
    try:
        for ended in run.sharing.run(engine, run.feed, run.batches, run.ending):
            run.take(ended)
    except KeyboardInterrupt:
        run.counts.summary.stopped = True
        engine.kill()
    except NstError as error:
        run.counts.summary.problem = run.counts.summary.problem or str(error)
        raise
    finally:
        run.end()


class _Run:
    """A run in progress: what is left to do, what came back, and the request to stop."""

    def __init__(
        self,
        plan: Plan,
        context: RunContext,
        progress: Progress,
        options: RunOptions,
        log: logging.Logger,
    ) -> None:
        self.plan, self.context, self.progress, self.options = plan, context, progress, options
        self.store, self.log, self.devices = context.store, log, context.slots
        before = self.store.summaries().get(self.store.part)
        self.counts = Counts(options.share(len(plan)), context.slots, before)
        self.counts.summary.part = self.store.part
        self.shards = shards_of(plan, self.store)
        self.underway: dict[str, Job] = {}
        self.clips = Clips(plan.manifest, self.store)
        self.sharing = Sharing(self.store, options, self._leave)
        self.feed = Feed(self.batches(), self.sharing.claim, options.shares)
        self.ending = Ending(self.store, self.counts, self.feed, log, progress)
        self.run_json = RunJson(self.store, self.counts, self.ending)
        self.earlier = Earlier(plan, self.shards, self.counts, self.ending, options, log)
        for why in context.left_out:
            self._retire(why)

    def batches(self) -> Iterator[Batch]:
        """Batches of what is open, as the plan streams by."""
        slots, limit = max(1, len(self.context.slots)), limit_of(self.devices)
        heads = self.clips.heads(self._open_jobs())
        backbone = self.plan.manifest.backbone
        batches = pack(heads, limit, self._refuse, slots, self.clips.numbers, backbone)
        yield from self.run_json.before(batches)

    def _open_jobs(self) -> Iterator[Job]:
        """Jobs that are not done, as the plan streams by."""
        known = self.store.failures() if self.options.failed_only else None
        self.earlier.look()
        for job in self.earlier.ahead(self.options.choice.jobs(self.plan), known):
            if self.ending.asked:
                return
            if not self.sharing.takes(job):
                continue
            if known is not None and job.name not in known:
                self.clips.pass_over(job)
                continue
            done = job.problem is None and self.earlier.is_done(job)
            self.counts.meet(job, done=done)
            self.run_json.write_if_due()
            if done:
                self.clips.found_done(job)
                self.progress.skipped(self.counts.summary.already_done)
            else:
                self.underway[job.name] = job
                if job.problem is None:
                    yield job
                else:
                    self._refuse(job, job.problem)
        self.progress.total = self.counts.summary.jobs = self.counts.summary.looked_at

    def _leave(self, job: Job) -> None:
        """A job that another process of this run has taken."""
        del self.underway[job.name]
        self.counts.leave(job)

    def _refuse(self, job: Job, error: NstError) -> None:
        """A job that cannot even be planned or packed has failed."""
        if self.sharing.gets(job):
            self._count(failed(job, error))
        else:
            self._leave(job)

    def take(self, ended: Ended) -> None:
        """Counts a batch that ended, or has a lost one tried again."""
        if self.store.live.stop_asked() and not self.ending.asked:
            self.ending.hear("nst stop")
        upcoming = next(iter(self.feed.waiting), None) or self.feed.after(1)
        self.counts.say_next(upcoming.jobs if upcoming else ())
        report = ended.report
        if report is None:
            self._take_lost(ended)
            return
        self.counts.use(report)
        if report.fits is not None:
            self.log.warning(
                "batch %d: out of memory on %s, room for %s",
                ended.batch.number, report.device, counted(report.fits, "job"),
            )  # fmt: skip
        self._count(*report.outcomes)

    def _take_lost(self, ended: Ended) -> None:
        """A lost batch: what it wrote before counts; the rest is tried again, or has failed."""
        batch = ended.batch
        written = {
            job.name for job in batch.jobs if self.store.now_done(job.name, job.key, job.settings)
        }
        rest = tuple(job for job in batch.jobs if job.name not in written)
        self._count(*(Outcome(j.name, j.key, "done") for j in batch.jobs if j.name in written))
        if ended.retired:
            self._retire(ended.retired)
        if ended.over:
            self.ending.give_up(ended.over)
        if not rest or self.ending.asked:
            return
        names = ", ".join(job.name for job in rest[:3]) + (", ..." if len(rest) > 3 else "")
        left = replace(batch, jobs=rest, ahead=())
        if ended.together or (ended.broken and len(batch.spoilt) < SPOILS):
            # Any of several may be to blame, or the device is, so far.
            self._try_again(ended, names)
            self.feed.put_first([replace(left, alone=left.alone or ended.together)])
            return
        if ended.broken and len(batch.spoilt) == SPOILS:  # what the first one lost counts, too
            left = replace(left, attempts=left.attempts + SPOILS - 1)
        if len(rest) == 1 and left.attempts >= self.options.retries:
            message = f"{ended.lost}; tried {left.attempts + 1} times"
            self._count(failed(rest[0], WorkerError(message)))
            return
        self._try_again(ended, names)
        self.feed.put_back_halved(left)

    def _retire(self, why: str) -> None:
        self.counts.summary.retired.append(why)
        self.log.error("%s", why)
        self.progress.warn(why)

    def _try_again(self, ended: Ended, names: str) -> None:
        number, lost = ended.batch.number, ended.lost
        self.log.warning("batch %d lost: %s; trying again: %s", number, lost, names)
        if ended.trace:
            self.log.debug("%s", ended.trace)
        self.progress.warn(f"{lost}; trying again: {names}")
        self.counts.summary.retries += 1

    def _count(self, *outcomes: Outcome) -> None:
        ended: list[tuple[Job, Outcome]] = []
        outcomes = tuple(map(self.ending.without_blame, outcomes))
        for outcome in outcomes:
            job = self.underway.pop(outcome.name, None)
            self.counts.end(outcome, job)
            self._settle(outcome, job)
            ended += [] if job is None else [(job, outcome)]
            for warning in outcome.warnings:
                self.log.warning("%s: %s: %s", outcome.name, warning.code, warning)
                if self.counts.notice(warning):
                    self.progress.warn(f"{outcome.name}: {warning}", warning.code)
        summary = self.counts.summary
        self.counts.refresh()
        self.progress.update(outcomes, summary.done, summary.failed)
        self.run_json.write_if_due()
        following, lost = self.clips.after(ended)
        self.feed.put_first(following)
        if lost:
            self._count(*lost)

    def _settle(self, outcome: Outcome, job: Job | None) -> None:
        """What follows from how one job ended."""
        if outcome.status == "done":
            self.log.debug("done: %s", outcome.name)
            if job is not None:
                with self.ending.giving_up():
                    self.shards.add(job)
        elif outcome.status == "failed":
            self._note_failure(outcome)
        elif not self.options.fail_fast and not self.counts.summary.problem:
            self.counts.summary.stopped = True

    def _note_failure(self, outcome: Outcome) -> None:
        failure = Failure(
            time=now(),
            name=outcome.name,
            key=outcome.key,
            type=outcome.error_type or "",
            error=outcome.error or "",
            **outcome.about,
        )
        self.counts.fail(failure)
        self.log.error("failed: %s: %s", outcome.name, outcome.error)
        with self.ending.giving_up():
            self.store.add_failure(failure)
        if self.options.fail_fast:
            self.ending.stop()

    def end(self) -> None:
        """Writes what is left: a last shard, unless the run is to go on later, and the summary."""
        self.ending.leaves(self.underway)
        if not (self.counts.summary.stopped or self.counts.summary.problem):
            with self.ending.giving_up():
                self.shards.end()
        for said in self.clips.end(self.counts.summary, stopped=self.ending.asked):
            self.log.error("%s", said)
            self.progress.warn(said)
        self.earlier.tell()
        self.counts.summary.ended = True
        self.store.make_room()
        self.run_json.write()
        self.store.end()
