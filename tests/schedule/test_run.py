"""Lost workers, retries, stopping and shards, with real processes and fake batches."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from fake_work import FAILS, HANGS, KILLED, KILLED_ONCE, RAISES, SLOW, fake_work
from worlds import World, until

from pipeline.errors import DiskFullError, RunFolderError
from pipeline.notices import Notice
from pipeline.plan import Batch
from pipeline.schedule import Patience, Progress, RunOptions, run_plan
from pipeline.schedule.engine import Ended
from pipeline.schedule.feed import Feed
from pipeline.schedule.local import InlineEngine
from pipeline.slot import Outcome, Report, RunContext, failed
from pipeline.store import RunFolder, RunLock, Shards
from pipeline.store.live import Live


def test_several_slots_share_the_jobs(world: Callable[[list[int]], World]) -> None:
    here = world(list(range(40)))
    summary = here.run(slots=2)
    assert (summary.done, summary.failed) == (40, 0)
    assert len({record.pid for record in here.done().values()}) == 2
    assert set(summary.slots) == {"0", "1"}
    assert sum(use.jobs for use in summary.slots.values()) == 40


def test_a_device_that_is_left_out_is_told_logged_and_kept(
    world: Callable[[list[int]], World],
) -> None:
    class Told(Progress):
        said: ClassVar[list[str]] = []

        def warn(self, text: str, code: str = "") -> None:
            self.said.append(text)

    here = world([0])
    why = "left out: cuda:1 (A card): CUDA error"
    context = replace(here.context(), left_out=(why,))
    with RunLock(here.store):
        here.store.begin("", {})
        summary = run_plan(here.plan, context, Told(), RunOptions(engine="inline"), fake_work)
    assert summary.done == 1 and summary.retired == [why] == Told.said
    kept = here.store.summaries()[""]
    assert kept is not None and kept.retired == [why]
    assert why in (here.store.path / "run.log").read_text()


def test_a_job_that_kills_its_worker_stands_alone_in_the_end(
    world: Callable[[list[int]], World],
) -> None:
    here = world([0, KILLED, 1])
    summary = here.run()
    assert (summary.done, summary.failed) == (2, 1)
    (failure,) = here.store.failures().values()
    assert "SIGKILL" in failure.error and f"seed-{KILLED}" in failure.name
    assert summary.retries >= 2


def test_a_worker_that_died_by_accident_costs_nothing(
    world: Callable[[list[int]], World],
) -> None:
    here = world([KILLED_ONCE, 1, 2])
    summary = here.run()
    assert (summary.done, summary.failed, summary.exit_code) == (3, 0, 0)


def test_a_hung_worker_is_ended(world: Callable[[list[int]], World]) -> None:
    here = world([1, HANGS])
    summary = here.run(patience=Patience(stall_s=1.0), retries=0)
    assert (summary.done, summary.failed) == (1, 1)
    (failure,) = here.store.failures().values()
    assert "got nowhere for 1 s" in failure.error


def test_a_batch_may_have_a_time_limit(world: Callable[[list[int]], World]) -> None:
    summary = world([HANGS]).run(patience=Patience(batch_s=1.0), retries=0)
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
    here.when_busy(lambda: os.kill(os.getpid(), signal.SIGINT))
    summary = here.run()
    assert summary.stopped and summary.exit_code == 130
    assert summary.seconds < 15
    assert not here.store.temporary.exists() and not here.store.live.stop_asked()


def test_a_second_interrupt_stops_at_once_and_leaves_no_process(
    world: Callable[[list[int]], World],
) -> None:
    here = world([HANGS])
    workers: list[int] = []

    def interrupt_twice() -> None:
        state = here.store.live.slot("0")
        assert state is not None
        workers.append(state.pid)
        os.kill(os.getpid(), signal.SIGINT)
        until(here.store.live.stop_asked)
        os.kill(os.getpid(), signal.SIGINT)

    here.when_busy(interrupt_twice)
    summary = here.run()
    assert summary.exit_code == 130 and summary.seconds < 15
    with pytest.raises(ProcessLookupError):
        os.kill(workers[0], 0)


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
    assert [run.done for run in here.store.summaries()[""].earlier] == [2]


# --- what ends a run early, and what does not -----------------------------------------------------


def report(*outcomes: Outcome, fits: int | None = None) -> Report:
    return Report(outcomes, "0", "fake", {}, 0.0, fits)


def full_disk_work(context: RunContext, slot: int | None, batch: Batch) -> Report:
    error = DiskFullError("no space left")
    return report(*(failed(job, error) for job in batch.jobs))


def test_a_full_disk_in_a_worker_ends_the_run_and_leaves_jobs_to_do(
    world: Callable[[list[int]], World],
) -> None:
    here = world([1, 2])
    summary = here.run(engine="inline", work=full_disk_work)
    assert (summary.problem, summary.failed, summary.stopped) == ("no space left", 0, False)
    assert summary.exit_code == 1 and summary.ended
    log = here.store.log.read_text()
    assert log.count("stopping: no space left") == 1 and log.count("left to do: ") == 2
    assert not here.store.failures()
    assert here.run(engine="inline").done == 2


@pytest.mark.parametrize("linked", [".", "deep"])
def test_a_run_folder_that_cannot_be_written_any_more_ends_the_run(
    linked: str, world: Callable[[list[int]], World], tmp_path: Path
) -> None:
    """All pictures, or those of one folder alone: then the others are made."""
    here = world([1, 2, 3])
    calls: list[int] = []

    def work(context: RunContext, slot: int | None, batch: Batch) -> Report:
        calls.append(batch.number)
        images = context.store.images
        if linked == ".":
            images.rename(tmp_path / "gone")
            images.symlink_to(tmp_path)
        (job,) = batch.jobs
        error = RunFolderError(f"{images / linked}: cannot be written (Permission denied)")
        return report(failed(job, error))

    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("pipeline.schedule.run.limit_of", lambda slots: lambda w, h: 1)
    summary = here.run(engine="inline", work=work)
    monkeypatch.undo()
    if linked == ".":
        assert "cannot be written" in summary.problem and len(calls) == 1
        assert summary.failed == 0 and not summary.stopped
    else:
        assert summary.problem == "" and len(calls) == summary.failed == 3
    assert not list(tmp_path.glob("**/.writable"))


@pytest.mark.parametrize("name", ["add_failure", "write_summary"])
def test_a_full_disk_under_the_driver_ends_the_run(
    name: str, world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise DiskFullError("no space left")

    here = world([FAILS, 1])
    monkeypatch.setattr(RunFolder, name, full)
    monkeypatch.setattr(Live, "ask_to_stop", lambda self: Path("/no/such/folder/stop").touch())
    summary = here.run(engine="inline")
    assert summary.problem == "no space left" and summary.exit_code == 1


def test_a_full_disk_under_a_shard_ends_the_run(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise DiskFullError("no space left")

    monkeypatch.setattr(Shards, "add", full)
    monkeypatch.setattr(Shards, "end", full)
    assert world([1]).run(engine="inline").problem == "no space left"
    monkeypatch.undo()
    monkeypatch.setattr(Shards, "end", full)
    assert world([2]).run(engine="inline").problem == "no space left"


def test_memory_that_ran_out_is_counted_and_warnings_are_said(
    world: Callable[[list[int]], World], capsys: pytest.CaptureFixture[str]
) -> None:
    def work(context: RunContext, slot: int | None, batch: Batch) -> Report:
        said = Notice("safer_rate", "smaller step")
        done = [Outcome(j.name, j.key, "done", warnings=(said,)) for j in batch.jobs]
        return report(*done, fits=1)

    here = world([1])
    summary = here.run(engine="inline", work=work)
    assert (summary.done, summary.out_of_memory) == (1, 1)
    assert "out of memory on fake, room for 1 job" in here.store.log.read_text()
    assert "seed-1: smaller step" in capsys.readouterr().err
    assert "seed-1: safer_rate: smaller step" in here.store.log.read_text()
    assert summary.warnings == here.store.summaries()[""].warnings == {"safer_rate": 1}


def test_many_notices_of_one_code_are_counted_and_a_few_shown(
    world: Callable[[list[int]], World], capsys: pytest.CaptureFixture[str]
) -> None:
    def work(context: RunContext, slot: int | None, batch: Batch) -> Report:
        said = (Notice("safer_rate", "smaller step"),)
        return report(*(Outcome(j.name, j.key, "done", warnings=said) for j in batch.jobs))

    here = world(list(range(30)))
    assert here.run(engine="inline", work=work).warnings == {"safer_rate": 30}
    assert capsys.readouterr().err.count("smaller step") == 10
    assert here.store.log.read_text().count("safer_rate: smaller step") == 30


def test_what_a_lost_batch_had_written_counts_and_only_the_rest_is_tried_again(
    world: Callable[[list[int]], World], capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[list[int]] = []

    def work(context: RunContext, slot: int | None, batch: Batch) -> Report:
        tried.append([job.settings.seed for job in batch.jobs])
        for job in batch.jobs[: -1 if len(tried) == 1 else None]:
            fake_work(context, slot, replace(batch, jobs=(job,)))
        raise RuntimeError("the report is lost")

    here = world([1, 2, 3, 4, 5])
    summary = here.run(engine="inline", work=work)
    assert tried == [[1, 2, 3, 4, 5], [5]]
    assert (summary.done, summary.failed, summary.retries) == (5, 0, 1)
    assert "RuntimeError: the report is lost; trying again" in capsys.readouterr().err
    assert "Traceback" in here.store.log.read_text()


def test_a_batch_that_is_lost_while_the_run_stops_is_left_for_the_next_run(
    world: Callable[[list[int]], World],
) -> None:
    def work(context: RunContext, slot: int | None, batch: Batch) -> Report:
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("lost")

    here = world(list(range(300)))
    summary = here.run(engine="inline", work=work)
    assert (summary.done, summary.failed, summary.retries) == (0, 0, 0)
    assert summary.stopped and "SIGTERM: stopping" in here.store.log.read_text()


@pytest.mark.parametrize("is_stopped", [False, True])
def test_jobs_that_nobody_ran_are_never_left_in_silence(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch, is_stopped: bool
) -> None:
    here = world([1, 2, 3, 4])

    def takes_and_ends(self: InlineEngine, feed: Feed) -> Iterator[Ended]:
        assert feed.next() is not None
        if is_stopped:
            os.kill(os.getpid(), signal.SIGTERM)
        yield from ()

    monkeypatch.setattr(InlineEngine, "run", takes_and_ends)
    summary = here.run(engine="inline")
    assert (summary.done, summary.failed, summary.stopped) == (0, 0, is_stopped)
    said = "" if is_stopped else "the run ended with 4 jobs neither made nor failed ("
    assert summary.problem.startswith(said) and bool(summary.problem) != is_stopped
    assert summary.exit_code == (130 if is_stopped else 1)
    assert summary.problem in here.store.log.read_text()


def test_a_plan_that_is_done_already_is_not_read_on_after_an_interrupt(
    world: Callable[[list[int]], World],
) -> None:
    class Interrupts(Progress):
        def skipped(self, count: int) -> None:
            if count == 3:
                os.kill(os.getpid(), signal.SIGINT)

    here = world(list(range(9)))
    assert here.run(engine="inline").done == 9
    summary = here.run(engine="inline", progress=Interrupts())
    assert summary.stopped and summary.exit_code == 130
    assert summary.already_done == 3 and summary.jobs == 9


def test_jobs_that_stop_for_the_first_failure_do_not_make_the_run_a_stopped_one(
    world: Callable[[list[int]], World],
) -> None:
    def work(context: RunContext, slot: int | None, batch: Batch) -> Report:
        first, *rest = batch.jobs
        stopped = [Outcome(job.name, job.key, "stopped") for job in rest]
        return report(failed(first, ValueError("wrong")), *stopped)

    summary = world([1, 2, 3]).run(engine="inline", work=work, fail_fast=True)
    assert (summary.failed, summary.stopped, summary.exit_code) == (1, False, 1)


def test_a_picture_that_cannot_be_packed_fails_its_jobs_only(
    world: Callable[[list[int]], World], tmp_path: Path
) -> None:
    here = world([1, 2])
    (tmp_path / "c.png").write_bytes(b"no picture")
    summary = here.run(engine="inline")
    assert (summary.done, summary.failed, summary.ended) == (0, 2, True)
    assert all("c.png" in failure.error for failure in here.store.failures().values())


# --- the real work --------------------------------------------------------------------------------


def test_an_interrupt_in_the_driver_ends_all_workers(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, killed = world([1, 2]), []

    def work(context: RunContext, slot: int | None, batch: Batch) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setattr(InlineEngine, "kill", lambda self: killed.append("all"))
    summary = here.run(engine="inline", work=work)
    assert summary.stopped and summary.exit_code == 130 and killed == ["all"]
    assert here.store.summaries()[""].ended


@pytest.mark.long
def test_among_accidents_every_job_is_done_or_explained() -> None:
    script = Path(__file__).parents[2] / "benchmarks/chaos.py"
    command = [sys.executable, script, "--seeds", "1", "--accidents", "2", "--contents", "4"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(ran.stdout)
    assert found["done"] + found["explained"] == found["jobs"] == 40
    assert found["done twice"] == found["wrong"] == []
