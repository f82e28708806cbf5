"""Jobs counted by axis."""

from collections.abc import Callable
from dataclasses import replace

from worlds import World

from pipeline.plan import count_by


def test_jobs_are_counted_by_content_style_and_swept_values(
    world: Callable[[list[int]], World],
) -> None:
    jobs = list(world([4, 7]).plan.jobs())
    again = [(job, job.point["seed"] == 7) for job in jobs]
    assert count_by([*again, (jobs[0], True)]) == {
        "content": {"c": (3, 2)},
        "style": {"s": (3, 2)},
        "seed": {"4": (2, 1), "7": (1, 1)},
    }


def test_classes_are_counted_where_there_are_several(
    world: Callable[[list[int]], World],
) -> None:
    jobs = list(world([4, 7]).plan.jobs())
    some = [
        (replace(job, content=replace(job.content, file=f"val/{name}/a.jpg")), done)
        for job, name, done in zip(jobs, ("cat", "dog"), (True, False), strict=True)
    ]
    counts = count_by(some)
    assert counts["class"] == {"cat": (1, 1), "dog": (1, 0)} and "split" not in counts
    assert count_by([]) == {}
