"""What runs in a slot: a batch of jobs from files to files.

In: a picklable `RunContext` and a `Batch`. Out: one `Outcome` a job; pictures and records are in
the run folder by then. The process keeps its backbones between batches. An error of one job fails
that job alone.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from pipeline.errors import DeviceError, DivergedError, NstError, WorkerError
from pipeline.layers import LAYERS
from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    Scale,
    ScaleInputs,
    State,
    Step,
    Weights,
    load_weights,
    optimize,
    style_targets,
)
from pipeline.pictures import Mask, fit_image, to_tensor
from pipeline.plan import Batch, ContentKey, Job, content_key, scales_of
from pipeline.slot.checkpoint import Curve, load_checkpoint, save_checkpoint, stack
from pipeline.slot.inputs import (
    Content,
    Prepared,
    StyleReader,
    compute_targets,
    init_pictures,
    init_styles,
    read_content,
    scale_inputs,
)
from pipeline.slot.memory import SMALLEST_TILE, budget, step_bytes, tile_side
from pipeline.slot.messages import Outcome, Report, RunContext, failed
from pipeline.slot.outputs import (
    Circumstances,
    Result,
    drop_frames,
    frame_every,
    write_frame,
    write_result,
)
from pipeline.store import load_means
from pipeline.store import normalized as normalized_weights

_CURVE_POINTS = 50
_NEWS_EVERY_S = 0.25
_SAFER_RATE = 0.25
_WORTH_KEEPING_S = 5.0
_FILE_THREADS = 8  # that decode and encode a batch's pictures, at most


class _Stopped(Exception):  # noqa: N818 (a request, not an error)
    """The run was asked to stop."""


# --- what a worker process keeps ------------------------------------------------------------------


@lru_cache(maxsize=4)
def _weights(name: str, file: Path | None, means: Path | None) -> Weights:
    weights = load_weights(name, file)
    return normalized_weights(weights, load_means(means)) if means else weights


@lru_cache(maxsize=8)
def _backbone(
    name: str,
    file: Path | None,
    means: Path | None,
    layers: tuple[str, ...],
    pooling: Any,
    padding: Any,
    dtype: torch.dtype,
    pooling_scale: float,
    device: str,
) -> Backbone:
    weights = _weights(name, file, means)
    return Backbone(weights, layers, pooling, padding, dtype, pooling_scale).to(device)


@lru_cache(maxsize=8)
def _compiled(network: Backbone) -> Backbone:
    """The same network, compiled by torch when it first sees a size: a minute, once a size."""
    compiled: Backbone = torch.compile(network, dynamic=False)  # type: ignore[assignment]
    return compiled


# Why torch could not compile here, once it was tried.
_uncompiled: list[str] = []


def forget_all() -> None:
    """Lets go of all that is kept: in a process that outlives a run files may have changed."""
    _read_ahead(())
    _weights.cache_clear()
    _backbone.cache_clear()


def _is_fast_with_bf16(device: str) -> bool:
    """Whether convolutions are faster in bfloat16 than in float32."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device == "cpu" and any(getattr(torch.cpu, name, bool)() for name in checks)


def use_precision(precision: str, device: str) -> str:
    """Sets this process to a precision of the settings; what `auto` stands for on this device.

    Raises:
        DeviceError: tf32 on a device that does not have it.
    """
    if precision == "auto":
        precision = "bf16" if _is_fast_with_bf16(device) else "fp32"
    if precision == "tf32" and not device.startswith("cuda"):
        raise DeviceError(f"precision tf32 is a GPU's; on {device} choose auto, bf16 or fp32")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    # Features of bfloat16 convolutions are exact in bfloat16, and so in tf32: a product of two of
    # them loses nothing, and sums are kept in float32. CPUs take "medium" for bfloat16 factors.
    product = {"tf32": "high", "bf16": "medium"}.get(precision, "highest")
    torch.set_float32_matmul_precision(product)
    return precision


