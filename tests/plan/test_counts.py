"""Jobs counted by axis."""

from collections.abc import Callable

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
    assert count_by([]) == {}
