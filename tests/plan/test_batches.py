"""Jobs that can share a tensor, packed into batches."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from worlds import World

from pipeline.errors import ImageError, NstError
from pipeline.plan import Batch, Job, pack, scales_of


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


def test_a_group_that_is_not_emptied_waits_on(world: Callable[[list[int]], World]) -> None:
    jobs = list(world(list(range(300))).plan.jobs())
    batches = packed(jobs, 200, 1)
    assert [len(b.jobs) for b in batches] == [150, 150]
    stream = [len(b.jobs) for b in packed([*jobs, *jobs], 200, 1)]
    assert stream[0] == 200 and sum(stream) == 600


def test_a_full_group_leaves_nobody_waiting(world: Callable[[list[int]], World]) -> None:
    jobs = list(world(list(range(257))).plan.jobs())
    assert [len(b.jobs) for b in packed(jobs, 1, 1)] == [1] * 257


def test_jobs_that_share_nothing_leave_one_by_one(world: Callable[[list[int]], World]) -> None:
    jobs = [
        dataclasses.replace(
            job, settings=job.settings.model_copy(update={"corrections": 1 + job.index})
        )
        for job in world(list(range(300))).plan.jobs()
    ]
    batches = packed(jobs, 4, 1)
    assert [len(b.jobs) for b in batches] == [1] * 300
    assert [b.jobs[0].index for b in batches[:40]] == list(range(40))


def test_jobs_that_cannot_be_run_are_refused_and_the_others_packed(
    world: Callable[[list[int]], World], tmp_path: Path
) -> None:
    jobs = list(world([1, 2, 3]).plan.jobs())
    gone = dataclasses.replace(jobs[1].content, path=tmp_path / "gone.png")
    jobs[1] = dataclasses.replace(jobs[1], content=gone)
    refused: list[tuple[int, NstError]] = []
    batches = list(
        pack(jobs, lambda w, h: 8, lambda job, error: refused.append((job.index, error)))
    )
    assert [job.index for b in batches for job in b.jobs] == [0, 2]
    ((index, error),) = refused
    assert index == 1 and "gone.png" in str(error)


def test_a_picture_too_small_for_the_deepest_layer_is_said(
    world: Callable[[list[int]], World],
) -> None:
    (job,) = world([1]).plan.jobs()
    small = job.settings.model_copy(update={"size": 16})
    with pytest.raises(ImageError, match=r"needs sides of at least 32 px; raise `size` or leave"):
        scales_of(dataclasses.replace(job, settings=small))


def test_a_picture_too_large_for_its_format_is_said(
    world: Callable[[list[int]], World],
) -> None:
    (job,) = world([1]).plan.jobs()
    large = job.settings.model_copy(update={"size": 16_384, "format": "webp"})
    with pytest.raises(ImageError, match=r"would be 16384 x 12736 px, and webp holds sides of"):
        scales_of(dataclasses.replace(job, settings=large))


def of_sizes(world: Callable[[list[int]], World], counts: dict[int, int]) -> list[Job]:
    """Jobs whose canvases have these sizes, so many of each, taking turns."""
    left = dict(counts)
    order = []
    while left:
        for size in list(left):
            order.append(size)
            left[size] -= 1
            if not left[size]:
                del left[size]
    jobs = world(list(range(len(order)))).plan.jobs()
    return [
        dataclasses.replace(job, settings=job.settings.model_copy(update={"size": size}))
        for job, size in zip(jobs, order, strict=True)
    ]


def test_odd_sizes_do_not_drive_common_ones_out_in_parts(
    world: Callable[[list[int]], World],
) -> None:
    """More odd jobs than the first look ahead: the common size still leaves in full batches."""
    counts = {64: 320} | {65 + number: 1 for number in range(700)}
    batches = packed(of_sizes(world, counts), 64, 2)
    common = [len(b.jobs) for b in batches if b.scales[-1].width == 64]
    assert common == [64] * 5
    assert sum(len(b.jobs) for b in batches) == 1020


def test_no_more_jobs_are_held_back_than_said(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.plan.batches.MOST_HELD_FIRST", 20)
    monkeypatch.setattr("pipeline.plan.batches.MOST_HELD", 40)
    monkeypatch.setattr("pipeline.plan.batches.LOOK_AHEAD", 0)
    jobs = of_sizes(world, {64 + number: 1 for number in range(100)} | {400: 3})
    seen = 0

    def counted() -> Iterator[Job]:
        nonlocal seen
        for job in jobs:
            seen += 1
            yield job

    held, given = [], 0
    for batch in pack(counted(), lambda w, h: 4, lambda job, error: None, 1):
        given += len(batch.jobs)
        held.append(seen - given)
    assert held[0] < 24  # the first does not wait for 40
    assert max(held) <= 44 and given == len(jobs)


def of_backbones(jobs: list[Job], backbones: list[str]) -> list[Job]:
    """The jobs, each through every one of these networks in turn."""
    return [
        dataclasses.replace(job, settings=job.settings.model_copy(update={"backbone": backbone}))
        for job in jobs
        for backbone in backbones
    ]


def backbones_of(batches: list[Batch]) -> list[str | None]:
    """The network of each batch, whose jobs have it in common."""
    return [
        str(backbone) for batch in batches for backbone in {j.settings.backbone for j in batch.jobs}
    ]


def test_batches_have_one_backbone_and_those_of_one_come_together(
    world: Callable[[list[int]], World],
) -> None:
    jobs = of_backbones(list(world(list(range(1000))).plan.jobs()), ["lite", "vgg19"])
    found = backbones_of(packed(jobs, 16, 1))
    assert 125 <= len(found) <= 130
    changes = sum(a != b for a, b in itertools.pairwise(found))
    assert changes <= len(found) / 7


def test_a_slower_network_weighs_more_in_the_end(world: Callable[[list[int]], World]) -> None:
    jobs = of_backbones(list(world(list(range(6))).plan.jobs()), ["lite", "vgg19"])
    batches = packed(jobs, 6, 2)
    assert backbones_of(batches)[:2] == ["vgg19", "vgg19"]
    lite = [job for job in jobs if job.settings.backbone == "lite"]
    own = [
        dataclasses.replace(job, settings=job.settings.model_copy(update={"backbone": None}))
        for job in lite
    ]
    given = iter([*lite, *own])
    last = pack(given, lambda w, h: 6, lambda job, error: None, 1, None, "vgg19")
    assert backbones_of(list(last)) == ["None", "lite"]