@lru_cache(maxsize=1)
def _own_device() -> str:
    """The device of an engine's worker: the first GPU that no other worker of this host holds,
    held until the process ends; the CPU where there is none."""
    for index in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_properties(index).uuid
        lock = FileLock(Path(tempfile.gettempdir()) / f"nst-{name}.lock")
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
            _held.append(lock)
            return f"cuda:{index}"
    return "cpu"


_held: list[FileLock] = []
# How many pictures of so many pixels fitted a device, where memory ran out before; and tiles.
_fits: dict[tuple[str, int], int] = {}
_tiles: dict[tuple[str, int], int] = {}
# Memory that a step was measured to take on a GPU over what was counted, by device and network.
_factors: dict[tuple[str, str], float] = {}


# Content pictures that are being read for the batch after this one.
_ahead: dict[ContentKey, Future[Content]] = {}


@lru_cache(maxsize=1)
def _ahead_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_FILE_THREADS)


def _read_ahead(keys: Sequence[ContentKey]) -> None:
    """Begins to read what the next batch will want, and lets go of what nobody asked for."""
    for key in [key for key in _ahead if key not in keys]:
        _ahead.pop(key).cancel()
    for key in keys:
        if key not in _ahead:
            _ahead[key] = _ahead_pool().submit(read_content, *key)


# --- one batch ------------------------------------------------------------------------------------


@dataclass
class _Timer:
    """Wall time by phase; a phase within another counts for itself alone."""

    seconds: dict[str, float] = field(default_factory=dict)
    _inner: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            own = spent - self._inner.pop()
            self.seconds[name] = self.seconds.get(name, 0.0) + own
            if self._inner:
                self._inner[-1] += spent


_LOSSES = ("content", "style", "tv", "total")


