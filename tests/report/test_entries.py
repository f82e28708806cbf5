"""What there is of a run: records, failures, and what cannot be read."""

from pathlib import Path

from fake_run import EVIL

from pipeline.report import build_report
from pipeline.report.entries import find_entries
from pipeline.store import Failure, RunFolder


def test_a_record_that_cannot_be_read_is_told_and_the_rest_shown(run: Path) -> None:
    (run / "images/zz.json").write_text('{"name": "zz"')
    (run / "images/old.json").write_text('{"name": "old", "schema": 0}')
    built = build_report(RunFolder(run))
    assert built.jobs == 8 and len(built.left_out) == 2
    assert "old.json" in built.left_out[0] + built.left_out[1]
    assert "2 records could not be read" in (run / "report.html").read_text()


def test_a_job_that_was_done_after_it_failed_is_no_failure(run: Path) -> None:
    store = RunFolder(run)
    done = next(store.records()).name
    store.add_failure(Failure(name=done, error="at first"))
    found, left_out = find_entries(store)
    assert not left_out and [entry.name for entry in found] == sorted(e.name for e in found)
    assert [entry.error for entry in found if entry.name == done] == [None]
    assert [e.name for e in found if e.error is not None] == [f"b__blue__{EVIL}"]
