"""Jobs that can share a tensor, packed into batches."""

import dataclasses
from collections.abc import Callable

from worlds import World

from pipeline.plan import Batch, Job, pack


def packed(jobs: list[Job], limit: int, slots: int) -> list[Batch]:
    return list(pack(iter(jobs), lambda w, h: limit, lambda job, error: None, slots))


def test_the_last_jobs_are_shared_out_evenly(world: Callable[[list[int]], World]) -> None:
    jobs = list(world(list(range(20))).plan.jobs())
    assert [len(b.jobs) for b in packed(jobs, 64, 8)] == [3, 3, 3, 3, 3, 3, 2]
    assert [len(b.jobs) for b in packed(jobs, 8, 2)] == [5, 5, 5, 5]
    assert [len(b.jobs) for b in packed(jobs, 64, 1)] == [20]


def test_every_job_is_in_one_batch(world: Callable[[list[int]], World]) -> None:
    jobs = list(world(list(range(700))).plan.jobs())
    batches = packed(jobs, 16, 2)
    names = [job.name for b in batches for job in b.jobs]
    assert sorted(names) == sorted(job.name for job in jobs)
    assert len({b.number for b in batches}) == len(batches)


def test_longest_batches_come_first_in_the_end(world: Callable[[list[int]], World]) -> None:
    jobs = list(world([1, 2, 3]).plan.jobs())
    steps = [10, 1000, 100]
    jobs = [
        dataclasses.replace(job, settings=job.settings.model_copy(update={"steps": n}))
        for job, n in zip(jobs, steps, strict=True)
    ]
    order = [b.jobs[0].settings.steps for b in packed(jobs, 4, 1)]
    assert order == [1000, 100, 10]


def test_packing_is_lazy(world: Callable[[list[int]], World]) -> None:
    jobs = list(world(list(range(2000))).plan.jobs())
    stream = iter(jobs)
    next(pack(stream, lambda w, h: 4, lambda job, error: None, 2))
    assert 1500 < len(list(stream)) < 2000