class _Curves:
    """The losses of about `_CURVE_POINTS` steps of each job of a batch."""

    def __init__(self, before: Sequence[Curve]) -> None:
        self.before = before
        self.rows: list[tuple[int, Tensor]] = []

    def add(self, step: Step) -> None:
        """Keeps a step's losses if it is one of those to keep; they stay on the device."""
        every = max(1, step.total // _CURVE_POINTS)
        if step.number % every == 0 or step.number in (1, step.total):
            parts = [getattr(step.losses, name) for name in _LOSSES]
            self.rows.append((step.number, torch.stack(parts)))

    def values(self) -> list[Curve]:
        """Per job: step, content, style, tv and total loss."""
        rows = [(number, part.cpu().tolist()) for number, part in self.rows]
        return [
            before
            + [
                {"step": number} | {name: part[k][i] for k, name in enumerate(_LOSSES)}
                for number, part in rows
            ]
            for i, before in enumerate(self.before)
        ]


class _Session:
    """One batch on one device.

    Args:
        slot: the slot's number in `context.slots`, or None for an engine's own worker.
    """

    def __init__(self, context: RunContext, slot: int | None, batch: Batch) -> None:
        self.context, self.batch = context, batch
        self.store = context.store
        if slot is None:
            self.slot = f"{socket.gethostname()}-{os.getpid()}"
            chosen = context.devices.split(",")[0].strip()
            self.device = _own_device() if chosen == "auto" else chosen
        else:
            self.slot, self.device = str(slot), context.slots[slot]
        self.timer = _Timer()
        self.fits: int | None = None
        self.frames: dict[str, list[Future[None]]] = {}
        self.ended: list[Outcome | Future[Outcome]] = []
        self.last_news = 0.0
        self.kept_at = time.monotonic()
        self.news({"phase": "read"})
        if context.threads:
            torch.set_num_threads(context.threads)
        settings = batch.jobs[0].settings
        self.means = context.means if settings.normalized else None
        self.precision = use_precision(settings.precision, self.device)
        self.backbone = self._network(torch.bfloat16 if self.precision == "bf16" else torch.float32)

    def _network(self, dtype: torch.dtype) -> Backbone:
        context, settings = self.context, self.batch.jobs[0].settings
        return _backbone(
            context.backbone,
            context.weights,
            self.means,
            settings.layers,
            settings.pooling,
            settings.padding,
            dtype,
            settings.pooling_scale,
            self.device,
        )

    def run(self) -> Report:
        """All jobs of the batch, each with its outcome."""
        began = time.perf_counter()
        with ThreadPoolExecutor(self._file_threads()) as self.pool:
            with self.timer.phase("read"):
                ready = self._prepare_all()
            _read_ahead(self.batch.ahead)
            self._run_ready(ready)
            with self.timer.phase("write"):
                outcomes = [e if isinstance(e, Outcome) else e.result() for e in self.ended]
        busy = time.perf_counter() - began
        share = busy / len(self.batch.jobs)
        ended = tuple(replace(outcome, seconds=share) for outcome in outcomes)
        return Report(ended, self.slot, self.device, self.timer.seconds, busy, self.fits)

    def _file_threads(self) -> int:
        """Threads that decode and encode pictures beside the step loop."""
        if self.context.threads:
            return min(_FILE_THREADS, self.context.threads)
        share = (os.cpu_count() or 1) // max(1, len(self.context.slots))
        return max(1, min(_FILE_THREADS, share))

    def _prepare_all(self) -> list[Prepared]:
        """All that is to be read, decoded in threads; what cannot be read has failed."""
        contents = {
            key: _ahead.pop(key) if key in _ahead else self.pool.submit(read_content, *key)
            for key in dict.fromkeys(content_key(job) for job in self.batch.jobs)
        }
        styles = StyleReader(
            self.batch.scales, self.backbone.digest, self.context.cache, self._compute_targets
        )
        ready = []
        for job in self.batch.jobs:
            try:
                kept = load_checkpoint(self.store.checkpoint_path(job.key))
                ready.append(styles.prepare(job, contents[content_key(job)].result(), kept))
            except NstError as error:
                self.ended.append(failed(job, error))
        return ready

    def _run_ready(self, ready: Sequence[Prepared]) -> None:
        """Optimizes and has stored; out of memory halves the batch and goes on.

        What was optimized is encoded and written in threads while the next part is optimized.
        """
        if not ready:
            return
        positions = sorted({p.position for p in ready})
        if len(positions) > 1:  # checkpoints of different age cannot share a tensor
            for position in positions:
                self._run_ready([p for p in ready if p.position == position])
            return
        try:
            limit = self._fitting(ready)
            if len(ready) > limit:
                count = math.ceil(len(ready) / limit)
                for i in range(count):  # as equal as can be: 5 and 5, not 8 and 2
                    self._run_ready(ready[i * len(ready) // count : (i + 1) * len(ready) // count])
                return
            results = self._optimize(ready)
        except _Stopped:
            self.ended += [Outcome(p.job.name, p.job.key, "stopped") for p in ready]
            return
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
        except NstError as error:
            self.ended += [failed(p.job, error) for p in ready]
            return
        else:
            for prepared, result in zip(ready, results, strict=True):
                self._finish(prepared, result, len(ready))
            return
        # Outside of the handler, so that the error no longer holds on to the batch's tensors.
        self._after_out_of_memory(ready)

    @property
    def _place(self) -> tuple[str, int]:
        return self.device, self.batch.scales[-1].pixels

    def _fitting(self, ready: Sequence[Prepared]) -> int:
        """How many pictures to take at once: what fitted before, else what memory allows."""
        known = _fits.get(self._place)
        if known is not None:
            return known
        factor = self._factor(ready)
        each = step_bytes(self.backbone, self.batch.scales[-1].pixels, factor)
        return max(1, min(len(ready), int(self._budget() / each)))

    def _budget(self) -> float:
        return budget(self.device, sum(slot == "cpu" for slot in self.context.slots))

    @property
    def _network_name(self) -> str:
        network = self.backbone
        statistic = self.batch.jobs[0].settings.style_loss
        kind = (network.digest, str(network.dtype), network.padding, network.pooling, statistic)
        return " ".join((*kind, *network.layers))

    def _factor(self, ready: Sequence[Prepared]) -> float:
        """Measured over counted memory of a step: on a GPU, one step of one picture is measured."""
        if not self.device.startswith("cuda"):
            # Sorted projections are as much again as the features that they are of.
            sliced = self.batch.jobs[0].settings.style_loss == "sliced_wasserstein"
            return 2.0 if sliced else 1.0
        place = (self.device, self._network_name)
        if place not in _factors:
            scale = self.batch.scales[-1]
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            counted = step_bytes(self.backbone, scale.pixels)
            if tile_side(self.backbone, scale.width, scale.height, self._budget()) != 0:
                return 1.0  # too large to be taken whole: the count has to do
            short = (replace(scale, steps=1),)
            last = len(self.batch.scales) - 1
            inputs = self._inputs(last, ready[:1])
            pictures = init_pictures([ready[0].job.settings], scale)
            jobs = [ready[0].job.settings]
            styles = init_styles(ready[:1], scale)
            for _ in optimize(
                self.backbone, jobs, short, lambda _: inputs, pictures, styles=styles
            ):
                pass
            peak = torch.cuda.max_memory_allocated(self.device) - before
            _factors[place] = max(0.1, peak / counted)
        return _factors[place]

    def _tile(self, scale: Scale) -> int:
        """Side of the tiles for one picture at a scale; 0 for none.

        Raises:
            WorkerError: not even the smallest tiles fit.
        """
        known = _tiles.get((self.device, scale.pixels))
        if known is not None:
            return known
        allowed = self._budget()
        factor = _factors.get((self.device, self._network_name), 1.0)
        side = tile_side(self.backbone, scale.width, scale.height, allowed, factor)
        if side is None:
            raise self._too_large(scale.width, scale.height)
        return side

    def _too_large(self, width: int, height: int) -> WorkerError:
        return WorkerError(
            f"{self.device} has too little memory for one picture of {width} x {height} px, even "
            f"in tiles; choose a smaller `size`, fewer workers (--devices) or another device"
        )

    def _after_out_of_memory(self, ready: Sequence[Prepared]) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        if len(ready) > 1:
            self.fits = len(ready) // 2
            _fits[self._place] = self.fits
            self._run_ready(ready)
            return
        scale = self.batch.scales[-1]
        side = _tiles.get(self._place) or max(scale.width, scale.height)
        if side < 2 * SMALLEST_TILE:
            self.ended.append(failed(ready[0].job, self._too_large(scale.width, scale.height)))
            return
        _tiles[self._place] = side // 2
        self._run_ready(ready)

    # -- style targets --

    def _compute_targets(
        self, pixels: Sequence[Tensor], settings: Settings, mask: Mask | None
    ) -> dict[str, Tensor]:
        network = self._network(torch.float32)  # whatever the loop's, so that all runs share them

        def tile(width: int, height: int) -> int:
            side = tile_side(network, width, height, self._budget())
            if side is None:
                raise self._too_large(width, height)
            return side

        with self.timer.phase("targets"):
            moved = [image.to(self.device) for image in pixels]
            return compute_targets(network, moved, settings, mask, tile)

    # -- the step loop --

    @property
    def _compiles(self) -> bool:
        return self.context.compiles and not _uncompiled

    def _optimize(self, ready: Sequence[Prepared]) -> list[Result | DivergedError]:
        with self.timer.phase("optimize"):
            results = self._drive_compiled(ready) if self._compiles else self._drive(ready)
            if self.context.compiles and _uncompiled:
                said = f"not compiled, torch could not: {_uncompiled[0]}"
                results = [replace(result, warnings=(said,)) for result in results]
            return [
                result if result.is_finite else self._again_safer(prepared)
                for prepared, result in zip(ready, results, strict=True)
            ]

    def _drive_compiled(self, ready: Sequence[Prepared]) -> list[Result]:
        """The step loop with a compiled network; without, if that fails."""
        try:
            return self._drive(ready)
        except (RuntimeError, AssertionError) as error:  # what torch's compiler raises, also late
            if _is_out_of_memory(error):
                raise
            lines = str(error).strip().splitlines()
            _uncompiled.append(f"{type(error).__name__}: {lines[0] if lines else ''}")
        torch._dynamo.reset()
        return self._drive(ready)

    def _again_safer(self, prepared: Prepared) -> Result | DivergedError:
        """A job whose loss became NaN or infinite, once more with a smaller learning rate."""
        rate = prepared.job.settings.learning_rate * _SAFER_RATE
        safer = prepared.job.settings.model_copy(update={"learning_rate": rate})
        job = replace(prepared.job, settings=safer)
        (result,) = self._drive([replace(prepared, job=job, checkpoint=None)])
        if result.is_finite:
            said = f"the loss became NaN or infinite; made again with learning_rate {rate:g}"
            return replace(result, warnings=(said,))
        return DivergedError(
            f"the loss became NaN or infinite, also with learning_rate {rate:g}; choose a "
            f"smaller learning_rate or style_weight"
        )

    def _drive(self, ready: Sequence[Prepared]) -> list[Result]:
        """Runs the step loop, keeps checkpoints, and stops if asked to."""
        kept = [p.checkpoint for p in ready if p.checkpoint]
        curves = _Curves([p.checkpoint.curve if p.checkpoint else [] for p in ready])
        jobs = [p.job.settings for p in ready]
        step: Step | None = None
        self._begin_frames(ready)
        for step in optimize(
            _compiled(self.backbone) if self._compiles else self.backbone,
            jobs,
            self.batch.scales,
            lambda index: self._inputs(index, ready),
            init_pictures(jobs, self.batch.scales[0]),
            stack(kept, self.device) if kept else None,
            init_styles(ready, self.batch.scales[0]),
        ):
            curves.add(step)
            self._keep_frames(step, ready)
            self._after_step(step, ready, curves)
        assert step is not None  # a checkpoint is never of the last step
        ends = zip(step.images, curves.values(), step.steps.tolist(), strict=True)
        return [Result(image, curve, steps) for image, curve, steps in ends]

    def _keep(self, state: State, ready: Sequence[Prepared], curves: _Curves) -> None:
        """Writes a checkpoint of each job."""
        self.kept_at = time.monotonic()
        with self.timer.phase("checkpoint"):
            for index, (prepared, curve) in enumerate(zip(ready, curves.values(), strict=True)):
                path = self.store.checkpoint_path(prepared.job.key)
                save_checkpoint(path, state, index, curve, self.store.temporary)

    def _inputs(self, index: int, ready: Sequence[Prepared]) -> ScaleInputs:
        scale = self.batch.scales[index]
        tile = self._tile(scale) if len(ready) == 1 else 0
        return scale_inputs(scale, index, ready, self.device, tile)

    def _begin_frames(self, ready: Sequence[Prepared]) -> None:
        """Removes frames of earlier attempts, where a job begins anew."""
        for prepared in ready:
            if prepared.checkpoint is None and frame_every(prepared.job.settings, 1):
                for frame in self.frames.pop(prepared.job.key, []):
                    frame.result()
                drop_frames(self.store, prepared.job)

    def _keep_frames(self, step: Step, ready: Sequence[Prepared]) -> None:
        """Has pictures of the way there written, of the jobs that want one at this step."""
        everies = [frame_every(p.job.settings, step.total) for p in ready]
        due = [bool(every) and step.number % every == 0 for every in everies]
        if not any(due):
            return
        images = step.images.cpu()
        for prepared, image, wanted in zip(ready, images, due, strict=True):
            if wanted:
                saved = self.pool.submit(write_frame, self.store, prepared, step.number, image)
                self.frames.setdefault(prepared.job.key, []).append(saved)

    def _after_step(self, step: Step, ready: Sequence[Prepared], curves: _Curves) -> None:
        """Tells who watches, keeps checkpoints, and stops if asked to."""
        moment = time.monotonic()
        if moment - self.last_news < _NEWS_EVERY_S or step.number == step.total:
            return
        self.last_news = moment
        every = self.context.checkpoint_every_s
        stopping = self.store.stop_asked()
        if every and moment - self.kept_at > (_WORTH_KEEPING_S if stopping else every):
            self._keep(step.state, ready, curves)
        if stopping:
            raise _Stopped
        about = {"phase": "optimize", "step": step.number, "steps": step.total}
        loss = float(step.losses.total.mean())
        self.news({**about, "loss": loss if math.isfinite(loss) else None}, ready)

    def news(self, about: Mapping[str, Any], ready: Sequence[Prepared] = ()) -> None:
        """Writes what this slot is doing, and when it last got somewhere."""
        jobs = [p.job for p in ready] or self.batch.jobs
        state = {
            "slot": self.slot,
            "device": self.device,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": time.time(),
            "batch": self.batch.number,
            "jobs": len(jobs),
            "job": jobs[0].name,
            **about,
        }
        self.store.write_slot(self.slot, state)

    # -- writing --

    def _finish(self, prepared: Prepared, result: Result | DivergedError, batch_size: int) -> None:
        """Has one job's picture and record written, behind the step loop."""
        if isinstance(result, DivergedError):
            self.ended.append(failed(prepared.job, result))
            return
        about = Circumstances(
            backbone={"name": self.context.backbone, "weights_sha256": self.backbone.digest},
            device=self.device,
            precision=self.precision,
            scales=self.batch.scales,
            seconds=dict(self.timer.seconds),
            number=self.batch.number,
            jobs=batch_size,
            attempts=self.batch.attempts + 1,
        )
        frames = self.frames.pop(prepared.job.key, [])
        self.ended.append(self.pool.submit(self._store, prepared, result, about, frames))

    def _store(
        self,
        prepared: Prepared,
        result: Result,
        about: Circumstances,
        frames: Sequence[Future[None]],
    ) -> Outcome:
        """Writes what a job made; its frames were begun before, so they end before."""
        job = prepared.job
        try:
            for frame in frames:
                frame.result()
            write_result(self.store, prepared, result, about)
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


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return "out of memory" in text or "not enough memory" in text


def run_batch(context: RunContext, slot: int | None, batch: Batch) -> Report:
    """Runs one batch in this process; see the module's docstring.

    Args:
        slot: the slot's number, or None where an engine's worker finds its own device.
    """
    if context.store.stop_asked():
        stopped = tuple(Outcome(job.name, job.key, "stopped") for job in batch.jobs)
        return Report(stopped, "", "", {}, 0.0)
    began = time.perf_counter()
    try:
        return _Session(context, slot, batch).run()
    except NstError as error:
        failed = tuple(failed(job, error) for job in batch.jobs)
        return Report(failed, "", "", {}, time.perf_counter() - began)


def time_job(context: RunContext, job: Job) -> float:
    """Estimated seconds of one job on the first slot: two timed steps at each scale.

    Style targets are left out, since they are computed once for many jobs.
    """
    settings = job.settings
    scales = scales_of(job)
    short = tuple(replace(scale, steps=3) for scale in scales)
    session = _Session(context, 0, Batch(0, (job,), short))
    content = read_content(*content_key(job))
    layers = tuple(layer for layer in LAYERS if layer in settings.style_layers)
    pixels = [to_tensor(fit_image(content.image, s.width, s.height)) for s in short]
    statistic = settings.style_loss
    targets = tuple(
        style_targets(session.backbone, image.to(session.device), layers, statistic)
        for image in pixels
    )
    plain = replace(content, mask=None)
    prepared = Prepared(job, plain, (), targets, (), 0, 0, ())
    marks: list[float] = []
    for step in optimize(
        session.backbone,
        [settings],
        short,
        lambda index: session._inputs(index, [prepared]),
        init_pictures([settings], short[0]),
        styles=init_styles([prepared], short[0]),
    ):
        float(step.losses.total.sum())  # waits for the device
        marks.append(time.perf_counter())
    # The first step of a scale warms up; the two after it are what is timed.
    each = [(marks[3 * i + 2] - marks[3 * i]) / 2 for i in range(len(scales))]
    return sum(scale.steps * seconds for scale, seconds in zip(scales, each, strict=True))
