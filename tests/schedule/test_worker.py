"""A worker process, as its driver has it."""

import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import pytest
from fake_work import SLOW, fake_work
from joblib.externals.loky import process_executor
from worlds import World, until

from pipeline.plan import Batch
from pipeline.schedule import worker
from pipeline.schedule.engine import Guarded
from pipeline.schedule.serving import Begun, Finished, Give
from pipeline.schedule.worker import News, Worker
from pipeline.slot import Report, RunContext, work_batch
from pipeline.store import RunFolder

NO_PIPE = cast(Connection, None)


@pytest.fixture(autouse=True)
def _no_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_pipes", [])


def test_a_worker_settles_on_its_device_while_batches_are_packed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settled: list[str] = []

    class Pipe:
        def close(self) -> None:
            settled.append("closed")

    context = RunContext(tmp_path, tmp_path, "lite", None, None, slots=("cpu", "cuda:3"))
    monkeypatch.setattr("pipeline.slot.process.settle", settled.append)
    monkeypatch.setattr(worker, "serve", lambda *given: settled.append("serves"))
    for work in (work_batch, fake_work):  # the latter knows no devices
        worker._pipes.append(cast(Any, Pipe()))
        worker._serve_slot(work, context, 1)
    assert settled == ["cuda:0", "serves", "closed", "serves", "closed"]


def test_what_is_read_ahead_is_read_as_the_run_would(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where two batches wait before the first one begins."""
    told, looked = list[str](), threading.Event()
    context = RunContext(tmp_path, tmp_path, "lite", None, None, slots=("cpu",))

    def look(context: RunContext, slot: int, batches: Sequence[Batch]) -> None:
        told.append("looks ahead")
        looked.set()

    def runs(*given: Any) -> Guarded:
        assert looked.wait(20)
        return Guarded(Report((), "", "", {}, 0.0))

    monkeypatch.setattr("pipeline.slot.process.settle", lambda device: None)
    monkeypatch.setattr(RunContext, "enter", lambda self: told.append("entered"))
    monkeypatch.setattr(worker, "look_ahead", look)
    monkeypatch.setattr(worker, "begun", runs)
    ours, theirs = multiprocessing.Pipe()
    for number in range(2):
        ours.send(Give(number, Batch(number, (), ())))
    worker._pipes.append(theirs)
    serving = threading.Thread(target=worker._serve_slot, args=(work_batch, context, 0))
    serving.start()
    heard = [ours.recv() for _ in range(4) if ours.poll(20)]
    ours.close()
    serving.join(20)
    assert len(heard) == 4 and not serving.is_alive()
    assert told == ["entered", "looks ahead"]


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
    worker._begin_worker(7, NO_PIPE)
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
    lives = worker._watch(driver.pid)
    assert lives()
    driver.kill()
    driver.communicate()
    assert not lives() and not worker._watch(driver.pid)()


def test_windows_own_signal_is_left_to_the_driver_too(monkeypatch: pytest.MonkeyPatch) -> None:
    ignored: list[int] = []
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    monkeypatch.setattr(signal, "signal", lambda number, handler: ignored.append(number))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    worker._begin_worker(7, NO_PIPE)
    assert ignored == [signal.SIGINT, signal.SIGTERM, 21]


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError, OSError])
def test_a_process_that_has_ended_is_not_killed_again(
    error: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def kill(pid: int, number: int) -> None:
        asked.append(pid)
        raise error  # the latter two on Windows

    ended = object.__new__(Worker)
    monkeypatch.setattr(Worker, "pids", lambda self: [7])
    monkeypatch.setattr(os, "kill", kill)
    ended.kill()
    assert asked == [7]


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
        (None, "its worker process died"),
    ],
)
def test_why_a_process_died_is_said(error: Exception | None, lost: str) -> None:
    ended = object.__new__(Worker)
    ended._serving = Future()
    ended._serving.set_exception(error) if error else ended._serving.set_result(None)
    assert ended._cause() == lost


def test_a_call_that_loky_gave_up_is_a_death_too() -> None:
    ended = object.__new__(Worker)
    ended._serving = Future()
    ended._serving.cancel()
    assert ended._cause() == "its worker process died"


def hangs(context: RunContext, slot: int | None, batch: Batch) -> Report:
    os.kill(os.getpid(), signal.SIGSTOP)
    return Report((), "", "", {}, 0.0)


def test_whoever_hands_over_does_not_wait_for_a_process_that_hangs(
    world: Callable[[list[int]], World],
) -> None:
    """Nor whoever ends it; what it does not take is far more than a pipe holds."""
    here = world([1])
    here.store.begin("", {})
    heard: queue.SimpleQueue[News] = queue.SimpleQueue()
    hanging = Worker(hangs, here.context(), 0, lambda worker, news: heard.put(news))
    try:
        hanging.say(Give(0, Batch(0, (), ())))
        assert heard.get(timeout=60) == Begun(0)
        jobs = tuple(here.plan.jobs()) * 100_000
        began = time.monotonic()
        for ticket in range(1, 9):
            hanging.say(Give(ticket, Batch(0, jobs, ())))
    finally:
        hanging.close()
    assert time.monotonic() - began < 10 and heard.empty()


def tells(context: RunContext, slot: int | None, batch: Batch) -> Report:
    """What its process began with, and whether torch was loaded by then."""
    return Report((), os.environ.get("CUBLAS_WORKSPACE_CONFIG", ""), str("torch" in sys.modules),
                  {}, 0.0)  # fmt: skip


@pytest.mark.parametrize("wanted", [False, True])
def test_a_worker_of_a_deterministic_run_begins_as_cublas_wants_it(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    here = world([1])
    here.store.begin("", {})
    context = replace(here.context(), slots=("cuda:0",), deterministic=wanted)
    heard: queue.SimpleQueue[News] = queue.SimpleQueue()
    telling = Worker(tells, context, 0, lambda worker, news: heard.put(news))
    try:
        telling.say(Give(0, Batch(0, (), ())))
        assert heard.get(timeout=60) == Begun(0)
        ended = heard.get(timeout=60)
        assert isinstance(ended, Finished) and ended.found.report is not None
        told = ended.found.report
        assert (told.slot, told.device) == (":4096:8" if wanted else "", "False")
    finally:
        telling.close()


def test_what_a_killed_run_leaves_is_removed_without_a_warning() -> None:
    """Loky's tracker outlives the run and removes its semaphores."""
    code = (
        "import os\n"
        "from joblib.externals.loky.backend import get_context\n"
        "from pipeline.schedule import worker\n"
        "before = dict(os.environ)\n"
        "worker.begin_tracker()\n"
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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux")
def test_a_worker_hears_no_interrupt_from_its_first_moment(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal's Ctrl-C goes to all processes; one that is loading would end with a trace."""
    monkeypatch.setattr(worker, "_begin_worker", _leave_signals)
    begun = Worker(fake_work, world([1]).context(), 0, lambda who, news: None)
    try:
        (pid,) = begun.pids()
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        masks = dict(line.split(":\t") for line in lines if line.startswith("SigBlk"))
        assert int(masks["SigBlk"], 16) & 1 << (signal.SIGINT - 1)
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        begun.close()


def _leave_signals(parent: int, pipe: Connection) -> None:
    """In place of a worker's own beginning."""
