"""Figures of a run, and what the page's script works on."""

from dataclasses import replace
from pathlib import Path

from pipeline.report.axes import make_axes
from pipeline.report.data import failure_reasons, page_data, run_figures
from pipeline.report.entries import find_entries
from pipeline.store import PastRun, RunFolder, Summary


def test_figures_add_up_all_runs_and_shards(run: Path) -> None:
    for part, seconds in (("1-of-2", 3000.0), ("2-of-2", 600.0)):
        earlier = [PastRun(done=2, seconds=3600.0, utilization=0.5), PastRun(seconds=99.0)]
        summary = Summary(jobs=6, done=1, seconds=seconds, utilization=1.0, earlier=earlier)
        RunFolder(run, part).write_summary(summary)
    store = RunFolder(run)
    figures = run_figures(store, find_entries(store)[0])
    assert figures[:5] == [
        ("done", "7 of 12"),
        ("failed", "1"),
        ("images per hour", "2"),
        ("time", "3 h 0 min"),
        ("slots busy", "67%"),
    ]
    assert ("device", "cpu, fp32: 7 pictures") in figures


def test_less_than_an_hour_is_told_in_minutes(run: Path) -> None:
    store = RunFolder(run)
    store.write_summary(Summary(jobs=8, done=7, seconds=125.4))
    assert ("time", "2 min 5 s") in run_figures(store, find_entries(store)[0])


def test_the_network_of_an_exported_manifest_is_the_runs(run: Path) -> None:
    store = RunFolder(run)
    entries = find_entries(store)[0]

    def backbone() -> object:
        return page_data(store, entries, make_axes(entries), set(), run)["backbone"]

    assert backbone() == {"name": "lite"}
    header = {"backbone": {"name": "vgg19", "weights": "w.pth", "weights_sha256": "0"}}
    store.begin("", header)
    assert backbone() == {"name": "vgg19", "weights": "w.pth"}


def test_losses_that_are_no_numbers_are_left_out(run: Path) -> None:
    store = RunFolder(run)
    entries = find_entries(store)[0]
    entries[0] = replace(entries[0], losses=(float("nan"), None, 1.23456, None))
    losses = page_data(store, entries, make_axes(entries), set(), run)["losses"]
    assert [losses[name][0] for name in ("total", "content", "style")] == [None, None, 1.235]


def test_the_most_frequent_reason_comes_first(run: Path) -> None:
    entry = find_entries(RunFolder(run))[0][0]
    some = [replace(entry, name=n, error=e) for n, e in (("a", "x"), ("b", "y"), ("c", "y"))]
    assert failure_reasons([entry, *some]) == [("y", ["b", "c"]), ("x", ["a"])]
