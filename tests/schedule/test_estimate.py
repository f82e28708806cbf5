"""A plan's time, from trials whose time is given."""

from collections.abc import Callable

import pytest
from worlds import World

from pipeline.errors import ImageError
from pipeline.plan import Choice, Job
from pipeline.schedule import estimate, measure
from pipeline.slot import RunContext


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of the jobs that were tried; a job takes as many seconds as its seed says."""
    seeds: list[int] = []

    def time_job(context: RunContext, job: Job) -> float:
        seeds.append(job.settings.seed)
        if job.settings.seed == 0:
            raise ImageError("no picture")
        return float(job.settings.seed)

    monkeypatch.setattr(estimate, "time_job", time_job)
    return seeds


def test_trials_are_spread_over_the_plan_and_slots_share_it(
    world: Callable[[list[int]], World], tried: list[int]
) -> None:
    here = world(list(range(1, 121)))
    assert measure(here.plan, Choice(), here.store, here.context(slots=2)) == {"": 120 * 41 / 2}
    assert tried == [1, 41, 81]


def test_a_picture_that_cannot_be_read_takes_no_time(
    world: Callable[[list[int]], World], tried: list[int]
) -> None:
    here = world([0, 5])
    assert measure(here.plan, Choice(), here.store, here.context()) == {"": 10}
    assert tried == [0, 5]


def test_what_is_done_takes_no_time(world: Callable[[list[int]], World], tried: list[int]) -> None:
    here = world([1, 2])
    here.run(engine="inline")
    assert measure(here.plan, Choice(), here.store, here.context()) == {} and tried == []
