"""Processes of this machine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from fake_work import SLOW, fake_work, telling_work
from joblib.externals.loky import process_executor
from PIL import Image
from worlds import World, until

from pipeline.commands import Options, batch_manifest
from pipeline.method import Scale
from pipeline.plan import Batch
from pipeline.schedule import Patience, Progress, RunOptions, local, run_plan
from pipeline.schedule.engine import Ended
from pipeline.schedule.feed import Feed
from pipeline.schedule.local import LocalEngine
from pipeline.slot import Report, RunContext, breaks_device, work_batch
from pipeline.store import RunFolder, RunLock, SlotState


def test_two_processes_make_the_same_pictures_as_one(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    picture("c.png", 1)
    picture("s.png", 2)
    text = (
        "output: {}\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
        "settings: {{size: 48, steps: 3, scale_start: 0}}\ngrid: {{seed: [0, 1, 2, 3]}}\n"
    )
    for name, options in (
        ("one", Options("cpu", run=RunOptions(engine="inline"))),
        ("two", Options("cpu,cpu")),
    ):
        (tmp_path / "m.yaml").write_text(text.format(name))
        assert batch_manifest(tmp_path / "m.yaml", options, quiet=True) == 0
    for path in sorted((tmp_path / "one/images").glob("*.png")):
        pair = [np.asarray(Image.open(tmp_path / n / "images" / path.name)) for n in ("one", "two")]
        assert np.abs(pair[0].astype(int) - pair[1].astype(int)).max() <= 1


def test_each_gpus_worker_sees_its_own_alone(
    tmp_path: Path, world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa,GPU-bb")
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:64")
    here = world([0, 1, 2, 3])
    context = replace(here.context(), slots=("cuda:1", "cuda:0", "cpu"))
    monkeypatch.setattr("pipeline.schedule.slots.batch_limit", lambda *asked: 1)
    with RunLock(here.store):
        here.store.begin("", {})
        summary = run_plan(here.plan, context, Progress(), RunOptions(), telling_work)
    assert summary.done == 4 and summary.devices == ["cuda:1", "cuda:0", "cpu"]
    seen = {path.stem: json.loads(path.read_text()) for path in context.run.glob("seen-*.json")}
    own = {"seen-0": ("cuda:1", "GPU-bb"), "seen-1": ("cuda:0", "GPU-aa")}
    assert seen
    for slot, found in seen.items():
        label, gpu = own.get(slot, ("cpu", "GPU-aa,GPU-bb"))
        assert (found["label"], found["CUDA_VISIBLE_DEVICES"]) == (label, gpu)
        assert found["device"] == ("cpu" if label == "cpu" else "cuda:0")
        assert found["PYTORCH_CUDA_ALLOC_CONF"] == "max_split_size_mb:64"


def test_each_slot_takes_what_its_device_holds_of_a_batch(
    world: Callable[[list[int]], World],
) -> None:
    """Packed for the GPU; the CPU's slot takes a part, and the rest is for whoever comes next."""
    here = world(list(range(40)))
    jobs = tuple(here.plan.jobs())
    engine = LocalEngine(replace(here.context(), slots=("cuda:0", "cpu")), slow_work)
    here.store.begin("", {})
    taken: dict[str, list[int]] = {"0": [], "1": []}
    for ended in engine.run(Feed(iter([Batch(0, jobs[:20], SCALES), Batch(1, jobs[20:], SCALES)]))):
        assert ended.report is not None and len(ended.report.outcomes) == len(ended.batch.jobs)
        taken[ended.report.slot].append(len(ended.batch.jobs))
    assert sum(map(sum, taken.values())) == 40
    assert max(taken["0"]) > 6 and taken["1"] and max(taken["1"]) == 6


SCALES = (Scale(256, 256, 1.0, 1, 1.0),)


def slow_work(context: RunContext, slot: int | None, batch: Batch) -> Report:
    time.sleep(1.0)  # so that both slots have begun
    return fake_work(context, slot, batch)


