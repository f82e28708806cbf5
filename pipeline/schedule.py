"""Plan -> batches -> slots: packs jobs that can share a tensor, runs the batches, keeps count.

In: a plan and a run folder. Out: a `Summary`; pictures, records and failures are in the folder.
Dispatch is joblib's: this process for one slot, loky processes for several.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

import torch
from joblib import Parallel, delayed

from pipeline.errors import DeviceError, ImageError, NstError
from pipeline.plan import Job, Plan
from pipeline.progress import Progress
from pipeline.store import RunFolder, now
from pipeline.worker import (
    Batch,
    Outcome,
    RunContext,
    release_slot,
    run_batch,
    scales_of,
    time_job,
)

_LOOK_AHEAD = 256
_SUMMARY_EVERY_S = 2.0


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
    """How many pictures of this size to optimise at once.

    On a CPU small pictures are batched up to what stays in its caches. On a GPU the limit comes
    from its free memory; a batch that is too large after all is halved by the worker.
    """
    pixels = width * height
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        bytes_per_pixel = 4600  # float32 features of VGG-19 to conv5_1, with gradients, and pads
        return max(1, min(64, int(0.7 * free / (pixels * bytes_per_pixel))))
    return max(1, min(16, 128 * 128 // pixels))


# --- batches --------------------------------------------------------------------------------------


def _shape_of(job: Job) -> tuple[Any, ...]:
    """What jobs must have in common to share a tensor; begins with the scales."""
    s = job.settings
    layers = (tuple(s.content_layers), tuple(s.style_layers))
    network = (s.pooling, s.padding, s.normalised)
    return (scales_of(job), s.loss, s.optimiser, s.corrections, layers, network)


def pack(
    jobs: Iterable[Job],
    limit: Callable[[int, int], int],
    refuse: Callable[[Job, NstError], None],
) -> Iterator[Batch]:
    """Groups jobs into batches, looking at most a few hundred jobs ahead.

    Args:
        limit: width, height -> how many jobs fit a batch.
        refuse: told of jobs that cannot be run at all, such as unreadable pictures.
    """
    waiting: dict[tuple[Any, ...], list[Job]] = {}
    numbers = iter(range(2**62))

    def emit(shape: tuple[Any, ...]) -> Batch:
        return Batch(next(numbers), tuple(waiting.pop(shape)), shape[0])

    for job in jobs:
        try:
            shape = _shape_of(job)
        except NstError as error:
            refuse(job, error)
            continue
        group = waiting.setdefault(shape, [])
        group.append(job)
        last = shape[0][-1]
        if len(group) >= limit(last.width, last.height):
            yield emit(shape)
        elif sum(map(len, waiting.values())) >= _LOOK_AHEAD:
            yield emit(max(waiting, key=lambda s: len(waiting[s])))
    for shape in list(waiting):
        yield emit(shape)


# --- the run --------------------------------------------------------------------------------------


@dataclass
class Summary:
    """Counts of a run; `run.json` is this, rewritten as it goes.

    Attributes:
        jobs: of the plan.
        already_done: found done at the start.
        done, failed: in this run.
        stopped: whether the run was asked to stop before its end.
        targets_hits, targets_computed: style targets from the cache, and computed.
    """

    jobs: int
    already_done: int = 0
    done: int = 0
    failed: int = 0
    stopped: bool = False
    targets_hits: int = 0
    targets_computed: int = 0
    seconds: float = 0.0
    images_per_hour: float = 0.0
    devices: list[str] = field(default_factory=list)
    started: str = field(default_factory=now)
    updated: str = ""
    failures: list[dict[str, str]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some failed, 130 stopped."""
        return 130 if self.stopped else int(self.failed > 0)


