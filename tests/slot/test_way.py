"""What a batch keeps along its way, and how often."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipeline.slot import way
from pipeline.slot.curves import Curves
from pipeline.slot.timer import Timer
from pipeline.store import RunFolder


@pytest.mark.parametrize("cost_s", [0.01, 0.5, 3.0])
def test_checkpoints_take_no_more_than_a_hundredth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cost_s: float
) -> None:
    """600 steps of a second: one every 10 s, unless writing it is dear."""
    moment, kept = 0.0, 0

    def save(*_: Any) -> None:
        nonlocal moment, kept
        moment += cost_s
        kept += 1

    clock = SimpleNamespace(monotonic=lambda: moment, time=lambda: moment)
    monkeypatch.setattr(way, "time", clock)
    monkeypatch.setattr(way, "save_checkpoint", save)
    monkeypatch.setattr(way, "frame_every", lambda *_: 0)
    store = RunFolder(tmp_path)
    store.begin("", {})
    context = SimpleNamespace(checkpoint_every_s=10.0)
    seat: Any = SimpleNamespace(context=context, name="0", device="cpu", label="cpu")
    batch: Any = SimpleNamespace(number=0)
    job = SimpleNamespace(name="a", key="k", settings=None)
    ready: Any = [SimpleNamespace(job=job)]
    losses = SimpleNamespace(total=torch.zeros(1))
    with ThreadPoolExecutor(1) as pool:
        kept_along = way.Way(store, seat, batch, pool, Timer())
        for number in range(1, 601):
            moment += 1.0
            step: Any = SimpleNamespace(number=number, total=601, losses=losses, state=None)
            kept_along.after(step, ready, Curves([[]]))
    assert kept == pytest.approx(600 / max(10, 100 * cost_s), rel=0.15)
    assert kept * cost_s <= 0.015 * moment


def test_the_first_step_is_told_before_it_ends(tmp_path: Path) -> None:
    """With a large network it may take long, and is no reading."""
    store = RunFolder(tmp_path)
    store.begin("", {})
    seat: Any = SimpleNamespace(name="0", device="cpu", label="cpu")
    ready: Any = [SimpleNamespace(job=SimpleNamespace(name="a"), checkpoint="there")] * 2
    with ThreadPoolExecutor(1) as pool:
        way.Way(store, seat, SimpleNamespace(number=3), pool, Timer()).begin(ready)  # type: ignore[arg-type]
    state = store.live.slot("0")
    assert state is not None and (state.phase, state.jobs, state.job) == ("optimize", 2, "a")