def test_a_worker_settles_on_its_device_while_batches_are_packed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settled: list[str] = []
    monkeypatch.setattr("pipeline.slot.process.settle", settled.append)
    local._warm_up(work_batch, "cuda:3")
    local._warm_up(fake_work, "cuda:3")  # which knows no devices
    assert settled == ["cuda:0"]


def test_workers_end_when_their_driver_is_killed(
    tmp_path: Path, world: Callable[[list[int]], World]
) -> None:
    world([SLOW])  # its pictures
    code = f"import pathlib, worlds; worlds.World(pathlib.Path({str(tmp_path)!r}), [{SLOW}]).run()"
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root), str(root / "tests")])
    driver = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    live = RunFolder(tmp_path / "run").live
    until(lambda: live.slot("0") is not None)
    state = live.slot("0")
    assert state is not None and state.pid != driver.pid
    driver.kill()
    driver.wait()
    until(lambda: not is_alive(state.pid))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_leaves_signals_to_its_driver_and_ends_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ignored: list[int] = []
    ended, codes = threading.Event(), list[int]()
    monkeypatch.setattr(process_executor, "_MAX_MEMORY_LEAK_SIZE", 1)
    monkeypatch.setattr(signal, "signal", lambda number, handler: ignored.append(number))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    parents = iter([7, 7, 1])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(os, "_exit", lambda code: (codes.append(code), ended.set()))
    local._begin_worker(7)
    assert ended.wait(10) and codes == [1]
    assert ignored == [signal.SIGINT, signal.SIGTERM]
    assert sys.maxsize == process_executor._MAX_MEMORY_LEAK_SIZE


def test_on_windows_too_a_worker_notices_that_its_driver_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There a process goes on naming its parent, whatever became of it."""
    driver = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(os, "getppid", lambda: driver.pid)
    lives = local._watch(driver.pid)
    assert lives()
    driver.kill()
    driver.communicate()
    assert not lives() and not local._watch(driver.pid)()


def test_windows_own_signal_is_left_to_the_driver_too(monkeypatch: pytest.MonkeyPatch) -> None:
    ignored: list[int] = []
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    monkeypatch.setattr(signal, "signal", lambda number, handler: ignored.append(number))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    local._begin_worker(7)
    assert ignored == [signal.SIGINT, signal.SIGTERM, 21]


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError, OSError])
def test_a_process_that_has_ended_is_not_killed_again(
    error: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(pid: int, number: int) -> None:
        raise error  # the latter two on Windows

    slot = local._Slot(0, "cpu")
    monkeypatch.setattr(local._Slot, "pids", lambda slot: [7])
    monkeypatch.setattr(os, "kill", kill)
    slot.kill("stopped")
    assert slot.killed == "stopped"


# --- one slot -------------------------------------------------------------------------------------


class Clock:
    """This process's clock, as a test sets it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(local, "monotonic", found)
    return found


@pytest.fixture
def engine(world: Callable[[list[int]], World], clock: Clock) -> local.LocalEngine:
    """An engine whose slot has had a batch for 100 s, and no process."""
    here = world([1])
    here.store.begin("", {})
    engine = local.LocalEngine(here.context(), fake_work, Patience(batch_s=50, stall_s=20))
    slot = engine.slots[0]
    slot.batch, slot.future, slot.began = Batch(0, (), ()), Future(), clock.now
    clock.now += 100
    return engine


def tell(engine: local.LocalEngine, step: int, wall_clock: float = 0.0) -> None:
    """The slot's worker gets somewhere, and says so with its own idea of the time."""
    engine.context.store.live.write_slot(SlotState(slot="0", time=wall_clock, pid=1, step=step))


