"""Fitting a batch into memory: what is taken at once, and what happens when it runs out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from students import write_teacher

from pipeline.errors import DeviceFullError, WorkerError
from pipeline.manifest import load_manifest
from pipeline.method import Backbone, load_weights
from pipeline.plan import Batch, Plan, scales_of
from pipeline.slot import RunContext, run_batch, step_bytes
from pipeline.slot.faults import is_out_of_memory
from pipeline.slot.fitting import Fitting
from pipeline.slot.process import Process
from pipeline.slot.seat import Seat
from pipeline.slot.session import _memory_of as memory_of
from pipeline.slot.way import Stopped
from pipeline.store import RunFolder

LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv4_2", "conv5_1")


class Where:
    """A batch of 4 jobs, a fresh process, and a device with as much memory as a test says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, settings: str) -> None:
        (folder / "m.yaml").write_text(
            "output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
            f"settings: {{preset: classic, size: 64, steps: 2, scale_start: 0, {settings}}}\n"
            "grid: {seed: [0, 1, 2, 3]}\n"
        )
        jobs = tuple(Plan(load_manifest(folder / "m.yaml"), lambda s: "", 1).jobs())
        self.store = RunFolder(folder / "run")
        self.store.begin("", {})
        self.batch = Batch(0, jobs, scales_of(jobs[0]))
        self.context = RunContext(self.store.path, folder / "cache", "lite", None, None)
        self.process = Process()
        self.network = Backbone(load_weights("lite"), LAYERS)
        self.monkeypatch = monkeypatch

    def fitting(self, device: str = "cpu", steps: float = 1e9) -> Fitting:
        """On a device with memory for so many steps of one picture."""
        each = step_bytes(self.network, self.batch.scales[-1].pixels)
        self.monkeypatch.setattr(
            "pipeline.slot.seat.budget", lambda device, slots, whole=False: steps * each
        )
        return Fitting(
            Seat(self.context, self.process, "0", device, device), self.network, self.batch
        )


