"""Figures of a run, and what the page's script works on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.report.axes import make_axes
from pipeline.report.data import Reason, failure_reasons, page_data, run_figures
from pipeline.report.entries import Entry, find_entries
from pipeline.store import ClipPlace, PastRun, RunFolder, Summary


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
    name = Path(entry.content).name
    assert failure_reasons([entry, *some]) == [Reason("y", 2, (name,)), Reason("x", 1, (name,))]


def frame(name: str, video: str, number: int, **more: object) -> Entry:
    """A clip's frame as a record has it."""
    place = ClipPlace(path="/films/walk.mp4", video=video, frame=number, frames=3)
    plain: dict[str, Any] = {
        "name": name, "content": f"/cache/{number}.png", "file": None, "style": "red",
        "parts": {"red.png": 1.0},
        "digests": {}, "regions": {}, "mask": "", "keep": "", "swept": {}, "image": "x.png",
        "sha256": "0" * 64, "losses": (None,) * 4, "seconds": 1.0, "size": (64, 48),
        "finished": "", "error": None, "clip": place, "scales": (), "record": {},
    }  # fmt: skip
    return Entry(**(plain | more))


def test_a_clips_frames_are_one_content_and_name_their_video(tmp_path: Path) -> None:
    store = RunFolder(tmp_path)
    (store.videos / "walk__red.mp4").parent.mkdir(parents=True)
    (store.videos / "walk__red.mp4").write_bytes(b"film")
    lost = frame("cats/walk/3__red", "", 3, image=None, error="broken", clip=None)
    blue = frame("cats/walk/1__blue", "walk__blue", 1, style="blue")
    alone = frame("cats/other__red", "", 1, clip=None, content="/photos/other.jpg")
    two = [frame(f"cats/walk/{n}__red", "walk__red", n) for n in (1, 2)]
    entries = [*two, lost, blue, alone]
    axes = make_axes(entries)
    assert [axis.name for axis in axes] == ["content", "style"]  # a clip's folder is no class
    assert axes[0].values == ["/photos/other.jpg", "/films/walk.mp4"]
    assert axes[0].column == [1, 1, 1, 1, 0]
    data = page_data(store, entries, axes, set(), tmp_path)
    assert data["clip"] == [0, 0, 0, 1, -1]
    assert data["clips"] == [
        {"video": "videos/walk__red.mp4", "frames": 3},
        {"video": "", "frames": 3},
    ]


def test_a_run_without_clips_has_none(run: Path) -> None:
    store = RunFolder(run)
    entries = find_entries(store)[0]
    data = page_data(store, entries, make_axes(entries), set(), run)
    assert (data["clips"], data["clip"]) == ([], [])
