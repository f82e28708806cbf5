"""Sharing out the CPU's cores by measuring."""

from pathlib import Path

from pipeline.schedule import (
    available_cores,
    best_layout,
    keep_layout,
    kept_workers,
    measure_layouts,
    share_cpu,
)
from pipeline.schedule.tune import Layout


def test_the_quickest_layout_wins_and_of_equals_the_one_of_fewest_workers() -> None:
    one, two, four = Layout(1, 4, 50.0), Layout(2, 2, 99.0), Layout(4, 1, 100.0)
    assert best_layout([one, two, four]) == two
    assert best_layout([one, Layout(2, 2, 90.0), four]) == four


def test_what_was_measured_is_kept_for_this_machine_alone(tmp_path: Path) -> None:
    assert kept_workers(tmp_path, 4) is None
    keep_layout(tmp_path, 4, Layout(2, 2, 9.0))
    assert kept_workers(tmp_path, 4) == 2 and kept_workers(tmp_path, 8) is None
    (tmp_path / "cpu.json").write_text("{damaged")
    assert kept_workers(tmp_path, 4) is None
    assert len(share_cpu(("cpu",), 100, 1e6, 1)) == 1


def test_every_layout_uses_the_cores_there_are() -> None:
    cores = min(2, available_cores())
    layouts = list(measure_layouts(cores, side=48, seconds=0.2))
    assert [layout.workers for layout in layouts] == [1, 2][:cores]
    assert all(layout.workers * layout.threads <= cores for layout in layouts)
    assert all(layout.steps > 0 for layout in layouts)
