"""`nst status`: from any terminal, of a run that runs, has ended, or died."""

import json
import time
from pathlib import Path

import pytest

from pipeline.commands import show_status
from pipeline.commands.status import _WATCH_EVERY_S
from pipeline.store import Failure, PastRun, RunFolder, SlotState, Summary

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path) -> RunFolder:
    store = RunFolder(tmp_path / "run")
    store.begin("", {})
    return store


def test_a_running_run_says_what_is_left_and_what_slots_do(
    store: RunFolder, capsys: Capture
) -> None:
    store.write_summary(
        Summary(
            jobs=10, done=3, already_done=1, failed=1, images_per_hour=3600, updated="now",
            next=["a", "b"], earlier=[PastRun(started="then", done=1, images_per_hour=60)],
        )
    )  # fmt: skip
    state = SlotState(
        slot="0", device="cuda:0", host="h", pid=7, time=time.time() - 5, phase="optimize",
        step=3, steps=9, jobs=4, job="town/a",
    )  # fmt: skip
    store.live.write_slot(state)
    assert show_status(store.path, as_json=False) == 0
    said = capsys.readouterr().out
    assert "4 of 10 jobs done; running, or died without notice now" in said
    assert "5 left, about 0:00:05" in said and "next: a, b, ..." in said
    assert "then: 1 done, 0 failed, 60 images/hour" in said
    assert (
        "slot 0 (cuda:0, process 7 on h): optimize step 3/9 of 4 jobs, town/a, 0:00:05 ago" in said
    )


def test_failures_are_grouped_and_those_done_since_left_out(
    store: RunFolder, capsys: Capture
) -> None:
    store.write_summary(Summary(jobs=20, failed=12, ended=True, stopped=True, problem="full"))
    for number in range(12):
        store.add_failure(Failure(name=f"job-{number:02}", error="gone"))
    store.add_failure(Failure(name="other", error="broken"))
    store.record_path("job-00").parent.mkdir(parents=True, exist_ok=True)
    store.record_path("job-00").write_text("{}")
    assert show_status(store.path, as_json=False) == 1
    said = capsys.readouterr().out
    assert "stopped" in said and "ended early: full" in said
    assert "11 failed: gone" in said and "    and 1 more" in said and "job-00" not in said
    assert said.index("11 failed") < said.index("1 failed: broken")


def test_json_has_runs_failures_and_slots(store: RunFolder, capsys: Capture) -> None:
    store.write_summary(Summary(jobs=2, done=1, ended=True))
    store.add_failure(Failure(name="x", error="gone"))
    store.live.write_slot(SlotState(slot="0", time=1.0, pid=2))
    assert show_status(store.path, as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["runs"][""]["done"] == 1 and found["runs"][""]["schema"] == 1
    assert [failure["name"] for failure in found["failed"]] == ["x"]
    assert found["slots"][0]["pid"] == 2


def test_shards_are_named(store: RunFolder, capsys: Capture) -> None:
    RunFolder(store.path, "2-of-3").write_summary(Summary(jobs=5, done=5, ended=True))
    assert show_status(store.path, as_json=False) == 0
    assert "shard 2-of-3: 5 of 5 jobs done; ended" in capsys.readouterr().out


def test_watching_ends_with_the_run(
    store: RunFolder, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_summary(Summary(jobs=2, done=1))
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        store.write_summary(Summary(jobs=2, done=2, ended=True))

    monkeypatch.setattr("pipeline.commands.status.time.sleep", sleep)
    assert show_status(store.path, as_json=False, watch=True) == 0
    assert waits == [_WATCH_EVERY_S]
    assert "2 of 2 jobs done; ended" in capsys.readouterr().out
