"""Plan -> batches -> slots: runs every open job once, keeps count, and decides what is tried again.

In: a plan and a run folder. Out: a `Summary`; pictures, records and failures are in the folder.
Which process runs what is the engine's business; how pictures are made is the worker's.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from types import FrameType

import torch

from pipeline.errors import DeviceError, DiskFullError, ImageError, NstError, WorkerError
from pipeline.plan import Batch, Job, Plan, pack
from pipeline.schedule.engines import (
    Ended,
    Engine,
    InlineEngine,
    LocalEngine,
    Patience,
    Work,
    dask_engine,
    ray_engine,
)
from pipeline.schedule.feed import Feed
from pipeline.schedule.progress import Progress
from pipeline.slot import (
    PROCESS_BYTES,
    SHARE,
    Outcome,
    Report,
    RunContext,
    failed,
    run_batch,
    time_job,
    total_memory,
)
from pipeline.store import RunFolder, Shards, now

_SUMMARY_EVERY_S = 2.0
_FAILURES_IN_SUMMARY = 100
# Classes and styles that the summary counts one by one.
_MOST_COUNTED = 10_000
_NEXT = 3
ENGINES = ("local", "inline", "dask", "ray")


# --- slots ----------------------------------------------------------------------------------------


def find_slots(devices: str = "auto") -> tuple[str, ...]:
    """The device of each slot.

    Args:
        devices: `auto` (every CUDA GPU, else Apple's MPS, else the CPU), or names separated by
            commas, such as `cuda:0,cuda:2` or `cpu,cpu`.

    Raises:
        DeviceError: a device that is not there.
    """
    count = torch.cuda.device_count()
    if devices == "auto":
        if count:
            return tuple(f"cuda:{i}" for i in range(count))
        return ("mps",) if torch.backends.mps.is_available() else ("cpu",)
    there = ["cpu", *(f"cuda:{i}" for i in range(count))]
    if torch.backends.mps.is_available():
        there.append("mps")
    slots = tuple("cuda:0" if d.strip() == "cuda" else d.strip() for d in devices.split(","))
    missing = [slot for slot in slots if slot not in there]
    if missing:
        raise DeviceError(
            f"--devices {devices}: {', '.join(missing)} is not on this machine; there are "
            f"{', '.join(there)}"
        )
    return slots


def share_cpu(
    slots: tuple[str, ...], jobs: int, job_bytes: float, workers: int | None = None
) -> tuple[str, ...]:
    """The CPU as several workers where there are so many jobs and the memory for it.

    Workers of one thread each make more pictures an hour than one worker of all threads: on two
    cores 1.3 times as many at 256 px, 1.4 times at 512 px.

    Args:
        slots: what `find_slots("auto")` gave; anything but the CPU alone is left as it is.
        job_bytes: memory that one job takes, apart from what each process does.
        workers: as measured on this machine; None takes one a core.
    """
    if slots != ("cpu",):
        return slots
    memory = total_memory()
    fitting = int(SHARE * memory / (PROCESS_BYTES + job_bytes)) if memory else 1
    return ("cpu",) * max(1, min(workers or available_cores(), jobs, fitting))


def threads_per_slot(slots: Sequence[str]) -> int:
    """CPU threads for each slot: the cores shared out among the CPU slots; 0 leaves torch's own."""
    shares = sum(slot == "cpu" for slot in slots)
    return max(1, available_cores() // shares) if shares > 1 else 0


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def batch_limit(device: str, width: int, height: int) -> int:
    """How many pictures of this size to put in a batch at most.

    On a CPU larger batches leave its caches: with a worker of one thread on each of two cores (32
    MiB of third-level cache), `lite` takes 15% less time a picture at 256 px and 29% at 128 px in
    batches of 4, VGG-19 4% and 14%, and VGG-19 at 512 px 20% more. For a GPU this is only a bound:
    CUDA is touched by workers alone, and each takes as many at once as its memory holds.
    """
    pixels = width * height
    if device.startswith("cuda"):
        return max(1, min(64, 2**24 // pixels))
    return max(1, min(16, 2 * 512 * 384 // pixels))


# --- the run --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; nothing of it decides pixels.

    Attributes:
        engine: one of `ENGINES`.
        address: of a Dask or Ray cluster; None makes one on this machine.
        workers: processes of such a cluster made here.
        retries: how often a job is tried again that stands alone when its worker dies.
        patience: with workers.
        fail_fast: stop at the first failed job.
        failed_only: run only jobs that failed before.
        shard: (i, n): only the i-th of n parts of the plan, from 1.
    """

    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    retries: int = 2
    patience: Patience = field(default_factory=Patience)
    fail_fast: bool = False
    failed_only: bool = False
    shard: tuple[int, int] | None = None

    @property
    def part(self) -> str:
        """The shard's name in the run folder, or empty."""
        return f"{self.shard[0]}-of-{self.shard[1]}" if self.shard else ""


@dataclass
class SlotUse:
    """What one slot did.

    Attributes:
        busy_s: time in batches; the rest of the run's time it was idle.
        phases_s: the same by phase: read, targets, optimize, write.
        sizes: batch size -> number of batches.
    """

    device: str
    batches: int = 0
    jobs: int = 0
    busy_s: float = 0.0
    busy_share: float = 0.0
    phases_s: dict[str, float] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)

    def add(self, report: Report) -> None:
        """Counts a batch."""
        size = len(report.outcomes)
        self.batches += 1
        self.jobs += size
        self.busy_s += report.busy_s
        self.sizes[size] = self.sizes.get(size, 0) + 1
        for phase, seconds in report.seconds.items():
            self.phases_s[phase] = self.phases_s.get(phase, 0.0) + seconds


@dataclass
class Summary:
    """Counts of a run; `run.json` is this, rewritten as it goes.

    Attributes:
        jobs: of the plan, or of this shard where it has been counted to its end.
        already_done: found done at the start.
        done, failed: in this run.
        retries: batches that were tried again after their worker died, hung or ran out of time.
        out_of_memory: batches that had to be made smaller.
        stopped: whether the run was asked to stop before its end.
        problem: what ended the run early, or empty.
        targets_hits, targets_computed: style targets from the cache, and computed.
        utilization: busy time of all slots over their whole time.
        next: names of some jobs that would be run next.
        classes, styles: jobs seen so far, done and failed, by the content's folder and by style.
        earlier: what earlier runs of this folder did, oldest first; those that found nothing to do
            are left out.
    """

    jobs: int
    already_done: int = 0
    done: int = 0
    failed: int = 0
    retries: int = 0
    out_of_memory: int = 0
    stopped: bool = False
    problem: str = ""
    targets_hits: int = 0
    targets_computed: int = 0
    seconds: float = 0.0
    images_per_hour: float = 0.0
    utilization: float = 0.0
    devices: list[str] = field(default_factory=list)
    slots: dict[str, SlotUse] = field(default_factory=dict)
    started: str = field(default_factory=now)
    updated: str = ""
    ended: bool = False
    failures: list[dict[str, str]] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    earlier: list[dict[str, object]] = field(default_factory=list)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    styles: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some failed, 130 stopped."""
        return 130 if self.stopped else int(self.failed > 0 or bool(self.problem))


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
        self.store, self.log = context.store, log
        self.summary = Summary(len(plan), devices=list(context.slots))
        self.summary.earlier = _earlier(self.store)
        self.began = time.monotonic()
        self.written = 0.0
        self.stopping = False
        self.shards = Shards(self.store, plan.shard_size)
        self.underway: dict[str, Job] = {}
        self.feed = Feed(
            pack(self.open_jobs(), self.limit, self.refuse, max(1, len(context.slots)))
        )

    # -- what is left to do --

    def open_jobs(self) -> Iterator[Job]:
        """Jobs that are not done, as the plan streams by."""
        known = self.store.failures() if self.options.failed_only else None
        mine = 0
        for job in self.plan.jobs():
            if self.stopping:
                return
            if not self._is_mine(job) or (known is not None and job.name not in known):
                continue
            mine += 1
            done = self.shards.settle(job)
            self._tally(job.content.label, job.style.label, "jobs")
            if done:
                self.summary.already_done += 1
                self._tally(job.content.label, job.style.label, "done")
                self.progress.skipped(self.summary.already_done)
            else:
                self.underway[job.name] = job
                yield job
        self.summary.jobs = mine
        self.progress.total = mine

    def _tally(self, content: str, style: str, what: str) -> None:
        """Counts a job by its class, the folder of its content, and by its style."""
        folder = content.rpartition("/")[0] or "."
        for counts, name in ((self.summary.classes, folder), (self.summary.styles, style)):
            if name not in counts and len(counts) >= _MOST_COUNTED:
                name = "(others)"
            row = counts.setdefault(name, {"jobs": 0, "done": 0, "failed": 0})
            row[what] += 1

    def _is_mine(self, job: Job) -> bool:
        """Whether the job is of this shard; keys are random, so shards are of about one size."""
        if self.options.shard is None:
            return True
        number, count = self.options.shard
        return int(job.key[:12], 16) % count == number - 1

    def refuse(self, job: Job, error: NstError) -> None:
        """A job that cannot even be packed has failed."""
        self._count(failed(job, error))

    def limit(self, width: int, height: int) -> int:
        """The smallest batch limit of all slots, for a canvas."""
        slots = set(self.context.slots) or {"cpu"}
        return min(batch_limit(slot, width, height) for slot in slots)

    # -- what came back --

    def take(self, ended: Ended) -> None:
        """Counts a batch that ended, or has a lost one tried again."""
        upcoming = self.feed.after(1)
        self.summary.next = [job.name for job in upcoming.jobs[:_NEXT]] if upcoming else []
        report = ended.report
        if report is None:
            self._take_lost(ended)
        else:
            if report.slot:
                use = self.summary.slots.setdefault(report.slot, SlotUse(report.device))
                use.add(report)
            if report.fits is not None:
                self.summary.out_of_memory += 1
                self.log.warning(
                    "batch %d: out of memory on %s, %d jobs fit",
                    ended.batch.number, report.device, report.fits,
                )  # fmt: skip
            self._count(*report.outcomes)

    def _take_lost(self, ended: Ended) -> None:
        """A lost batch: what it wrote before counts; the rest is tried again, or has failed."""
        batch = ended.batch
        written = {
            job.name for job in batch.jobs if self.store.is_done(job.name, job.key, job.settings)
        }
        rest = tuple(job for job in batch.jobs if job.name not in written)
        self._count(*(Outcome(j.name, j.key, "done") for j in batch.jobs if j.name in written))
        if not rest or self.stopping:
            return
        left = Batch(batch.number, rest, batch.scales, batch.attempts)
        names = ", ".join(job.name for job in rest[:3]) + (", ..." if len(rest) > 3 else "")
        if len(rest) == 1 and batch.attempts >= self.options.retries:
            message = f"{ended.lost}; tried {batch.attempts + 1} times"
            self._count(failed(rest[0], WorkerError(message)))
            return
        self.log.warning("batch %d lost: %s; trying again: %s", batch.number, ended.lost, names)
        if ended.trace:
            self.log.debug("%s", ended.trace)
        self.progress.warn(f"{ended.lost}; trying again: {names}")
        self.summary.retries += 1
        self.feed.put_back_halved(left)

    def _count(self, *outcomes: Outcome) -> None:
        summary = self.summary
        for outcome in outcomes:
            summary.targets_hits += outcome.hits
            summary.targets_computed += outcome.computed
            job = self.underway.pop(outcome.name, None)
            if job is not None and outcome.status in ("done", "failed"):
                self._tally(job.content.label, job.style.label, outcome.status)
            if outcome.status == "done":
                summary.done += 1
                self._pack(outcome.name, job)
                self.log.debug("done: %s", outcome.name)
            elif outcome.error_type == DiskFullError.__name__:
                self._give_up(outcome.error or "")
            elif outcome.status == "failed":
                self._note_failure(outcome)
            else:
                summary.stopped |= not self.options.fail_fast and not summary.problem
            for warning in outcome.warnings:
                self.log.warning("%s: %s", outcome.name, warning)
                self.progress.warn(f"{outcome.name}: {warning}")
        self._refresh()
        self.progress.update(outcomes, summary.done, summary.failed)
        if time.monotonic() - self.written > _SUMMARY_EVERY_S:
            self.write_summary()

    def _pack(self, name: str, job: Job | None) -> None:
        """Puts a finished job into a shard, where the run has them."""
        try:
            if job is not None:
                self.shards.add(name, job.settings.format)
        except DiskFullError as error:
            self._give_up(str(error))

    def end(self) -> None:
        """What is left goes into a last shard, unless the run is to go on later."""
        if not (self.summary.stopped or self.summary.problem):
            try:
                self.shards.end()
            except DiskFullError as error:
                self._give_up(str(error))

    def _refresh(self) -> None:
        """What follows from the counts and the time."""
        summary = self.summary
        summary.seconds = round(time.monotonic() - self.began, 3)
        summary.images_per_hour = round(3600 * summary.done / max(summary.seconds, 1e-9), 1)
        for use in summary.slots.values():
            use.busy_share = round(use.busy_s / max(summary.seconds, 1e-9), 4)
        slots = max(len(summary.slots), len(self.context.slots), 1)
        shares = [use.busy_share for use in summary.slots.values()]
        summary.utilization = round(sum(shares) / slots, 4)

    def _note_failure(self, outcome: Outcome) -> None:
        failure = {
            "time": now(),
            "name": outcome.name,
            "key": outcome.key,
            "type": outcome.error_type or "",
            "error": outcome.error or "",
            **outcome.about,
        }
        self.summary.failed += 1
        if len(self.summary.failures) < _FAILURES_IN_SUMMARY:
            self.summary.failures.append({k: failure[k] for k in ("name", "type", "error")})
        self.log.error("failed: %s: %s", outcome.name, outcome.error)
        try:
            self.store.add_failure(failure)
        except DiskFullError as error:
            self._give_up(str(error))
        if self.options.fail_fast:
            self.stop()

    def _give_up(self, problem: str) -> None:
        """Ends the run early: no other job would fare better."""
        if not self.summary.problem:
            self.summary.problem = problem
            self.log.error("stopping: %s", problem)
            self.progress.warn(f"stopping: {problem}")
        self.stop()

    def write_summary(self) -> None:
        """Rewrites `run.json`."""
        self.written = time.monotonic()
        self.summary.updated = now()
        try:
            self.store.write_summary(asdict(self.summary))
        except DiskFullError as error:
            self._give_up(str(error))

    # -- stopping --

    def stop(self) -> None:
        """No new batch; running ones stop at their next step."""
        self.stopping = self.feed.stopped = True
        with contextlib.suppress(OSError):  # a full disk: batches then run to their end
            self.store.ask_to_stop()

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """First SIGINT or SIGTERM: stop in order. Second: at once."""

        def handle(number: int, frame: FrameType | None) -> None:
            if self.stopping and self.summary.stopped:
                raise KeyboardInterrupt
            self.summary.stopped = True
            self.log.warning("%s: stopping", signal.Signals(number).name)
            self.progress.warn("stopping: finishing what is being written; again to stop at once")
            self.stop()

        try:
            before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread, as in a notebook's helper thread
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _earlier(store: RunFolder) -> list[dict[str, object]]:
    """What the summaries of earlier runs say in short."""
    before = store.summaries().get(store.part)
    if before is None:
        return []
    kept = ("started", "done", "failed", "retries", "seconds", "images_per_hour", "utilization")
    short = {name: before[name] for name in kept}
    return [*before["earlier"], *([short] if short["done"] or short["failed"] else [])]


def run_plan(
    plan: Plan,
    context: RunContext,
    progress: Progress,
    options: RunOptions,
    work: Work = run_batch,
) -> Summary:
    """Runs every job of the plan that is not done. The caller holds the run folder's lock.

    Args:
        work: runs one batch in a worker.

    Raises:
        EngineError: the engine cannot be started.
    """
    with _log_file(context.store) as log:
        run = _Run(plan, context, progress, options, log)
        log.info("%d jobs into %s on %s", len(plan), context.run, ", ".join(context.slots))
        with run.signals(), progress.watching(context.store, len(plan)):
            with _engine(context, work, options) as engine:
                _drive(run, engine)
        summary = run.summary
        log.info(
            "%d done, %d failed, %d done before%s",
            summary.done, summary.failed, summary.already_done,
            ", stopped" if summary.stopped else "",
        )  # fmt: skip
        return summary


def _drive(run: _Run, engine: Engine) -> None:
    try:
        for ended in engine.run(run.feed):
            run.take(ended)
    except KeyboardInterrupt:
        run.summary.stopped = True
        engine.kill()
    finally:
        run.end()
        run._refresh()
        run.summary.ended = True
        run.write_summary()
        run.store.end()


@contextlib.contextmanager
def _engine(context: RunContext, work: Work, options: RunOptions) -> Iterator[Engine]:
    made: dict[str, Callable[[], contextlib.AbstractContextManager[Engine]]] = {
        "inline": lambda: contextlib.nullcontext(InlineEngine(context, work)),
        "local": lambda: contextlib.nullcontext(LocalEngine(context, work, options.patience)),
        "dask": lambda: dask_engine(context, work, options.address, options.workers),
        "ray": lambda: ray_engine(context, work, options.address, options.workers),
    }
    with made[options.engine]() as engine:
        yield engine


@contextlib.contextmanager
def _log_file(store: RunFolder) -> Iterator[logging.Logger]:
    """The run's log file, with times and levels; later runs of the folder are added to it."""
    log = logging.Logger(f"nst {store.path}")
    handler = logging.FileHandler(store.log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk
    log.addHandler(handler)
    try:
        yield log
    finally:
        with contextlib.suppress(OSError):  # a full disk
            handler.close()


# --- the plan's time ------------------------------------------------------------------------------


def measure(plan: Plan, store: RunFolder, context: RunContext, trials: int = 3) -> float | None:
    """Estimated seconds for what is left of the plan, from a few short trials on the first slot.

    Some open jobs, spread evenly over the plan, are run for two steps a scale into a folder that is
    thrown away; the time of a step at each scale, times its steps, makes a job's time.

    Returns:
        None if nothing is left to do.
    """
    left = 0
    shards = Shards(store, plan.shard_size)
    chosen: list[Job] = []
    stride = max(1, len(plan) // (trials * 4))
    for job in plan.jobs():
        if shards.is_done(job):
            continue
        if left % stride == 0 and len(chosen) < trials * 4:
            chosen.append(job)
        left += 1
    if not chosen:
        return None
    seconds: list[float] = []
    for job in chosen[:: math.ceil(len(chosen) / trials)]:
        with contextlib.suppress(ImageError):  # such a job will fail by itself, at no cost
            seconds.append(time_job(context, job))
    return left * sum(seconds) / max(len(seconds), 1) / len(context.slots)
