"""Curves and the timeline, as numbers in an SVG."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.report.drawings import curves_svg, timeline_svg
from pipeline.report.entries import Entry, find_entries
from pipeline.store import RunFolder


def test_curves_fall_where_losses_fall() -> None:
    svg = curves_svg({"losses": [{"step": s, "total": 10.0 ** (3 - s)} for s in (1, 2, 3)]})
    places = svg.split('points="')[1].split('"')[0].split()
    assert places == ["44.0,12.0", "197.0,80.0", "350.0,148.0"]
    assert curves_svg({"losses": [{"step": 1, "total": float("nan")}]}) == ""


@pytest.fixture
def entry(run: Path) -> Entry:
    return next(e for e in find_entries(RunFolder(run))[0] if e.image)


def finished(entry: Entry, *moments: str) -> list[Entry]:
    return [replace(entry, finished=moment) for moment in moments]


def test_the_timeline_rises_with_every_picture(entry: Entry) -> None:
    times = [f"2026-01-01T00:00:{second:02}+00:00" for second in (0, 30, 10)]
    svg = timeline_svg(finished(entry, *times))
    places = svg.split('points="')[1].split('"')[0].split()
    assert places == ["0,58", "0.0,44.0", "200.0,30.0", "600.0,16.0", "600.0,2.0"]


def test_there_is_no_timeline_of_less_than_two_moments(entry: Entry) -> None:
    moment = "2026-01-01T00:00:00+00:00"
    assert timeline_svg([]) == timeline_svg(finished(entry, moment)) == ""
    assert timeline_svg(finished(entry, moment, moment)) == ""
    assert timeline_svg(finished(entry, moment, "yesterday", "")) == ""  # not times
