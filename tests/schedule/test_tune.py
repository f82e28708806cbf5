"""Sharing out the CPU's cores by measuring."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from pipeline.schedule import (
    best_layout,
    keep_workers,
    kept_workers,
    measure_layouts,
    share_cpu,
    tune,
)
from pipeline.schedule.tune import Layout


@pytest.fixture
def threads() -> Iterator[None]:
    """torch has as many threads afterwards as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_quickest_layout_wins_and_of_equals_the_one_of_fewest_workers() -> None:
    one, two, four = Layout(1, 4, 50.0), Layout(2, 2, 99.0), Layout(4, 1, 100.0)
    assert best_layout([one, two, four]) == two
    assert best_layout([one, Layout(2, 2, 90.0), four]) == four


def test_what_was_measured_is_kept_for_this_machine_alone(tmp_path: Path) -> None:
    assert kept_workers(tmp_path, 4) is None
    keep_workers(tmp_path, 4, 2)
    assert kept_workers(tmp_path, 4) == 2 and kept_workers(tmp_path, 8) is None
    (tmp_path / "cpu.json").write_text("{damaged")
    assert kept_workers(tmp_path, 4) is None
    assert len(share_cpu(("cpu",), 100, 1e6, 1)) == 1


@pytest.mark.long
def test_a_process_of_its_own_makes_the_steps() -> None:
    (layout,) = measure_layouts(1, side=48, seconds=0.2)
    assert (layout.workers, layout.threads) == (1, 1) and layout.steps > 0


@pytest.mark.parametrize(
    ("cores", "layouts"),
    [
        (1, [(1, 1)]),
        (2, [(1, 2), (2, 1)]),
        (6, [(1, 6), (2, 3), (4, 1), (6, 1)]),
        (8, [(1, 8), (2, 4), (4, 2), (8, 1)]),
        (64, [(1, 64), (2, 32), (4, 16), (8, 8), (16, 4), (32, 2), (64, 1)]),
    ],
)
def test_every_layout_uses_the_cores_there_are(
    cores: int, layouts: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = set()

    def steps(threads: int, side: int, start: float, seconds: float) -> float:
        starts.add(start)
        return 10.0

    monkeypatch.setattr(tune, "total_memory", lambda: 10**12)
    monkeypatch.setattr(tune, "ProcessPoolExecutor", ThreadPoolExecutor)
    monkeypatch.setattr(tune, "_ready", lambda: None)
    monkeypatch.setattr(tune, "_steps_per_second", steps)
    found = list(measure_layouts(cores, side=48, seconds=0.2))
    assert [(layout.workers, layout.threads) for layout in found] == layouts
    assert [layout.steps for layout in found] == [10.0 * workers for workers, _ in layouts]
    assert len(starts) == len(layouts)  # the workers of a layout begin together


@pytest.mark.parametrize(("memory", "workers"), [(8e9, [1, 2, 4]), (1e8, [1])])
def test_no_more_workers_are_measured_than_memory_holds(
    memory: float, workers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "total_memory", lambda: int(memory))
    monkeypatch.setattr(tune, "ProcessPoolExecutor", ThreadPoolExecutor)
    monkeypatch.setattr(tune, "_ready", lambda: None)
    monkeypatch.setattr(tune, "_steps_per_second", lambda *given: 1.0)
    assert [layout.workers for layout in measure_layouts(32)] == workers


def test_steps_are_counted_with_as_many_threads_as_asked_for(threads: None) -> None:
    assert tune._steps_per_second(1, 48, 0.0, 0.05) > 0
    assert torch.get_num_threads() == 1
    tune._ready()
