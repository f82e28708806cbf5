"""What a person sees while it runs: at two widths of a terminal, in a log, as JSON."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from worlds import until

from pipeline.schedule import Progress, duration, make_progress
from pipeline.schedule.live_progress import LiveProgress, shorten
from pipeline.schedule.progress import JsonProgress, PlainProgress
from pipeline.slot import Outcome
from pipeline.store import RunFolder, SlotState

DONE = Outcome("a", "k", "done", seconds=1.5)
FAILED = Outcome("b", "k", "failed", error="no picture")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The progress's clock, which stands still."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("pipeline.schedule.progress.time.monotonic", lambda: clock.now)
    return clock


def begin(make: Callable[[], Progress], total: int, clock: SimpleNamespace) -> Progress:
    """A progress of so many jobs that began an hour ago."""
    progress = make()
    with progress.watching(RunFolder(Path("unused")), total):
        clock.now += 3600
        return progress


def state(batch: int, **more: Any) -> SlotState:
    name = "town/a_rather_long_content__a_rather_long_style__style_weight-1000"
    about = {"slot": "0", "device": "cuda:0", "jobs": 4, "batch": batch, "job": name} | more
    return SlotState(time=0.0, pid=1, **about)


def shown(progress: LiveProgress) -> list[str]:
    """The lines of the live view."""
    lines = progress.console.render_lines(progress.bars.get_renderable(), pad=False)
    return ["".join(segment.text for segment in line) for line in lines]


def live(width: int = 80) -> LiveProgress:
    return LiveProgress(Console(width=width, file=StringIO(), force_terminal=True))


# --- live -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 160])
def test_no_line_wraps_and_both_ends_of_a_name_are_there(width: int) -> None:
    progress = live(width)
    progress.total = 100
    progress.look([state(0, phase="optimize", step=3, steps=9, loss=0.123)])
    progress.look([state(7, phase="optimize", step=4, steps=9, loss=0.122)])
    progress.update([], 4, 1)
    text = shown(progress)
    assert len(text) == 2 and all(len(line) <= width for line in text)
    assert "5/100" in text[0] and "1 failed" in text[0]
    assert "cuda:0 #7 a_rath" in text[1] and "-1000 +3" in text[1] and "loss 0.122" in text[1]
    assert ("/h" in text[1]) == (width == 160)  # the 4 jobs of the batch that it left behind


def test_the_bar_moves_with_the_steps_and_the_number_with_jobs() -> None:
    progress = live()
    progress.total = 72
    (run,) = progress.bars.tasks
    progress.look([state(0, jobs=24, phase="optimize", step=3, steps=9)])
    assert run.completed == pytest.approx(8) and "0/72 11%" in shown(progress)[0]
    last = state(0, jobs=24, job="a", phase="optimize", step=9, steps=9)
    progress.look([last])
    progress.update([DONE] * 24, 24, 0)
    progress.look([last])  # it has not begun another yet
    assert run.completed == 24 and "24/72 33%" in shown(progress)[0]
    progress.look([state(1, jobs=24, phase="read")])
    progress.look([state(1, jobs=24, phase="optimize", step=6, steps=9)])
    assert run.completed == 40 and "24/72 56%" in shown(progress)[0]
    progress.look([state(1, jobs=24, phase="optimize", step=1, steps=9)])  # a smaller part anew
    assert run.completed == 40


def test_a_slot_without_a_loss_says_its_phase() -> None:
    progress = live()
    progress.look([state(0, phase="targets", jobs=1, job="short")])
    assert "cuda:0 #0 short " in shown(progress)[1] and "targets" in shown(progress)[1]


def test_jobs_that_were_done_before_count_as_done() -> None:
    progress = live()
    progress.total = 10
    progress.skipped(3)
    assert "3/10" in shown(progress)[0]
    progress.update([DONE], 1, 0)
    assert "4/10" in shown(progress)[0]


def test_the_slots_are_looked_at_while_the_run_works(tmp_path: Path) -> None:
    store = RunFolder(tmp_path)
    store.begin("", {})
    store.live.write_slot(state(0, phase="read"))
    progress = live()
    with progress.watching(store, 7):
        until(lambda: "0" in progress.slots)
    assert "0/7" in shown(progress)[0]


def test_warnings_stand_above_the_bars() -> None:
    progress = live()
    progress.update([FAILED], 0, 1)
    file: Any = progress.console.file
    assert "failed: b: no picture" in file.getvalue()


# --- lines ----------------------------------------------------------------------------------------


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = begin(PlainProgress, 4, clock)
    progress.skipped(1)
    progress.update([DONE], 1, 0)
    progress.update([DONE], 2, 0)  # too soon for another line
    progress.update([], 2, 0)
    assert capsys.readouterr().out == "2/4 jobs, 0 failed, 1 image/hour, 2:00:00 left\n"
    progress.update([FAILED], 2, 1)
    said = capsys.readouterr()
    assert said.out == "4/4 jobs, 1 failed, 2 images/hour, 0:00:00 left\n"
    assert said.err == "failed: b: no picture\n"
    clock.now += 11
    progress.update([DONE], 2, 1)
    assert capsys.readouterr().out.startswith("4/4 jobs")


def test_a_log_says_how_far_the_steps_are_where_nothing_ends(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = PlainProgress()
    with progress.watching(RunFolder(Path("unused")), 4):
        progress.look([state(0, jobs=4, step=1, steps=4)])
        assert capsys.readouterr().out == ""
        clock.now += 36
        progress.look([state(0, jobs=4, step=2, steps=4)])
        progress.look([state(0, jobs=4, step=3, steps=4)])
        said = "0/4 jobs (50% of the steps), 0 failed, 200 images/hour, 0:00:36 left\n"
        assert capsys.readouterr().out == said


def test_the_same_reason_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress.update([FAILED, replace(FAILED, name="c")], 0, 2)
    progress.update([replace(FAILED, name="d")], 0, 3)
    progress.update([replace(FAILED, name="e", error="another")], 0, 4)
    said = capsys.readouterr().err
    assert said == "failed: b and 1 more: no picture\nfailed: e: another\n"


@pytest.mark.parametrize(("total", "said"), [(1, "1/1 job, "), (2000, "1/2,000 jobs, ")])
def test_jobs_are_told_as_people_write_them(
    total: int, said: str, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(PlainProgress, total, clock).update([DONE], 1, 0)
    assert capsys.readouterr().out.startswith(said)


def test_without_a_picture_yet_the_time_left_is_not_known(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(PlainProgress, 4, clock).update([FAILED], 0, 1)
    assert capsys.readouterr().out == "1/4 jobs, 1 failed, 0 images/hour, ? left\n"


def test_json_has_a_line_for_every_job_and_every_warning(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = begin(JsonProgress, 5, clock)
    progress.skipped(2)
    progress.update([DONE, FAILED], 1, 1)
    progress.warn("smaller step")
    said = capsys.readouterr()
    about = {"finished": 4, "jobs": 5, "images_per_hour": 1.0}
    assert [json.loads(line) for line in said.out.splitlines()] == [
        {"event": "done", "name": "a", "seconds": 1.5, **about},
        {"event": "failed", "name": "b", "seconds": 0.0, **about, "error": "no picture"},
        {"event": "warning", "message": "smaller step"},
    ]
    assert said.err == ""


def test_quiet_says_failures_only(capsys: pytest.CaptureFixture[str]) -> None:
    Progress().update([DONE, FAILED], 1, 1)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "failed: b: no picture\n")


# --- which one ------------------------------------------------------------------------------------


def test_the_progress_fits_where_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", StringIO())
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert type(make_progress()) is PlainProgress
    assert type(make_progress(quiet=True)) is Progress
    assert type(make_progress(quiet=True, as_json=True)) is JsonProgress
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert type(make_progress()) is LiveProgress


def test_names_are_shortened_in_the_middle() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("abcdefghij", 7) == "abc…hij"
    assert all(len(shorten("x" * 50, width)) <= width for width in range(2, 50))


def test_a_time_is_said_as_people_read_it() -> None:
    assert [duration(s) for s in (0, 59.6, 3723.4)] == ["0:00:00", "0:01:00", "1:02:03"]
    assert duration(float("nan")) == "?"


def test_a_rate_is_of_this_run_alone(clock: SimpleNamespace) -> None:
    progress = Progress()
    assert progress.rate(0) == 0
    clock.now += 1800
    progress.skipped(100)
    assert progress.rate(50) == 100
