"""A summary counted up: classes, styles, slots, what came before."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.manifest import Picture, Settings, Style
from pipeline.plan import Job, Place
from pipeline.schedule.counts import Counts
from pipeline.slot import Outcome, Report
from pipeline.store import Failure, Summary


def job(label: str, style: str = "s") -> Job:
    picture = Picture(Path(label), label)
    return Job(0, label, "k", picture, Style(style, ()), Settings(), {})


def counts(before: Summary | None = None) -> Counts:
    return Counts(10, ["cpu", "cpu"], before)


def test_jobs_are_counted_by_class_and_style() -> None:
    c = counts()
    for label in ("dogs/a", "dogs/b", "c"):
        c.meet(job(label), done=label == "c")
    c.end(Outcome("dogs/a", "k", "done", hits=2, computed=1), job("dogs/a"))
    c.end(Outcome("dogs/b", "k", "failed"), job("dogs/b"))
    c.end(Outcome("dogs/b", "k", "stopped"), job("dogs/b"))
    c.end(Outcome("x", "k", "done"), None)
    summary = c.summary
    assert summary.classes == {
        "dogs": {"jobs": 2, "done": 1, "failed": 1}
    }  # fmt: skip
    assert summary.styles == {"s": {"jobs": 3, "done": 2, "failed": 1}}
    assert (summary.already_done, summary.done) == (1, 2)
    assert (summary.targets_hits, summary.targets_computed) == (2, 1)


def test_a_clip_is_no_class_of_its_frames() -> None:
    c = counts()
    for clip in ("v", "dogs/v"):
        frame = job(f"{clip}/0001")
        place = Place(clip, Path("v"), clip, 0, 1, "k", None)
        c.meet(replace(frame, place=place), done=False)
    assert c.summary.classes == {"dogs": {"jobs": 1, "done": 0, "failed": 0}}


def test_beyond_a_number_of_classes_the_rest_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.schedule.counts._MOST_COUNTED", 2)
    c = counts()
    for label in ("a/1", "b/1", "c/1", "d/1", "a/2"):
        c.meet(job(label), done=False)
    assert {name: row["jobs"] for name, row in c.summary.classes.items()} == {
        "a": 2, "b": 1, "(others)": 2
    }  # fmt: skip


def test_slots_are_busy_for_their_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("pipeline.schedule.counts.time.monotonic", lambda: clock.now)
    c = counts()
    done = (Outcome("a", "k", "done"), Outcome("b", "k", "done"))
    c.use(Report(done, "0", "cpu", {"read": 1.0, "optimize": 3.0}, 4.0))
    c.use(Report(done[:1], "0", "cpu", {"optimize": 1.0}, 1.0, fits=1))
    c.use(Report(done, "", "", {}, 0.5))  # never reached a slot
    for outcome in done:
        c.end(outcome, None)
    clock.now += 10
    c.refresh()
    use = c.summary.slots["0"]
    assert (use.batches, use.jobs, use.busy_s, use.busy_share) == (2, 3, 5.0, 0.5)
    assert use.phases_s == {"read": 1.0, "optimize": 4.0} and use.sizes == {2: 1, 1: 1}
    assert c.summary.utilization == 0.25 and c.summary.images_per_hour == 720
    assert c.summary.out_of_memory == 1


def test_only_so_many_failures_stand_in_the_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.schedule.counts._FAILURES_IN_SUMMARY", 2)
    c = counts()
    for name in "abc":
        c.fail(Failure(name=name, type="ImageError", error="gone"))
    assert c.summary.failed == 3
    assert [note["name"] for note in c.summary.failures] == ["a", "b"]


@pytest.mark.parametrize(("done", "kept"), [(3, 2), (0, 1)])
def test_earlier_runs_are_kept_but_for_those_with_nothing_to_do(done: int, kept: int) -> None:
    first: Any = {"started": "first", "done": 5, "failed": 1}
    before = Summary(jobs=10, started="second", done=done, earlier=[first], utilization=0.5)
    earlier = counts(before).summary.earlier
    assert [run.started for run in earlier] == ["first", "second"][:kept]


def test_what_comes_next_is_named() -> None:
    c = counts()
    c.say_next([job(name) for name in "abcdef"])
    assert c.summary.next == ["a", "b", "c"]
