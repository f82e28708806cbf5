"""A batch in its slot: reads what it needs, has it optimized, hands over the results.

In: a picklable `RunContext` and a `Batch`. Out: one `Outcome` a job; its picture and record are in
the run folder by then, written while the next batch runs. An error of one job fails that job alone.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.errors import DeviceFullError, DivergedError, NstError
from pipeline.manifest import Settings
from pipeline.pictures import Mask
from pipeline.plan import Batch, ContentKey, content_key
from pipeline.slot.beginnings import with_beginning
from pipeline.slot.checkpoint import load_checkpoint
from pipeline.slot.contents import Content
from pipeline.slot.determinism import deterministic
from pipeline.slot.faults import is_out_of_memory, may_be_sick
from pipeline.slot.fitting import Fitting
from pipeline.slot.loop import Loop
from pipeline.slot.messages import Outcome, Report, RunContext, failed
from pipeline.slot.motion import read_motion
from pipeline.slot.outputs import Circumstances, Result, write_result
from pipeline.slot.precision import network_type, precision_notices, use_precision
from pipeline.slot.process import PROCESS, Process
from pipeline.slot.seat import Seat, take_seat
from pipeline.slot.styles import Prepared, StyleReader
from pipeline.slot.targets import compute_targets
from pipeline.slot.timer import Timer
from pipeline.slot.way import Stopped, Way, tell
from pipeline.store import RunFolder


def run_batch(
    context: RunContext, slot: int | None, batch: Batch, process: Process = PROCESS
) -> Report:
    """Runs one batch in this process to its end; see `begin_batch`."""
    return begin_batch(context, slot, batch, process)()


def begin_batch(
    context: RunContext, slot: int | None, batch: Batch, process: Process = PROCESS
) -> Callable[[], Report]:
    """Takes one batch through its steps in this process; its files are written in threads.

    Args:
        slot: the slot's number, or None where an engine's worker finds its own device.
        process: what this process keeps between batches.

    Returns:
        what waits until all is written and says how the batch ended, also in another thread.
    """
    began = time.perf_counter()
    if context.store.live.stop_asked():
        stopped = tuple(Outcome(job.name, job.key, "stopped") for job in batch.jobs)
        return partial(Report, stopped, "", "", {}, 0.0)
    process.began = began
    try:
        seat = take_seat(context, slot, process)
        with deterministic(context.deterministic, seat.device), _memory_of(seat):
            return Session(seat, batch, process.files.of(seat.file_threads)).run()
    except DeviceFullError:
        raise  # another slot may have room
    except NstError as error:  # of what all its jobs share: device, network
        outcomes = tuple(failed(job, error) for job in batch.jobs)
        return partial(Report, outcomes, "", "", {}, time.perf_counter() - began)


@contextlib.contextmanager
def _memory_of(seat: Seat) -> Iterator[None]:
    """Memory that runs out of a GPU where nothing can be made smaller is the device's fault: by the
    count it was there."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not (seat.device.startswith("cuda") and is_out_of_memory(error)):
            raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DeviceFullError(f"the memory of {seat.label} ran out: {first}") from error


def read_ahead(
    context: RunContext, slot: int | None, batches: Sequence[Batch], process: Process = PROCESS
) -> None:
    """Begins to read what this process's next batches need, one after another: the last while the
    one before it runs, so that of its styles, too. None lets go of what was begun.

    It uses no device. What goes wrong is told when the batch asks for it.
    """
    if not batches:
        process.ahead.begin(())
        return
    seat, last = take_seat(context, slot, process), batches[-1]
    threads = seat.file_threads
    for batch in batches[:-1]:
        process.ahead.begin(batch.contents, threads)
    process.ahead.begin(last.contents, threads, partial(_styles_ahead, seat, last))


def _styles_ahead(seat: Seat, batch: Batch, contents: Mapping[ContentKey, Content]) -> None:
    """Reads what a batch needs of its styles."""
    context, process = seat.context, seat.process

    def compute(*given: object) -> dict[str, Tensor]:
        raise AssertionError("the device is another batch's")

    digest = process.networks.digest(context, batch.jobs[0].settings)
    given = (batch.scales, digest, context.cache, compute, process.styles, process.ahead.styles)
    reader = StyleReader(*given, seat.device)
    for job in batch.jobs:
        reader.look_ahead(job, contents[content_key(job, batch.scales)])


