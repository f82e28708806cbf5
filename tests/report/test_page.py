"""The page: every job on it, its data as a browser reads it."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_run import EVIL

from pipeline.report import build_report
from pipeline.store import RunFolder


def data_of(run: Path) -> dict[str, Any]:
    """The page's data as a browser reads it: up to the first end of a script element."""
    text = (run / "report.html").read_text()
    start = text.index("const DATA=") + len("const DATA=")
    data: dict[str, Any] = json.loads(text[start : text.index(";</script>", start)])
    return data


def test_the_page_holds_every_job_and_names_cannot_end_the_script(run: Path) -> None:
    built = build_report(RunFolder(run))
    text, data = (run / "report.html").read_text(), data_of(run)
    assert built.jobs == len(data["names"]) == 8
    assert EVIL not in text
    assert [axis["name"] for axis in data["axes"]] == ["content", "style", "style_weight"]
    assert data["axes"][2]["labels"] == ["2", "10"]  # by size, not by name
    weights = data["axes"][2]
    index = data["names"].index("a__red__style_weight-10.0")
    assert weights["values"][weights["column"][index]] == 10
    assert data["losses"]["total"][index] == pytest.approx(0.1 + 3 / 20)
    broken = data["names"].index(f"b__blue__{EVIL}")
    assert data["errors"][data["error"][broken]] == f"broken: {EVIL}"
    assert data["settings"]["size"] == 64 and "style_weight" not in data["settings"]


def test_details_hold_records_and_curves(run: Path) -> None:
    build_report(RunFolder(run))
    text = (run / "report/detail/00000.js").read_text()
    assert text.startswith("nstDetail(0,") and "</script" not in text
    rows = json.loads(text[len("nstDetail(0,") : -3])
    assert len(rows) == 8
    assert rows[0]["record"]["name"] == data_of(run)["names"][0]
    assert rows[0]["curves"].count("<polyline") == 3  # tv is 0 all along: no place on a log scale


def test_details_are_written_again_only_where_they_changed(run: Path) -> None:
    build_report(RunFolder(run))
    path, stale = run / "report/detail/00000.js", run / "report/detail/00001.js"
    before = path.stat().st_mtime_ns
    stale.write_text("of jobs that are no more")
    (run / "report/detail/other.js").write_text("not a number")
    build_report(RunFolder(run))
    assert path.stat().st_mtime_ns == before
    assert [p.name for p in path.parent.iterdir()] == ["00000.js"]


def test_a_page_says_whether_the_run_goes_on_and_when_it_is_another_one(
    run: Path,
) -> None:
    def said() -> str:
        return (run / "report/live.js").read_text()

    build_report(RunFolder(run), live=True)
    assert data_of(run)["live"] is True and '"live":true' in said()
    stamp = data_of(run)["stamp"]
    assert stamp in said()
    build_report(RunFolder(run), live=True)
    assert data_of(run)["stamp"] == stamp  # the same pictures: nothing to load anew
    record = next(RunFolder(run).records())
    (run / "images" / f"{record.name}.json").unlink()
    build_report(RunFolder(run))
    assert data_of(run)["stamp"] != stamp and '"live":false' in said()
    assert data_of(run)["stamp"] in said()
