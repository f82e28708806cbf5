"""Slots, lost workers, retries, stopping and shards, with real processes and fake batches."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_work import FAILS, HANGS, KILLED, KILLED_ONCE, RAISES, SLOW, fake_work
from PIL import Image

from pipeline.commands import Options, batch_manifest
from pipeline.errors import DeviceError, RunFolderError
from pipeline.manifest import load_manifest
from pipeline.plan import Batch, Job, Plan, pack
from pipeline.schedule import (
    Patience,
    Progress,
    RunOptions,
    Summary,
    available_cores,
    find_slots,
    run_plan,
    share_cpu,
    threads_per_slot,
)
from pipeline.schedule.feed import Feed
from pipeline.slot import RunContext
from pipeline.store import RunFolder, RunLock


class World:
    """A manifest whose grid is a list of seeds, run with fake batches."""

    def __init__(self, folder: Path, seeds: list[int]) -> None:
        (folder / "m.yaml").write_text(
            "output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
            f"settings: {{size: 64}}\ngrid: {{seed: {seeds}}}\n"
        )
        manifest = load_manifest(folder / "m.yaml")
        self.plan = Plan(manifest, lambda settings: "digest", 1)
        self.store = RunFolder(folder / "run")

    def run(self, slots: int = 1, **options: object) -> Summary:
        given = RunOptions(**options)  # type: ignore[arg-type]
        context = RunContext(
            self.store.path, self.store.path, "lite", None, None, given.part, ("cpu",) * slots, 1
        )
        with RunLock(context.store):
            context.store.begin("", {})
            return run_plan(self.plan, context, Progress(), given, fake_work)

    def done(self) -> dict[int, dict]:  # type: ignore[type-arg]
        records = {}
        for job in self.plan.jobs():
            if self.store.is_done(job.name, job.key, job.settings):
                records[job.settings.seed] = self.store.record(job.name)
        return records  # type: ignore[return-value]


@pytest.fixture
def world(tmp_path: Path, picture: Callable[..., Path]) -> Callable[[list[int]], World]:
    picture("c.png", 1)
    picture("s.png", 2)
    return lambda seeds: World(tmp_path, seeds)


def test_several_slots_share_the_jobs(world: Callable[[list[int]], World]) -> None:
    here = world(list(range(40)))
    summary = here.run(slots=2)
    assert (summary.done, summary.failed) == (40, 0)
    assert len({record["pid"] for record in here.done().values()}) == 2
    assert set(summary.slots) == {"0", "1"}
    assert sum(use.jobs for use in summary.slots.values()) == 40


def test_a_job_that_kills_its_worker_stands_alone_in_the_end(
    world: Callable[[list[int]], World],
) -> None:
    here = world([0, KILLED, 1])
    summary = here.run()
    assert (summary.done, summary.failed) == (2, 1)
    (failure,) = here.store.failures().values()
    assert "SIGKILL" in failure["error"] and f"seed-{KILLED}" in failure["name"]
    assert summary.retries >= 2


def test_a_worker_that_died_by_accident_costs_nothing(
    world: Callable[[list[int]], World],
) -> None:
    here = world([KILLED_ONCE, 1, 2])
    summary = here.run()
    assert (summary.done, summary.failed, summary.exit_code) == (3, 0, 0)


def test_a_hung_worker_is_ended(world: Callable[[list[int]], World]) -> None:
    here = world([1, HANGS])
    summary = here.run(patience=Patience(stall_s=2.0), retries=0)
    assert (summary.done, summary.failed) == (1, 1)
    (failure,) = here.store.failures().values()
    assert "got nowhere for 2 s" in failure["error"]


def test_a_batch_may_have_a_time_limit(world: Callable[[list[int]], World]) -> None:
    summary = world([HANGS]).run(patience=Patience(batch_s=2.0), retries=0)
    assert "--timeout" in summary.failures[0]["error"]


def test_an_unexpected_error_fails_its_job_only(world: Callable[[list[int]], World]) -> None:
    here = world([1, RAISES, 2])
    summary = here.run(engine="inline")
    assert (summary.done, summary.failed) == (2, 1)
    assert "RuntimeError: an error of its own" in summary.failures[0]["error"]


def test_failed_only_runs_what_failed_before(world: Callable[[list[int]], World]) -> None:
    here = world([1, FAILS, 2])
    here.run(engine="inline")
    done = here.store.record(next(iter(here.plan.jobs())).name)
    here.store.record_path(next(iter(here.plan.jobs())).name).unlink()
    summary = here.run(engine="inline", failed_only=True)
    assert (summary.jobs, summary.done, summary.failed) == (1, 0, 1)
    assert done is not None and len(here.done()) == 1


def test_fail_fast_stops_at_the_first_failure(world: Callable[[list[int]], World]) -> None:
    here = world([FAILS, *range(300)])
    summary = here.run(engine="inline", fail_fast=True)
    assert summary.failed == 1 and summary.exit_code == 1
    assert summary.done < 300


def test_an_interrupt_stops_at_the_next_step_and_leaves_no_process(
    world: Callable[[list[int]], World],
) -> None:
    here = world([SLOW])
    threading.Timer(4.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    summary = here.run()
    assert summary.stopped and summary.exit_code == 130
    assert summary.seconds < 15
    assert not here.store.temporary.exists() and not here.store.stop_asked()


def test_a_second_interrupt_stops_at_once(world: Callable[[list[int]], World]) -> None:
    here = world([HANGS])
    for delay in (4.0, 4.5):
        threading.Timer(delay, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    summary = here.run()
    assert summary.exit_code == 130 and summary.seconds < 15


def test_shards_share_a_folder_and_leave_nothing_out(
    world: Callable[[list[int]], World],
) -> None:
    here = world(list(range(60)))
    counts = [here.run(engine="inline", shard=(i, 3)).done for i in (1, 2, 3)]
    assert sum(counts) == 60 and min(counts) > 5
    assert len(here.done()) == 60
    assert set(here.store.summaries()) == {"1-of-3", "2-of-3", "3-of-3"}


def test_shards_and_whole_runs_shut_each_other_out(tmp_path: Path) -> None:
    whole, one, two = (RunFolder(tmp_path, part) for part in ("", "1-of-2", "2-of-2"))
    with RunLock(one):
        with pytest.raises(RunFolderError, match="in use by process"):
            RunLock(whole).__enter__()
        with RunLock(two):
            pass
    with RunLock(whole), pytest.raises(RunFolderError, match="in use by process"):
        RunLock(one).__enter__()


def test_a_dead_owner_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.state.mkdir()
    owner = {"host": "h", "pid": 1, "since": "yesterday"}
    (folder.state / "owner.json").write_text(json.dumps(owner))
    with RunLock(folder) as lock:
        assert lock.taken_over == "process 1 on h since yesterday"


def test_earlier_runs_are_remembered(world: Callable[[list[int]], World]) -> None:
    here = world([1, 2])
    for _ in range(3):
        here.run(engine="inline")
    assert [run["done"] for run in here.store.summaries()[""]["earlier"]] == [2]


# --- packing --------------------------------------------------------------------------------------


def packed(jobs: list[Job], limit: int, slots: int) -> list[Batch]:
    return list(pack(iter(jobs), lambda w, h: limit, lambda job, error: None, slots))


def test_the_last_jobs_are_shared_out_evenly(world: Callable[[list[int]], World]) -> None:
    jobs = list(world(list(range(20))).plan.jobs())
    assert [len(b.jobs) for b in packed(jobs, 64, 8)] == [3, 3, 3, 3, 3, 3, 2]
    assert [len(b.jobs) for b in packed(jobs, 8, 2)] == [5, 5, 5, 5]
    assert [len(b.jobs) for b in packed(jobs, 64, 1)] == [20]


def test_every_job_is_in_one_batch(world: Callable[[list[int]], World]) -> None:
    jobs = list(world(list(range(700))).plan.jobs())
    batches = packed(jobs, 16, 2)
    names = [job.name for b in batches for job in b.jobs]
    assert sorted(names) == sorted(job.name for job in jobs)
    assert len({b.number for b in batches}) == len(batches)


def test_longest_batches_come_first_in_the_end(world: Callable[[list[int]], World]) -> None:
    jobs = list(world([1, 2, 3]).plan.jobs())
    steps = [10, 1000, 100]
    jobs = [
        dataclasses.replace(job, settings=job.settings.model_copy(update={"steps": n}))
        for job, n in zip(jobs, steps, strict=True)
    ]
    order = [b.jobs[0].settings.steps for b in packed(jobs, 4, 1)]
    assert order == [1000, 100, 10]


def test_packing_is_lazy(world: Callable[[list[int]], World]) -> None:
    jobs = list(world(list(range(2000))).plan.jobs())
    stream = iter(jobs)
    next(pack(stream, lambda w, h: 4, lambda job, error: None, 2))
    assert 1500 < len(list(stream)) < 2000


def test_a_lost_batch_comes_back_in_halves(world: Callable[[list[int]], World]) -> None:
    jobs = tuple(world(list(range(5))).plan.jobs())
    feed = Feed(iter([]))
    feed.put_back_halved(Batch(0, jobs, ()))
    first, second = feed.next(), feed.next()
    assert first is not None and second is not None
    assert (len(first.jobs), len(second.jobs)) == (3, 2)
    assert first.attempts == second.attempts == 1
    assert feed.next() is None


# --- devices --------------------------------------------------------------------------------------


def test_devices_are_checked_and_cores_shared() -> None:
    assert find_slots("cpu,cpu") == ("cpu", "cpu")
    with pytest.raises(DeviceError, match="cuda:99"):
        find_slots("cpu,cuda:99")
    assert threads_per_slot(("cpu",)) == 0
    assert share_cpu(("cuda:0",), 100, 1e6) == ("cuda:0",)
    assert share_cpu(("cpu",), 1, 1e6) == ("cpu",)
    assert len(share_cpu(("cpu",), 10**6, 1e6)) <= available_cores()
    assert share_cpu(("cpu",), 10**6, 1e15) == ("cpu",)
    assert threads_per_slot(("cpu",) * 64) == 1


# --- the real work --------------------------------------------------------------------------------


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


def test_workers_end_when_their_driver_is_killed(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    picture("c.png", 1)
    picture("s.png", 2)
    (tmp_path / "m.yaml").write_text(
        "output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
        "settings: {size: 64, steps: 100000}\n"
    )
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "batch", str(tmp_path / "m.yaml"), "--devices", "cpu"],
        env={**os.environ, "PYTHONPATH": root}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    store = RunFolder(tmp_path / "run")
    deadline = time.monotonic() + 60
    while not (state := store.slot_state("0")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert state is not None and state["pid"] != process.pid
    process.kill()
    process.wait()
    while time.monotonic() < deadline:
        try:
            os.kill(state["pid"], 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived its driver")


def test_among_accidents_every_job_is_done_or_explained() -> None:
    script = Path(__file__).parents[2] / "benchmarks/chaos.py"
    command = [sys.executable, script, "--seeds", "1", "--accidents", "4", "--contents", "5"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(ran.stdout)
    assert found["done"] + found["explained"] == found["jobs"] == 50
    assert found["done twice"] == 0


def test_a_look_at_what_comes_next_takes_nothing_away() -> None:
    first, second = (Batch(number, (), ()) for number in (0, 1))
    feed = Feed(iter([first, second]))
    assert feed.after(1) is first and feed.next() is first
    feed.stopped = True
    assert feed.after(1) is second and feed.next() is None
    feed.stopped = False
    assert feed.next() is second and feed.after(1) is None and feed.next() is None
