"""Processes of this machine."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from fake_work import HANGS, KILLED, fake_work, telling_work
from PIL import Image
from worlds import World, until

from pipeline.commands import Options, batch_manifest
from pipeline.errors import DiskFullError
from pipeline.method import Scale
from pipeline.plan import Batch
from pipeline.schedule import Patience, Progress, RunOptions, local, run_plan
from pipeline.schedule.engine import Ended
from pipeline.schedule.feed import Feed
from pipeline.schedule.local import LocalEngine
from pipeline.schedule.serving import Give, TakeBack
from pipeline.schedule.worker import Died, Worker
from pipeline.slot import Report, RunContext, breaks_device, failed
from pipeline.store import RunLock, SlotState
from pipeline.store.live import Live


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


# --- two batches a slot ---------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each job is a batch."""
    monkeypatch.setattr("pipeline.schedule.run.limit_of", lambda slots: lambda w, h: 1)


def is_there(context: RunContext, seed: int) -> bool:
    return any(context.run.glob(f"images/**/*seed-{seed}.json"))


def helped_work(context: RunContext, slot: int | None, batch: Batch) -> Report:
    """The first job ends when all others have."""
    if batch.jobs[0].settings.seed == 0:
        until(lambda: all(is_there(context, seed) for seed in (1, 2, 3)))
    return fake_work(context, slot, batch)


def test_what_waits_behind_a_long_batch_goes_to_a_slot_that_has_none(
    world: Callable[[list[int]], World], alone: None
) -> None:
    summary = world([0, 1, 2, 3]).run(slots=2, work=helped_work)
    assert (summary.done, summary.failed, summary.retries) == (4, 0, 0)


def stopped_work(context: RunContext, slot: int | None, batch: Batch) -> Report:
    """The first job ends a while after the run was asked to stop."""
    if batch.jobs[0].settings.seed == 0:
        context.store.live.write_slot(SlotState(slot=str(slot), time=time.time(), pid=os.getpid()))
        until(lambda: "SIGINT: stopping" in context.store.log.read_text())
        time.sleep(1.5)
    return fake_work(context, slot, batch)