class _Run:
    """A run in progress: counts, the summary file, and the request to stop."""

    def __init__(
        self, plan: Plan, store: RunFolder, context: RunContext, progress: Progress
    ) -> None:
        self.plan, self.store, self.context, self.progress = (
            plan,
            store,
            context,
            progress,
        )
        self.summary = Summary(len(plan), devices=list(context.slots))
        self.began = time.monotonic()
        self.written = 0.0
        self.stopping = False
        self.fail_fast = False

    # -- what is left to do --

    def open_jobs(self) -> Iterator[Job]:
        """Jobs that are not done, as the plan streams by."""
        for job in self.plan.jobs():
            if self.stopping:
                return
            if self.store.is_done(job.name, job.key, job.settings):
                self.summary.already_done += 1
                self.progress.skipped(self.summary.already_done)
            else:
                yield job

    def refuse(self, job: Job, error: NstError) -> None:
        """A job that cannot even be packed has failed."""
        kind = type(error).__name__
        self.take([Outcome(job.name, job.key, "failed", error=str(error), error_type=kind)])

    def limit(self, width: int, height: int) -> int:
        """The smallest batch limit of all slots, for a canvas."""
        return min(batch_limit(slot, width, height) for slot in set(self.context.slots))

    # -- what came back --

    def take(self, outcomes: Sequence[Outcome]) -> None:
        """Counts a batch's outcomes, notes failures, tells who watches."""
        summary = self.summary
        for outcome in outcomes:
            summary.targets_hits += outcome.hits
            summary.targets_computed += outcome.computed
            if outcome.status == "done":
                summary.done += 1
            elif outcome.status == "failed":
                self._note_failure(outcome)
            for warning in outcome.warnings:
                self.progress.warn(f"{outcome.name}: {warning}")
        summary.seconds = round(time.monotonic() - self.began, 3)
        summary.images_per_hour = round(3600 * summary.done / max(summary.seconds, 1e-9), 1)
        self.progress.update(outcomes, summary.done, summary.failed)
        if time.monotonic() - self.written > _SUMMARY_EVERY_S:
            self.write_summary()

    def _note_failure(self, outcome: Outcome) -> None:
        failure = {
            "time": now(),
            "name": outcome.name,
            "key": outcome.key,
            "type": outcome.error_type or "",
            "error": outcome.error or "",
        }
        self.summary.failed += 1
        if len(self.summary.failures) < 100:
            self.summary.failures.append({k: failure[k] for k in ("name", "type", "error")})
        self.store.add_failure(failure)
        if self.fail_fast:
            self.stop()

    def write_summary(self) -> None:
        """Rewrites `run.json`."""
        self.written = time.monotonic()
        self.summary.updated = now()
        self.store.write_summary(asdict(self.summary))

    # -- stopping --

    def stop(self) -> None:
        """No new batch; running ones stop at their next step."""
        self.stopping = True
        self.store.ask_to_stop()

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """First SIGINT or SIGTERM: stop in order. Second: at once."""

        def handle(number: int, frame: FrameType | None) -> None:
            if self.stopping:
                raise KeyboardInterrupt
            self.summary.stopped = True
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


def run_plan(
    plan: Plan,
    store: RunFolder,
    context: RunContext,
    progress: Progress,
    *,
    fail_fast: bool = False,
) -> Summary:
    """Runs every job of the plan that is not done. The caller holds the run folder's lock.

    Args:
        fail_fast: stop at the first failed job.
    """
    run = _Run(plan, store, context, progress)
    run.fail_fast = fail_fast
    with run.signals(), progress.watching(store, len(plan)):
        try:
            batches = pack(run.open_jobs(), run.limit, run.refuse)
            for outcomes in _dispatch(batches, context):
                run.take(outcomes)
                run.summary.stopped |= any(o.status == "stopped" for o in outcomes)
        except KeyboardInterrupt:
            run.summary.stopped = True
        finally:
            run.take([])
            run.write_summary()
            release_slot(context.run)
            store.end()
    if fail_fast and run.summary.failed:
        run.summary.stopped = False
    return run.summary


def _dispatch(batches: Iterator[Batch], context: RunContext) -> Iterator[list[Outcome]]:
    """Runs batches through joblib, lazily; yields outcomes as they come."""
    slots = len(context.slots)
    if slots == 1:
        parallel = Parallel(n_jobs=1, return_as="generator", batch_size=1)
    else:
        parallel = Parallel(
            n_jobs=slots,
            backend="loky",
            return_as="generator_unordered",
            pre_dispatch="2*n_jobs",
            batch_size=1,
        )
    yield from parallel(delayed(run_batch)(context, batch) for batch in batches)


# --- the plan's time ------------------------------------------------------------------------------


def measure(plan: Plan, store: RunFolder, context: RunContext, trials: int = 3) -> float | None:
    """Estimated seconds for what is left of the plan, from a few short trials on the first slot.

    Some open jobs, spread evenly over the plan, are run for two steps a scale into a folder that is
    thrown away; the time of a step at each scale, times its steps, makes a job's time.

    Returns:
        None if nothing is left to do.
    """
    left = 0
    chosen: list[Job] = []
    stride = max(1, len(plan) // (trials * 4))
    for job in plan.jobs():
        if store.is_done(job.name, job.key, job.settings):
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