@pytest.fixture
def where(
    tmp_path: Path, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Where:  # fmt: skip
    picture("c.png", 1, (64, 64))
    picture("s.png", 2, (64, 64))
    return Where(tmp_path, monkeypatch, getattr(request, "param", "style_loss: gram"))


def never() -> None:
    raise AssertionError("nothing is measured on a CPU")


@pytest.mark.parametrize(("steps", "together"), [(100, 4), (2.5, 2), (1.0, 1), (0.1, 1)])
def test_as_many_go_together_as_memory_allows(where: Where, steps: float, together: int) -> None:
    assert where.fitting(steps=steps).together(4, never) == together


def test_no_more_go_together_than_a_device_takes(where: Where) -> None:
    """A batch may have been packed for another one: 100 jobs of 64 px for a GPU."""
    assert where.fitting(steps=1e9).together(100, never) == 16


@pytest.mark.parametrize("where", ["style_loss: sliced_wasserstein"], indirect=True)
def test_sorted_projections_take_twice_as_much(where: Where) -> None:
    assert where.fitting(steps=4.5).together(4, never) == 2


HISTORY = (2 * 100 + 4) * 3 * 4 * 64 * 64  # 100 pairs, and working copies, in float32


@pytest.mark.parametrize("where", ["optimizer: lbfgs, corrections: 100"], indirect=True)
def test_what_lbfgs_keeps_takes_room(where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    each = step_bytes(where.network, where.batch.scales[-1].pixels)
    assert where.fitting(steps=2 * (1 + HISTORY / each) + 0.1).together(4, never) == 2
    assert where.fitting(steps=2 * (1 + HISTORY / each) - 0.1).together(4, never) == 1
    # Measured on a GPU, the rest of a step may take more; the history is what it is.
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * each + HISTORY)
    fitting = where.fitting("cuda:0", steps=3 * (3 + HISTORY / each) + 0.1)
    assert fitting.together(4, lambda: None) == 3


@pytest.mark.parametrize("where", ["optimizer: lbfgs, corrections: 100"], indirect=True)
def test_tiles_leave_room_for_what_lbfgs_keeps(where: Where) -> None:
    each = step_bytes(where.network, where.batch.scales[-1].pixels)
    with pytest.raises(WorkerError, match="too little memory"):
        where.fitting(steps=0.9 * HISTORY / each).tile(where.batch.scales[-1])


class Allocator:
    """A GPU's, patched: what is held, and the most since it was last reset.

    The first step leaves a workspace behind; each takes some bytes and lets them go.
    """

    def __init__(self, patch: pytest.MonkeyPatch, step: float, workspace: float = 0.0) -> None:
        self.held, self.most, self.step, self.workspace = 1000.0, 1000.0, step, workspace
        self.steps = 0
        patch.setattr(torch.cuda, "reset_peak_memory_stats", self._reset)
        patch.setattr(torch.cuda, "memory_allocated", lambda device: self.held)
        patch.setattr(torch.cuda, "max_memory_allocated", lambda device: self.most)

    def _reset(self, device: str) -> None:
        self.most = self.held

    def one_step(self) -> None:
        self.steps += 1
        self.held += self.workspace if self.steps == 1 else 0
        self.most = max(self.most, self.held + self.step)


def test_on_a_gpu_a_step_is_measured_once(where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    each = step_bytes(where.network, where.batch.scales[-1].pixels)
    gpu = Allocator(monkeypatch, 2 * each)
    fitting = where.fitting("cuda:0", steps=5)
    assert fitting.together(4, gpu.one_step) == 2  # twice the count each
    assert fitting.together(4, gpu.one_step) == 2
    assert gpu.steps == 2


def test_what_libraries_keep_to_work_in_is_not_a_pictures(
    where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = step_bytes(where.network, where.batch.scales[-1].pixels)
    gpu = Allocator(monkeypatch, each, workspace=3 * each)
    assert where.fitting("cuda:0", steps=4).together(4, gpu.one_step) == 4


def test_a_step_is_measured_for_each_size(where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    """At another one libraries go about it another way."""
    last = where.batch.scales[-1]
    each = step_bytes(where.network, last.pixels)
    gpu = Allocator(monkeypatch, 2 * each)
    small = where.fitting("cuda:0", steps=8)
    assert small.together(4, gpu.one_step) == 4
    large = where.fitting("cuda:0", steps=8)
    large.last = replace(last, width=2 * last.width)
    gpu.step = 2 * each  # as much as was counted
    assert large.together(4, gpu.one_step) == 4 and gpu.steps == 4
    place = [key for key in where.process.factors if key[2] == last.pixels]
    assert where.process.factors[place[0]] == pytest.approx(2)
    assert min(where.process.factors.values()) == pytest.approx(1)
    assert large.tile(replace(last, width=8 * last.width)) == 0
    where.process.factors[place[0]] = 100.0  # the small size's
    assert large.tile(last) == 0
    with pytest.raises(WorkerError, match="too little memory"):
        small.tile(last)


def test_a_picture_too_large_to_be_taken_whole_is_not_measured(where: Where) -> None:
    assert where.fitting("cuda:0", steps=0.5).together(1, never) == 1


def test_memory_that_ran_out_is_remembered_by_the_process(where: Where) -> None:
    fitting = where.fitting()
    fitting.shrink(4)
    assert fitting.fits == 2
    assert where.fitting().together(4, never) == 2
    where.process.forget()
    assert where.fitting().together(4, never) == 4


def test_one_picture_goes_in_smaller_and_smaller_tiles(
    where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append("once"))
    fitting = where.fitting("cuda:0")
    scale = where.batch.scales[-1]
    monkeypatch.setattr("pipeline.slot.fitting.SMALLEST_TILE", 16)
    assert fitting.tile(scale) == 0
    fitting.shrink(1)
    assert fitting.tile(scale) == 32
    fitting.shrink(1)
    assert fitting.tile(scale) == 16
    with pytest.raises(WorkerError, match="too little memory for one picture of 64 x 64 px"):
        fitting.shrink(1)
    assert len(emptied) == 3
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append("Apple's"))
    where.fitting("mps").shrink(2)
    assert emptied[3:] == ["Apple's"]


def test_where_not_even_the_smallest_tiles_fit_it_says_so(where: Where) -> None:
    fitting = where.fitting(steps=0.01)
    with pytest.raises(WorkerError, match="even in tiles; choose a smaller `size`"):
        fitting.tile(where.batch.scales[-1])
    with pytest.raises(WorkerError, match="too little memory"):
        fitting.target_tile(where.network, 64, 64)
    assert where.fitting().target_tile(where.network, 64, 64) == 0


@pytest.mark.parametrize(
    ("error", "runs_out"),
    [
        (torch.OutOfMemoryError("CUDA"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory"), True),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't "
                "allocate memory: you tried to allocate 8 bytes. Error code 12"
            ),
            True,
        ),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("CUDNN_STATUS_SUBLIBRARY_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), True),
        (RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (RuntimeError("NVML_SUCCESS == r INTERNAL ASSERT FAILED"), True),
        (RuntimeError("an illegal memory access was encountered"), False),
    ],
)
def test_what_memory_that_ran_out_looks_like(error: Exception, runs_out: bool) -> None:
    assert is_out_of_memory(error) is runs_out


def test_a_batch_that_runs_out_is_done_in_parts(
    where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory for 2 pictures at most: 4 do not go, 2 and 2 do."""
    from pipeline.slot import loop

    sizes: list[int] = []
    real = loop.optimize

    def optimize(network, jobs, *given, **more):  # type: ignore[no-untyped-def]
        sizes.append(len(jobs))
        if len(jobs) > 2:
            raise torch.OutOfMemoryError("injected")
        yield from real(network, jobs, *given, **more)

    monkeypatch.setattr(loop, "optimize", optimize)
    report = run_batch(where.context, 0, where.batch, where.process)
    assert [outcome.status for outcome in report.outcomes] == ["done"] * 4
    assert sizes == [4, 2, 2] and report.fits == 2


def test_one_job_that_never_fits_fails_with_the_reason(
    where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    def optimize(*given, **more):  # type: ignore[no-untyped-def]
        raise MemoryError
        yield

    monkeypatch.setattr("pipeline.slot.loop.optimize", optimize)
    report = run_batch(where.context, 0, where.batch, where.process)
    assert [outcome.status for outcome in report.outcomes] == ["failed"] * 4
    assert "too little memory for one picture" in (report.outcomes[0].error or "")


def test_another_error_of_the_runtime_is_not_taken_for_memory(
    where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    def optimize(*given, **more):  # type: ignore[no-untyped-def]
        raise RuntimeError("an illegal memory access was encountered")
        yield

    monkeypatch.setattr("pipeline.slot.loop.optimize", optimize)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        run_batch(where.context, 0, where.batch, where.process)


def test_what_fits_one_network_is_not_what_fits_another(
    where: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.slot.fitting.SMALLEST_TILE", 16)
    fitting, other = where.fitting(), where.fitting()
    own = write_teacher(tmp_path / "own.safetensors")
    other.network = Backbone(load_weights("lite", own), LAYERS)
    fitting.shrink(4), fitting.shrink(1)
    assert fitting.together(4, never) == 2 and other.together(4, never) == 4
    scale = where.batch.scales[-1]
    assert fitting.tile(scale) == 32 and other.tile(scale) == 0


class Card:
    """Memory of a GPU as it becomes free: what each look finds, and what there is at all."""

    def __init__(self, where: Where, free: list[float], whole: float) -> None:
        each = step_bytes(where.network, where.batch.scales[-1].pixels)
        self.looks, self.free, self.whole = 0, free, whole

        def budget(device: str, slots: int, *, whole: bool = False) -> float:
            if whole:
                return self.whole * each
            self.looks += 1
            return self.free[min(self.looks, len(self.free)) - 1] * each

        self.fitting = where.fitting("cuda:0")
        where.monkeypatch.setattr("pipeline.slot.seat.budget", budget)
        where.monkeypatch.setattr("pipeline.slot.fitting._LOOKS_S", 0.0)


def test_memory_that_others_hold_is_waited_for(where: Where) -> None:
    card = Card(where, [0.01, 0.01, 5], 10)
    assert card.fitting.tile(where.batch.scales[-1]) == 0 and card.looks == 3


def test_a_device_that_stays_full_is_to_blame(
    where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.slot.fitting._WAITS_S", 0.02)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    card = Card(where, [0.01], 10)
    for what in (
        lambda: card.fitting.tile(where.batch.scales[-1]),
        lambda: card.fitting.target_tile(where.network, 64, 64),
        lambda: card.fitting.shrink(1),
    ):
        with pytest.raises(DeviceFullError, match="hold the memory of cuda:0: what is left"):
            what()
    assert card.looks > 2


def test_a_picture_that_is_too_large_for_the_whole_device_is_not_waited_for(where: Where) -> None:
    card = Card(where, [0.01], 0.02)
    with pytest.raises(WorkerError, match="too little memory") as caught:
        card.fitting.tile(where.batch.scales[-1])
    assert not isinstance(caught.value, DeviceFullError) and card.looks == 1


def test_a_run_that_is_to_stop_waits_for_no_memory(where: Where) -> None:
    where.store.live.ask_to_stop()
    with pytest.raises(Stopped):
        Card(where, [0.01], 10).fitting.tile(where.batch.scales[-1])


@pytest.mark.parametrize("name", ["target_tile", "together", "shrink"])
def test_a_full_device_fails_no_job(
    where: Where, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The scheduler gives the batch to another slot."""

    def full(*given: object) -> int:
        raise DeviceFullError("full")

    def runs_out(*given: object, **more: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Fitting, name, full)
    if name == "shrink":
        monkeypatch.setattr("pipeline.slot.loop.optimize", runs_out)
    with pytest.raises(DeviceFullError, match="full"):
        run_batch(where.context, 0, where.batch, where.process)


@pytest.mark.parametrize(("device", "error"), [("cuda:0", DeviceFullError), ("cpu", MemoryError)])
def test_memory_that_runs_out_beside_the_steps_is_a_gpus_fault(
    where: Where, device: str, error: type[Exception]
) -> None:
    seat = Seat(where.context, where.process, "0", device, device)
    with pytest.raises(error), memory_of(seat):
        raise MemoryError
    with pytest.raises(RuntimeError, match="of its own"), memory_of(seat):
        raise RuntimeError("an error of its own")