class Session:
    """One batch on one device.

    Args:
        pool: in whose threads files are written beside the step loop, also the next batch's.
    """

    def __init__(self, seat: Seat, batch: Batch, pool: ThreadPoolExecutor) -> None:
        self.seat, self.batch, self.store = seat, batch, seat.context.store
        self.pool = pool
        self.timer = Timer()
        tell(self.store, seat, batch)
        if seat.context.threads and seat.device == "cpu":
            torch.set_num_threads(seat.context.threads)
        settings = batch.jobs[0].settings
        self.precision = use_precision(settings.precision, seat.device)
        self.network = seat.network(settings, network_type(self.precision))
        self.fitting = Fitting(seat, self.network, batch)
        self.way = Way(self.store, seat, batch, pool, self.timer)
        self.loop = Loop(seat, self.network, batch, self.fitting, self.way, self.timer)
        self.ended: list[Outcome | Future[Outcome]] = []

    def run(self) -> Callable[[], Report]:
        """Takes all jobs of the batch through their steps.

        Returns:
            what waits for their files and gives each job's outcome.
        """
        began = time.perf_counter()
        try:
            with self.timer.phase("read"):
                ready = self._prepare_all()
            if self.batch.ahead:
                self.seat.process.ahead.begin(self.batch.ahead, self.seat.file_threads)
            for position in sorted({p.position for p in ready}):
                # Checkpoints of different age cannot share a tensor.
                self._run_ready([p for p in ready if p.position == position])
        except BaseException:
            self._writing().wait()
            raise
        return partial(_report, self._writing(), began, time.perf_counter())

    def _writing(self) -> _Writing:
        frames = self.way.frames.values()
        given = (self.seat, self.ended, list(chain(*frames)))
        return _Writing(*given, self.timer.seconds, self.fitting.fits)

    # -- reading --

    def _prepare_all(self) -> list[Prepared]:
        """All that is to be read, decoded in threads; what cannot be read has failed."""
        ahead = self.seat.process.ahead
        contents = {key: ahead.take(key, self.seat.file_threads) for key in self.batch.contents}
        styles = StyleReader(
            self.batch.scales,
            self.network.digest,
            self.seat.context.cache,
            self._compute_targets,
            self.seat.process.styles,
            ahead.styles,
            self.seat.device,
        )
        ready = []
        for job in self.batch.jobs:
            try:
                kept = load_checkpoint(self.store, job.key)
                content = contents[content_key(job, self.batch.scales)].result()
                motion = read_motion(self.store, job, content, self.batch.scales[-1])
                prepared = styles.prepare(job, content, kept)
                moved = replace(prepared, motion=motion)
                ready.append(with_beginning(moved, self.batch.scales[0]))
            except Stopped:
                self.ended.append(Outcome(job.name, job.key, "stopped"))
            except DeviceFullError:
                raise
            except NstError as error:
                self.ended.append(failed(job, error))
        return styles.with_compared(ready, self.seat.file_threads)

    def _compute_targets(
        self, pixels: Sequence[Tensor], settings: Settings, mask: Mask | None, compared: str
    ) -> dict[str, Tensor]:
        # Float32 whatever the loop's precision, so that all runs share the targets.
        network = self.seat.network(settings, torch.float32)

        def tile(width: int, height: int) -> int:
            return self.fitting.target_tile(network, width, height)

        with self.timer.phase("targets"):
            moved = [image.to(self.seat.device) for image in pixels]
            return compute_targets(network, moved, settings, mask, tile, compared)

    # -- optimizing --

    def _run_ready(self, ready: Sequence[Prepared]) -> None:
        """Optimizes and has stored, no more at once than fit, and as equal as can be: 5 and 5, not
        8 and 2.

        What was optimized is encoded and written in threads while the next part is optimized.
        """
        while ready:
            ready = ready[self._run_some(ready) :]

    def _run_some(self, ready: Sequence[Prepared]) -> int:
        """One run of the step loop: how many it settled; 0 if memory ran out, for fewer next."""
        part = ready  # all are at stake while it is measured how many fit
        try:
            limit = self.fitting.together(len(ready), partial(self.loop.one_step, ready[0]))
            part = ready[: len(ready) // math.ceil(len(ready) / limit)]
            results = self.loop.run(part)
        except Stopped:
            self.ended += [Outcome(p.job.name, p.job.key, "stopped") for p in part]
            return len(part)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            sick = str(error) if may_be_sick(error) else ""
        except DeviceFullError:
            raise
        except NstError as error:
            self._fail(part, error)
            return len(part)
        else:
            said = precision_notices(self.precision, self.seat.device)
            for prepared, result in zip(part, results, strict=True):
                moved = replace(prepared, warnings=(*said, *prepared.warnings))
                self._finish(moved, result, part)
            return len(part)
        # Outside of the handler, so that the error no longer holds on to the batch's tensors.
        try:
            self.fitting.shrink(len(part))
        except DeviceFullError:
            raise
        except NstError as error:
            if sick:
                raise DeviceFullError(f"{self.seat.label}: {sick}") from error
            self._fail(part, error)
            return len(part)
        return 0

    def _fail(self, part: Sequence[Prepared], error: NstError) -> None:
        self.ended += [failed(p.job, error) for p in part]

    # -- handing over --

    def _finish(
        self, prepared: Prepared, result: Result | DivergedError, together: Sequence[Prepared]
    ) -> None:
        """Has one job's picture and record written, behind the step loop."""
        if isinstance(result, DivergedError):
            self.ended.append(failed(prepared.job, result))
            return
        files = self.seat.context.network(prepared.job.settings)
        about = Circumstances(
            backbone={
                "name": files.backbone,
                "weights_sha256": self.network.digest,
                "weights": files.about_weights,
                "choice": str(files.weights) if files.weights else None,
                "preprocessing": files.preprocessing or "the weights' own",
            },
            device=self.seat.label,
            precision=self.precision,
            deterministic=self.seat.context.deterministic,
            scales=self.batch.scales,
            seconds=dict(self.timer.seconds),
            number=self.batch.number,
            jobs=len(together),
            attempts=self.batch.attempts + 1,
            contents=len({id(p.content.working) for p in together}),
            threads=torch.get_num_threads() if self.seat.device == "cpu" else 0,
        )
        frames = self.way.frames_of(prepared)
        self.ended.append(self.pool.submit(_store, self.store, prepared, result, about, frames))


# --- behind the next batch ------------------------------------------------------------------------
# Nothing here holds the session, whose loop has a graph and its pictures in the device's memory.


class _Writing(NamedTuple):
    """A batch that is through its steps, and whose files are being written.

    Attributes:
        ended: how each of its jobs ended.
        frames: of jobs that did not come to their end.
        seconds: what took how long.
        fits: see `Fitting`.
    """

    seat: Seat
    ended: list[Outcome | Future[Outcome]]
    frames: list[Future[None]]
    seconds: dict[str, float]
    fits: int | None

    def wait(self) -> None:
        """Until all is written, also where some of it cannot be: the batch may be run again, and
        then nothing of it must still be on its way."""
        wait(self.frames)
        wait([each for each in self.ended if isinstance(each, Future)])


def _report(writing: _Writing, began: float, through: float) -> Report:
    """Waits for the files; the batch's time is its own until the next one begins.

    Args:
        began, through: when the batch began, and when it was through its steps.
    """
    writing.wait()
    outcomes = [e if isinstance(e, Outcome) else e.result() for e in writing.ended]
    seat = writing.seat
    following = seat.process.began
    until = time.perf_counter() if following < through else following
    seconds = {**writing.seconds, "write": until - through}
    busy = until - began
    share = busy / len(outcomes)
    ended = tuple(replace(outcome, seconds=share) for outcome in outcomes)
    return Report(ended, seat.name, seat.label, seconds, busy, writing.fits)


def _store(
    store: RunFolder,
    prepared: Prepared,
    result: Result,
    about: Circumstances,
    frames: Sequence[Future[None]],
) -> Outcome:
    """Writes what a job made; its frames were begun before, so they end before."""
    job = prepared.job
    wait(frames)
    try:
        for frame in frames:
            frame.result()
        write_result(store, prepared, result, about)
    except NstError as error:
        return failed(job, error)
    return Outcome(
        job.name,
        job.key,
        "done",
        hits=prepared.hits,
        computed=prepared.computed,
        warnings=prepared.warnings + result.warnings,
    )
