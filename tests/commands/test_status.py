"""`nst status`: from any terminal, of a run that runs, has ended, or died."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from batches import INLINE
from fake_run import bare_record, small_run
from worlds import World, until

from pipeline.commands import batch_manifest, show_status, stop_run
from pipeline.commands.status import _WATCH_EVERY_S
from pipeline.errors import EngineError, ManifestError
from pipeline.manifest import Settings
from pipeline.plan import Job
from pipeline.report.entries import find_entries
from pipeline.schedule import Progress
from pipeline.store import (
    BackboneHeader,
    Failure,
    Owner,
    PastRun,
    PlanHeader,
    RunFolder,
    RunLock,
    Shards,
    SlotState,
    Summary,
)

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path) -> RunFolder:
    store = RunFolder(tmp_path / "run")
    store.begin("", {})
    return store


def held(store: RunFolder, part: str = "", host: str = "elsewhere", pid: int = 77) -> None:
    """Has somebody hold the folder."""
    suffix = f"-{part}" if part else ""
    owner = Owner(host=host, pid=pid, since="2026")
    store.write(store.state / f"owner{suffix}.json", json.dumps(owner.plain()).encode())


def test_a_running_run_says_what_is_left_and_what_slots_do(
    store: RunFolder, capsys: Capture
) -> None:
    store.write_summary(
        Summary(
            jobs=10, looked_at=10, done=3, already_done=1, failed=1, images_per_hour=3600,
            updated="now", next=["a", "b"],
            earlier=[PastRun(started="then", done=1, images_per_hour=60)],
        )
    )  # fmt: skip
    state = SlotState(
        slot="0", device="cuda:0", host="h", pid=7, time=time.time() - 5, phase="optimize",
        step=3, steps=9, jobs=4, job="town/a",
    )  # fmt: skip
    store.live.write_slot(state)
    held(store)
    assert show_status(store.path, as_json=False) == 0
    said = capsys.readouterr().out
    died = "running, or died without notice: process 77 on elsewhere, now"
    assert f"4 of 10 jobs done; {died}" in said
    assert "5 left, about 0:00:05" in said and "next: a, b, ..." in said
    assert "then: 1 done, 0 failed, 60 images/hour" in said
    assert (
        "slot 0 (cuda:0, process 7 on h): optimize step 3/9 of 4 jobs, town/a, 0:00:05 ago" in said
    )


def test_a_slot_whose_process_has_died_is_not_at_work(store: RunFolder, capsys: Capture) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for slot, pid in (("0", gone.pid), ("1", os.getpid())):
        store.live.write_slot(
            SlotState(slot=slot, host=socket.gethostname(), pid=pid, time=1.0, phase="optimize")
        )
    store.write_summary(Summary(jobs=2, looked_at=2, updated="now"))
    held(store, host=socket.gethostname(), pid=os.getpid())
    said = said_of(store, capsys)
    assert f"its process {gone.pid} has ended; another one begins" in said
    assert f"process {os.getpid()} on {socket.gethostname()}): optimize of" in said


def test_failures_are_grouped_and_those_done_since_left_out(
    store: RunFolder, capsys: Capture
) -> None:
    store.write_summary(Summary(jobs=20, failed=12, ended=True, stopped=True, problem="full"))
    for number in range(12):
        store.add_failure(Failure(name=f"job-{number:02}", error="gone", time="2026-01-01"))
    store.add_failure(Failure(name="other", error="broken"))
    store.record_path("job-00").parent.mkdir(parents=True, exist_ok=True)
    about = bare_record("job-00", finished="2026-01-02")
    store.write_job("job-00", "k", Settings(), b"", (1, 1), about)
    assert show_status(store.path, as_json=False) == 1
    said = capsys.readouterr().out
    assert "stopped" in said and "ended early: full" in said
    assert "11 failed: gone" in said and "    and 1 more" in said and "job-00" not in said
    assert said.index("11 failed") < said.index("1 failed: broken")


def test_json_has_runs_failures_and_slots(store: RunFolder, capsys: Capture) -> None:
    store.write_summary(Summary(jobs=2, done=1, ended=True))
    store.add_failure(Failure(name="x", error="gone"))
    store.live.write_slot(SlotState(slot="0", time=1.0, pid=2))
    held(store)
    store.write_summary(Summary(jobs=2, done=1))
    assert show_status(store.path, as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["runs"][""]["done"] == 1 and found["runs"][""]["schema"] == 1
    assert [failure["name"] for failure in found["failed"]] == ["x"]
    assert found["slots"][0]["pid"] == 2


def test_shards_are_named(store: RunFolder, capsys: Capture) -> None:
    RunFolder(store.path, "2-of-3").write_summary(Summary(jobs=5, done=5, ended=True))
    assert show_status(store.path, as_json=False) == 0
    assert "shard 2-of-3: 5 of 5 jobs done; ended" in capsys.readouterr().out


def test_what_the_manifest_told_every_shard_is_said_once(store: RunFolder, capsys: Capture) -> None:
    for number in (1, 2):
        RunFolder(store.path, f"{number}-of-2").write_summary(
            Summary(
                jobs=5, done=5, ended=True, updated="now", part=f"{number}-of-2",
                warnings={"old_name": 2, "no_end_marker": number}, told={"old_name": 2},
            )
        )  # fmt: skip
    RunFolder(store.path, "1-of-2").write_summary(
        Summary(
            jobs=5, done=5, ended=True, updated="now", part="1-of-2",
            warnings={"old_name": 2}, told={"old_name": 2},
        )
    )  # fmt: skip
    assert show_status(store.path, as_json=False) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "warnings" in line]
    assert said == [
        "all shards: warnings: 2 old_name, 2 no_end_marker; each is in the shards' logs",
        "shard 2-of-2: warnings: 2 no_end_marker; each is in run-2-of-2.log",
    ]
    assert show_status(store.path, as_json=True) == 0
    total = json.loads(capsys.readouterr().out)["total"]
    assert total["warnings"] == {"old_name": 2, "no_end_marker": 2}


def test_watching_ends_with_the_run(
    store: RunFolder, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_summary(Summary(jobs=2, done=1))
    held(store)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        store.write_summary(Summary(jobs=2, done=2, ended=True))

    monkeypatch.setattr("pipeline.commands.status.time.sleep", sleep)
    assert show_status(store.path, as_json=False, watch=True) == 0
    assert waits == [_WATCH_EVERY_S]
    assert "2 of 2 jobs done; ended" in capsys.readouterr().out


# --- what is so -----------------------------------------------------------------------------------

Worlds = Callable[[list[int]], World]


def said_of(store: RunFolder, capsys: Capture) -> str:
    show_status(store.path, as_json=False)
    return capsys.readouterr().out


def test_who_runs_it_is_asked(store: RunFolder, capsys: Capture) -> None:
    store.write_summary(Summary(jobs=2, done=1, looked_at=2, updated="now", images_per_hour=60))
    held(store, host=socket.gethostname(), pid=os.getpid())
    assert f"1 of 2 jobs done; running: process {os.getpid()} on " in said_of(store, capsys)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    store.live.write_slot(SlotState(slot="0", time=1.0, pid=2))
    held(store, host=socket.gethostname(), pid=gone.pid)
    said = said_of(store, capsys)
    assert "died without notice, or could not write its end, after now" in said
    assert "slot 0" not in said and "left" not in said
    assert stop_run(store.path) == 0 and "nothing runs there" in capsys.readouterr().out
    assert show_status(store.path, as_json=False, watch=True) == 0  # ends at once


def test_a_run_that_begins_anew_is_said(store: RunFolder, capsys: Capture) -> None:
    store.write_summary(Summary(jobs=2, done=1, ended=True, stopped=True, updated="2026"))
    with RunLock(store):
        assert f"stopped 2026; process {os.getpid()} on" in (said := said_of(store, capsys))
        assert "begins anew" in said
    assert "begins anew" not in said_of(store, capsys)


def test_a_resumed_run_knows_what_is_done_before_its_first_batch_ends(
    world: Worlds, capsys: Capture
) -> None:
    """9 jobs are done; while the last still runs, all is known of them."""
    assert world(list(range(9))).run().done == 9
    again = world([*range(9), 905])
    found: list[str] = []

    def look() -> None:
        until(lambda: again.store.summaries()[""].already_done == 9)
        found.append(said_of(again.store, capsys))
        stop_run(again.store.path)

    again.when_busy(look)
    again.run()
    assert "9 of 10 jobs done; running: process" in found[0]
    assert "not looked at" not in found[0]


def test_while_it_is_looked_what_is_done_this_is_said(store: RunFolder, capsys: Capture) -> None:
    summary = Summary(jobs=100, already_done=30, done=10, looked_at=40, images_per_hour=60)
    store.write_summary(summary)
    held(store)
    said = said_of(store, capsys)
    assert "40 of 100 jobs done so far, 60 not looked at yet; running" in said
    assert "at most 60 left, about 1:00:00" in said


def test_shards_are_one_run(store: RunFolder, capsys: Capture) -> None:
    header = PlanHeader(backbone=BackboneHeader(name="lite"), jobs=40)
    store.begin("", header.plain())
    store.write_summary(Summary(jobs=40, done=1, updated="2026-01-01"))  # before there were shards
    for part, done in (("10-of-11", 3), ("2-of-11", 4)):
        shard = RunFolder(store.path, part)
        shard.write_summary(Summary(jobs=4, done=done, ended=True, updated=f"2026-01-0{done}"))
    lines = said_of(store, capsys).splitlines()
    assert lines[0] == "all shards: 7 of 40 jobs done, 0 failed"
    missing = "1, 3, 4, 5, 6, 7, 8, 9, 11"
    assert lines[1] == f"9 of 11 shards never started: {missing} (--shard 1/11)"
    assert [line.split(":")[0] for line in lines[2::2]] == ["shard 2-of-11", "shard 10-of-11"]
    show_status(store.path, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (
        found["total"] == {"jobs": 40, "done": 7, "warnings": {}}
        and len(found["never_started"]) == 9
    )
    assert found["states"]["2-of-11"] == {"running": False, "state": "ended 2026-01-04"}


def test_a_shard_does_not_take_the_whole_plan_for_its_own(world: Worlds) -> None:
    here = world(list(range(10)))
    seen: list[int] = []

    class Told(Progress):
        def update(self, *_: object) -> None:
            seen.append(here.store.summaries()["1-of-2"].jobs)

    summary = here.run(progress=Told(), shard=(1, 2))
    assert 0 < summary.jobs < 10 and max(seen) < 10


def test_failures_of_jobs_that_were_made_or_left_out_since_are_none(
    world: Worlds, capsys: Capture
) -> None:
    here = world([1, 904])
    assert here.run().failed == 1
    assert "1 failed: on purpose" in said_of(here.store, capsys)
    assert world([1, 2]).run().failed == 0
    assert show_status(here.store.path, as_json=False) == 0
    assert "failed:" not in capsys.readouterr().out


def test_a_picture_of_other_settings_hides_no_failure(store: RunFolder, capsys: Capture) -> None:
    store.write_summary(Summary(jobs=1, failed=1, ended=True))
    about = bare_record("a", finished="2026-01-01")
    store.write_job("a", "old", Settings(), b"", (1, 1), about)
    store.add_failure(Failure(name="a", key="new", error="gone", time="2026-01-02"))
    assert "1 failed: gone" in said_of(store, capsys)
    about = bare_record("a", finished="2026-01-03")
    store.write_job("a", "new", Settings(), b"", (1, 1), about)
    assert "failed: gone" not in said_of(store, capsys)


def test_failures_that_were_made_into_shards_since_are_none(world: Worlds, capsys: Capture) -> None:
    here = world([1])
    (job,) = here.plan.jobs()
    here.run()
    for key in (job.key, ""):
        here.store.add_failure(Failure(name=job.name, key=key, error="gone", time="9999"))
    here.store.begin("", {})
    shards = Shards(here.store, 1)
    assert shards.settle(job)
    shards.end()
    assert "gone" not in said_of(here.store, capsys)
    here.store.add_failure(Failure(name=job.name, key="other", error="gone", time="9999"))
    assert "1 failed: gone" in said_of(here.store, capsys)
    path = next(here.store.path.glob("shards/*.tar"))
    path.write_bytes(b"damaged"), path.with_suffix(".json").unlink()
    show_status(here.store.path, as_json=False)
    assert "left out 1 that cannot be read: shards/000000.tar" in capsys.readouterr().err


def test_a_run_that_cannot_begin_says_why(world: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise EngineError("no cluster")

    monkeypatch.setattr("pipeline.schedule.run.open_engine", refuse)
    here = world([1])
    with pytest.raises(EngineError):
        here.run()
    summary = here.store.summaries()[""]
    assert summary.ended and summary.problem == "no cluster"


def test_a_plan_that_breaks_off_says_why(world: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    here = world([1])

    def jobs(*given: object) -> list[Job]:
        raise ManifestError(["m.yaml:1: does not go"])

    monkeypatch.setattr(here.plan, "jobs", jobs)
    with pytest.raises(ManifestError):
        here.run()
    assert here.store.summaries()[""].problem == "m.yaml:1: does not go"


def test_a_full_disk_has_room_for_the_last_word(store: RunFolder) -> None:
    reserve = store.state / "reserve"
    assert reserve.stat().st_size >= 2**18
    store.make_room()
    store.make_room()  # nothing more to give
    assert not reserve.exists()
    store.begin("", {})
    store.end()
    assert not reserve.exists()


def test_commands_that_are_named_can_be_pasted(
    tmp_path: Path, picture: Callable[..., Path], capsys: Capture
) -> None:
    picture("c/a.png"), picture("s.png")
    (tmp_path / "c/broken.png").write_bytes(b"no picture")
    manifest = tmp_path / "my manifest.yaml"
    text = "output: my run\ncontent: c\nstyle: s.png\nbackbone: lite\n"
    manifest.write_text(f"{text}settings: {{size: 48, steps: 1}}\n")
    assert batch_manifest(manifest, INLINE, with_report=False) == 1
    said = capsys.readouterr().out
    assert f"reasons of failures: nst status '{tmp_path / 'my run'}'" in said
    shard = replace(INLINE, run=replace(INLINE.run, shard=(1, 1)))
    store = RunFolder(tmp_path / "my run", "1-of-1")

    def stopped(*_: object, **__: object) -> Summary:
        return Summary(jobs=2, stopped=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.commands.run.run_plan", stopped)
        assert batch_manifest(manifest, shard, with_report=False) == 130
    assert (
        f"go on with: nst batch '{manifest}' --shard 1/1 --devices cpu --engine inline\n"
        in capsys.readouterr().out
    )
    assert store.owner("1-of-1") is None


def test_a_report_shows_failures_that_still_stand(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    store = RunFolder(small_run(tmp_path / "run", picture))
    first = sorted(record.name for record in store.records())[0]
    store.add_failure(Failure(name=first, key="other", error="gone", time="9999"))
    entries, _ = find_entries(store)
    assert {e.name: e.error for e in entries}[first] == "gone" and len(entries) == 8