def test_a_worker_may_take_its_time_to_start_but_not_for_ever(
    engine: local.LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine._check_patience()
    assert engine.slots[0].killed == ""
    monkeypatch.setattr(local, "_START_S", 99.0)
    engine._check_patience()
    assert engine.slots[0].killed == "the worker did not start within 99 s"


def test_what_a_killed_run_leaves_is_removed_without_a_warning() -> None:
    """Loky's tracker outlives the run and removes its semaphores."""
    code = (
        "import os\n"
        "from joblib.externals.loky.backend import get_context\n"
        "from pipeline.schedule import local\n"
        "before = dict(os.environ)\n"
        "local._begin_tracker()\n"
        "assert os.environ == before\n"
        "lock = get_context('loky').Lock()\n"
        "os._exit(9)\n"
    )
    for given in ({}, {"PYTHONWARNINGS": "default"}):
        environment = {**os.environ, **given}
        ended = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, check=False
        )  # returns when the tracker has ended, too, which holds the pipe
        assert ended.returncode == 9 and ended.stderr == b""


def test_a_worker_that_is_still_starting_is_ended_when_the_run_is_to_stop(
    engine: local.LocalEngine,
) -> None:
    """It would hear of it only once it has loaded torch; one that is at work stops by itself."""
    engine.context.store.live.ask_to_stop()
    tell(engine, 1)
    engine._check_patience()
    assert engine.slots[0].killed == ""
    engine.slots[0].heard = 0.0
    engine._check_patience()
    assert engine.slots[0].killed == "stopped"


def test_what_the_batch_before_said_is_no_news(
    engine: local.LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(engine, 7)
    monkeypatch.setattr(local._Slot, "start", lambda slot, work: None)
    slot = engine.slots[0]
    slot.executor = cast(Any, NoExecutor())
    slot.submit(fake_work, engine.context, Batch(1, (), ()), None)
    slot.future = Future()
    engine._check_patience()
    assert slot.started == 0.0
    tell(engine, 1)
    engine._check_patience()
    assert slot.started > 0.0


class NoExecutor:
    """Takes work and does none."""

    _processes: dict[int, object] = {}  # noqa: RUF012

    def submit(self, *work: object) -> None:
        """Nothing."""


def test_a_batch_is_ended_when_its_worker_got_nowhere_or_its_time_is_over(
    engine: local.LocalEngine, clock: Clock
) -> None:
    slot = engine.slots[0]
    tell(engine, 1)
    engine._check_patience()
    clock.now += 19
    engine._check_patience()
    assert slot.killed == "" and slot.started == clock.now - 19
    clock.now += 2
    engine._check_patience()
    assert slot.killed == "the worker got nowhere for 20 s (--stall)"
    slot.killed = ""
    clock.now += 30
    tell(engine, 2)
    engine._check_patience()
    assert slot.killed == "the batch took more than the 50 s of --timeout"


@pytest.mark.parametrize("step", [7200.0, -86_400.0])
def test_clocks_that_are_set_change_nothing(
    engine: local.LocalEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """A laptop wakes, a server corrects the time: neither kills a worker nor hides a hung one."""
    real = time.time()
    tell(engine, 1, real)
    engine._check_patience()
    monkeypatch.setattr(time, "time", lambda: real + step)
    clock.now += 10
    engine._check_patience()
    assert engine.slots[0].killed == ""
    clock.now += 11
    engine._check_patience()
    assert engine.slots[0].killed == "the worker got nowhere for 20 s (--stall)"


def test_without_limits_a_worker_is_never_ended(engine: local.LocalEngine, clock: Clock) -> None:
    engine.patience = Patience(batch_s=0, stall_s=0)
    clock.now += 10_000
    engine._check_patience()
    tell(engine, 1)
    engine._check_patience()
    clock.now += 9_000
    engine._check_patience()
    assert engine.slots[0].killed == ""


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (OSError("no pipe"), "OSError: no pipe"),
        (
            process_executor.TerminatedWorkerError(
                "... The exit codes of the workers are {SIGKILL(-9)}"
            ),
            "its worker process died with SIGKILL(-9), as when memory runs out",
        ),
        (
            process_executor.TerminatedWorkerError("The exit codes of the workers are {EXIT(1)}"),
            "its worker process died with EXIT(1)",
        ),
        (process_executor.BrokenProcessPool("broken"), "its worker process died"),
    ],
)
def test_why_a_batch_was_lost_is_said(engine: local.LocalEngine, error: Any, lost: str) -> None:
    slot = engine.slots[0]
    batch, future = slot.batch, slot.future
    assert batch is not None and future is not None
    future.set_exception(error)
    assert engine._end(slot) == Ended(batch, None, lost)
    assert slot.future is None and slot.batch is None


