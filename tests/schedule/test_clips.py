"""Clips in a run: frames one after the other, clips side by side, failures handed on."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clips import moving, write_frames
from fake_work import FAILS, KILLED, KILLED_ONCE, fake_work
from worlds import World

from pipeline.plan import Batch
from pipeline.schedule import RunOptions
from pipeline.schedule.cluster import ClusterEngine
from pipeline.slot import Outcome, Report, RunContext


@pytest.fixture
def clips(tmp_path: Path, world: Callable[[list[int]], World]) -> Callable[..., World]:
    """A world whose content is a clip of some frames."""

    def make(seeds: list[int], frames: int = 4) -> World:
        write_frames(tmp_path / "f", moving(frames))
        made = world(seeds)
        text = (tmp_path / "m.yaml").read_text().replace("c.png", "f/%04d.png")
        (tmp_path / "m.yaml").write_text(text)
        return made.again(tmp_path / "m.yaml")

    return make


def finished(made: World) -> dict[str, Any]:
    records = {}
    for job in made.plan.jobs():
        if made.store.is_done(job.name, job.key, job.settings):
            records[job.name] = made.store.image_path(job.name, job.settings).stat().st_mtime_ns
    return records


def assert_in_order(made: World) -> None:
    done = finished(made)
    for job in made.plan.jobs():
        if job.before and job.name in done:
            assert done[job.before.name] <= done[job.name]


@pytest.mark.parametrize("options", [{}, {"engine": "inline"}])
def test_frames_are_run_in_order_in_any_engine(
    clips: Callable[..., World], options: dict[str, Any]
) -> None:
    made = clips([1, 2, 3])
    result = made.run(slots=2, **options)
    assert (result.done, result.failed) == (12, 0)
    assert_in_order(made)
    # `fake_work` writes no pictures, so that their videos cannot be made.
    assert sorted(result.videos_failed) == [f"f__s__seed-{n}" for n in (1, 2, 3)]


def test_a_failed_frame_fails_its_own_clip_alone(clips: Callable[..., World]) -> None:
    made = clips([1, FAILS])
    result = made.run(slots=2)
    assert (result.done, result.failed) == (4, 4)
    failures = made.store.failures()
    first, *others = (failures[f"f/000{n}__s__seed-{FAILS}"].error for n in (1, 2, 3, 4))
    assert first == "on purpose"
    expected = f"frame f/0001__s__seed-{FAILS}, before it, failed: on purpose"
    assert others == [expected] * 3


def test_a_worker_that_dies_costs_no_frame(clips: Callable[..., World]) -> None:
    made = clips([1, KILLED_ONCE], frames=3)
    result = made.run(slots=2)
    assert (result.done, result.failed) == (6, 0)
    assert_in_order(made)


def test_a_frame_that_kills_its_worker_fails_those_after_it(clips: Callable[..., World]) -> None:
    made = clips([1, KILLED], frames=2)
    result = made.run(slots=1, retries=0)
    assert (result.done, result.failed) == (2, 2)
    assert "before it, failed: " in made.store.failures()[f"f/0002__s__seed-{KILLED}"].error


def test_a_run_that_is_stopped_goes_on_with_the_next_frame(clips: Callable[..., World]) -> None:
    made = clips([1, 2])

    def stops(context: RunContext, slot: int | None, batch: Batch) -> Report:
        places = [job.place for job in batch.jobs]
        if any(place is not None and place.number == 2 for place in places):
            stopped = tuple(Outcome(job.name, job.key, "stopped") for job in batch.jobs)
            return Report(stopped, "0", "fake", {}, 0.0)
        return fake_work(context, slot, batch)

    result = made.run(work=stops, engine="inline")
    assert (result.done, result.failed, result.exit_code) == (4, 0, 130)
    result = made.run(engine="inline")
    assert (result.done, result.already_done, result.failed) == (4, 4, 0)
    assert_in_order(made)


@pytest.mark.parametrize("lazy", [True, False])
def test_a_cluster_runs_frames_in_rounds(
    clips: Callable[..., World], monkeypatch: pytest.MonkeyPatch, lazy: bool
) -> None:
    made = clips([1, 2, FAILS], frames=3)

    def open_cluster(context: RunContext, work: Any, options: RunOptions) -> Any:
        return contextlib.nullcontext(
            ClusterEngine(context, work, "threading", lazy=lazy, gone=str)
        )

    monkeypatch.setattr("pipeline.schedule.run.open_engine", open_cluster)
    result = made.run()
    assert (result.done, result.failed) == (6, 3)
    assert_in_order(made)


def test_a_clip_is_in_one_shard(clips: Callable[..., World]) -> None:
    made = clips(list(range(6)), frames=3)
    parts = []
    for number in (1, 2):
        options = RunOptions(shard=(number, 2))
        part = {
            job.place.chain
            for job in made.plan.jobs()
            if job.place and options.takes(job.place.first_key)
        }
        before = finished(made).keys()
        made.run(engine="inline", shard=(number, 2))
        names = finished(made).keys() - before
        assert {
            n.replace("/0001", "").replace("/0002", "").replace("/0003", "") for n in names
        } == part
        parts.append(part)
    assert len(finished(made)) == 18 and not parts[0] & parts[1]