def test_what_waits_is_taken_back_when_the_run_is_to_stop(
    world: Callable[[list[int]], World], alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the disk is full, so that workers do not hear of it."""

    def full(live: Live) -> None:
        raise DiskFullError("no space left")

    monkeypatch.setattr(Live, "ask_to_stop", full)
    here = world([0, 1, 2])
    here.when_busy(lambda: os.kill(os.getpid(), signal.SIGINT))
    summary = here.run(work=stopped_work)
    assert (summary.stopped, summary.done, summary.failed) == (True, 1, 0)
    assert set(here.done()) == {0}


@pytest.mark.parametrize(
    ("bad", "patience"), [(KILLED, Patience()), (HANGS, Patience(batch_s=1.0))]
)
def test_a_worker_that_dies_costs_what_waits_in_it_nothing(
    world: Callable[[list[int]], World], alone: None, bad: int, patience: Patience
) -> None:
    here = world([bad, 1, 2])
    summary = here.run(retries=1, patience=patience)
    assert (summary.done, summary.failed) == (2, 1)
    lost = [line for line in here.store.log.read_text().splitlines() if "trying again" in line]
    assert lost and all(f"seed-{bad}" in line for line in lost)
    assert {record.attempts for record in here.done().values()} == {1}


def writing_work(context: RunContext, slot: int | None, batch: Batch) -> Any:
    """Writes behind the next batch; of seed 1 the picture alone, once, then the process dies; the
    disk is full at seed 5, an error of its own comes up once at seed 7."""
    (job,) = batch.jobs
    seed, mark = job.settings.seed, context.run / f"tried-{job.settings.seed}"
    (context.run / f"begun-{seed}").touch()

    def write() -> Report:
        if seed in (1, 5, 7):
            until((context.run / f"begun-{seed + 1}").exists)
        if seed == 5:
            return Report((failed(job, DiskFullError("no space left")),), "0", "fake", {}, 0.0)
        if seed in (1, 7) and not mark.exists():
            mark.touch()
            if seed == 7:
                raise RuntimeError("no such codec")
            context.store.write(context.store.image_path(job.name, job.settings), b"fake")
            os.kill(os.getpid(), signal.SIGKILL)
        return fake_work(context, slot, batch)

    return write


def test_files_are_written_behind_the_next_batch_and_a_death_between_leaves_a_job_undone(
    world: Callable[[list[int]], World], alone: None
) -> None:
    here = world([0, 1, 2, 3])
    summary = here.run(work=writing_work)
    assert (summary.done, summary.failed) == (4, 0)
    assert set(here.done()) == {0, 1, 2, 3}
    lost = [line for line in here.store.log.read_text().splitlines() if "trying again" in line]
    assert any("seed-1" in line for line in lost) and all("SIGKILL" in line for line in lost)


def test_an_error_while_writing_behind_is_that_of_its_own_jobs(
    world: Callable[[list[int]], World], alone: None
) -> None:
    here = world([7, 8, 9])
    summary = here.run(work=writing_work)
    assert (summary.done, summary.failed, summary.retries) == (3, 0, 1)
    said = here.store.log.read_text()
    assert "RuntimeError: no such codec; trying again: " in said and "seed-7" in said


def test_a_disk_that_is_full_while_writing_behind_ends_the_run(
    world: Callable[[list[int]], World], alone: None
) -> None:
    here = world([5, 6, *range(10, 40)])
    summary = here.run(work=writing_work)
    assert (summary.problem, summary.failed) == ("no space left", 0)
    (left,) = (line for line in here.store.log.read_text().splitlines() if "left to do" in line)
    assert summary.done < 20 and "seed-5" in left


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
    slot.worker = cast(Worker, NoWorker())
    slot.hand(0, Batch(0, (), ()), None)
    clock.now += 100
    return engine


class NoWorker:
    """Is told things and does none."""

    def __init__(self) -> None:
        self.told: list[Give | TakeBack] = []

    def say(self, said: Give | TakeBack) -> None:
        self.told.append(said)

    def kill(self) -> None:
        """It has ended."""

    def close(self) -> None:
        """It has ended."""


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


def test_what_the_batch_before_said_is_no_news(engine: local.LocalEngine) -> None:
    tell(engine, 7)
    slot = engine.slots[0]
    slot.take(0)
    slot.hand(1, Batch(1, (), ()), engine._news_of(slot))
    engine._check_patience()
    assert slot.started == 0.0
    tell(engine, 1)
    engine._check_patience()
    assert slot.started > 0.0


def test_a_batch_that_waited_has_all_its_time(engine: local.LocalEngine, clock: Clock) -> None:
    slot = engine.slots[0]
    slot.hand(1, Batch(1, (), ()), None)
    slot.begin(0, None)
    clock.now += 45
    slot.begin(1, None)
    clock.now += 15
    engine._check_patience()
    assert slot.killed == ""
    clock.now += 10
    engine._check_patience()
    assert slot.killed == "the worker got nowhere for 20 s (--stall)"


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


def bury(engine: local.LocalEngine, feed: Feed) -> list[Ended]:
    """What becomes of the first slot's batches when its process dies."""
    return list(engine._bury(engine.slots[0], feed, Died("it died")))


def test_a_worker_that_was_ended_is_lost_for_that_reason(engine: local.LocalEngine) -> None:
    engine.slots[0].begin(0, None)
    engine.slots[0].kill("too slow")
    engine.slots[0].begin(0, None)  # said before, heard after
    assert [ended.lost for ended in bury(engine, Feed(iter(())))] == ["too slow"]
    assert engine.slots[0].killed == "" and engine.slots[0].given == []


@pytest.mark.parametrize(
    ("begun", "lost", "together"),
    [(0, [0], False), (1, [0], False), (2, [0, 1], True)],
)
def test_what_a_dead_worker_had_not_begun_is_not_to_blame(
    engine: local.LocalEngine, begun: int, lost: list[int], together: bool
) -> None:
    """But for the first batch of a process that cannot even start: it would be given for ever."""
    slot, feed = engine.slots[0], Feed(iter(()))
    slot.hand(1, Batch(1, (), ()), None)
    for ticket in range(begun):
        slot.begin(ticket, None)
    ended = bury(engine, feed)
    assert [each.batch.number for each in ended] == lost
    assert [each.together for each in ended] == [together] * len(lost)
    left = feed.next()
    assert (left and left.number) == (None if together else 1)


def test_a_process_that_dies_between_two_batches_costs_none(engine: local.LocalEngine) -> None:
    slot, feed = engine.slots[0], Feed(iter(()))
    slot.begin(0, None)
    slot.take(0)
    slot.hand(1, Batch(1, (), ()), None)
    assert bury(engine, feed) == []
    left = feed.next()
    assert left is not None and (left.number, left.attempts) == (1, 0)


def test_what_is_to_be_run_alone_keeps_no_slot_from_a_second_batch(
    engine: local.LocalEngine,
) -> None:
    slot, asked = engine.slots[0], list[int]()

    def claim(batch: Batch) -> Batch:
        asked.append(batch.number)
        return batch

    feed = Feed(iter([Batch(2, (), SCALES)]), claim)
    feed.put_first([Batch(1, (), SCALES, alone=True)])
    for _ in range(3):
        engine._hand_out(feed)
    assert [given.batch.number for given in slot.given] == [0, 2] and asked == [2]
    slot.given.clear()
    engine._hand_out(feed)
    assert [given.batch.number for given in slot.given] == [1] and asked == [2, 1]


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


@pytest.mark.parametrize(
    ("retries", "size", "tried"), [(0, 1, "2 times"), (2, 1, "3 times"), (2, 5, "")]
)
def test_a_job_that_breaks_every_device_is_the_one_to_blame(
    world: Callable[[list[int]], World],
    monkeypatch: pytest.MonkeyPatch,
    retries: int,
    size: int,
    tried: str,
) -> None:
    monkeypatch.setattr("pipeline.schedule.run.limit_of", lambda slots: lambda w, h: size)
    monkeypatch.setattr(
        "pipeline.schedule.blame._MOST_BROKEN", 3 if size == 1 else 100
    )  # it is about the job
    summary = world(list(range(10))).run(slots=2, work=breaks_over_seed_5, retries=retries)
    assert (summary.done, summary.failed, summary.retired) == (9, 1, [])
    assert (summary.problem, summary.exit_code) == ("", 1)
    assert _BROKE in summary.failures[0]["error"] and tried in summary.failures[0]["error"]


def test_without_a_slot_that_works_the_run_ends_with_the_reason(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.schedule.run.limit_of", lambda slots: lambda w, h: 1)
    monkeypatch.setattr("pipeline.schedule.blame._MOST_BROKEN", 1)
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
        ("CUDA driver error: unknown error", True),
        ("CUDA unknown error - this may be due to an incorrectly set up environment", True),
        ("No CUDA GPUs are available", True),
        ("Found no NVIDIA driver on your system.", True),
        ("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED", False),
        ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", False),
        ("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", False),
        ("CUDA out of memory. Tried to allocate 2 GiB", False),
        ("CUDA error: out of memory", False),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate", False),
        ("shape mismatch", False),
    ],
)
def test_errors_that_break_a_device_are_known_by_their_words(words: str, breaks: bool) -> None:
    assert breaks_device(RuntimeError(words)) is breaks