def test_a_worker_that_was_ended_is_lost_for_that_reason(engine: local.LocalEngine) -> None:
    slot = engine.slots[0]
    assert slot.future is not None
    slot.kill("too slow")
    slot.future.set_exception(process_executor.BrokenProcessPool("broken"))
    assert engine._end(slot).lost == "too slow"


# --- broken devices -------------------------------------------------------------------------------

_BROKE = "CUDA error: an illegal memory access was encountered"


def breaks_in_slot_1(context: RunContext, slot: int | None, batch: Batch) -> Report:
    if slot == 1:
        raise RuntimeError(_BROKE)
    if batch.jobs[0].settings.seed > 8:  # slot 1 has had its three by then
        until(lambda: context.store.log.read_text().count("trying again") >= 3)
    return fake_work(context, slot, batch)


def breaks_over_seed_5(context: RunContext, slot: int | None, batch: Batch) -> Report:
    if any(job.settings.seed == 5 for job in batch.jobs):
        raise RuntimeError(_BROKE)
    return fake_work(context, slot, batch)


def test_a_sick_device_costs_no_job_and_gets_no_more_of_them(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.schedule.run.limit_of", lambda slots: lambda w, h: 1)
    here = world(list(range(12)))
    summary = here.run(slots=2, work=breaks_in_slot_1)
    assert (summary.done, summary.failed, summary.problem) == (12, 0, "")
    (said,) = summary.retired
    assert said.startswith("slot 1 (cpu) gets no batch any more, after 3 in a row")
    assert _BROKE in said
    assert here.store.log.read_text().count("lost: RuntimeError: CUDA error") == 3
    pids = {(record.model_extra or {})["pid"] for record in here.done().values()}
    assert len(pids) == 1  # of slot 0 alone


def test_a_job_that_breaks_every_device_is_the_one_to_blame(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.schedule.run.limit_of", lambda slots: lambda w, h: 1)
    summary = world(list(range(10))).run(slots=2, work=breaks_over_seed_5, retries=0)
    assert (summary.done, summary.failed, summary.retired) == (9, 1, [])
    assert _BROKE in summary.failures[0]["error"]


def test_without_a_slot_that_works_the_run_ends_with_the_reason(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.schedule.run.limit_of", lambda slots: lambda w, h: 1)
    monkeypatch.setattr(local, "_MOST_BROKEN", 1)
    here = world([1, 2, 3])

    def one_slot(self: LocalEngine) -> list[Any]:
        return [slot for slot in self.slots[1:] if not slot.retired]

    monkeypatch.setattr(LocalEngine, "_serving", one_slot)
    summary = here.run(slots=2, work=breaks_in_slot_1)
    assert summary.problem.startswith("no slot is left; the last: slot 1 (cpu)")
    assert summary.exit_code == 1 and summary.done == 0 and len(summary.retired) == 1


@pytest.mark.parametrize(
    ("words", "breaks"),
    [
        (_BROKE, True),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", True),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm", True),
        ("CUDA error: device-side assert triggered", True),
        ("CUDA out of memory. Tried to allocate 2 GiB", False),
        ("CUDA error: out of memory", False),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate", False),
        ("shape mismatch", False),
    ],
)
def test_errors_that_break_a_device_are_known_by_their_words(words: str, breaks: bool) -> None:
    assert breaks_device(RuntimeError(words)) is breaks
