"""Jobs counted by content, style, class, split and each swept setting.

In: jobs, each with whether it is done. Out: a table.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.plan.classes import PLACES, place_values
from pipeline.plan.jobs import Job
from pipeline.plan.labels import value_text


def job_values(job: Job) -> dict[str, str]:
    """A job's content, style, class, split and swept settings, as a person reads them."""
    content = job.place.label if job.place else job.content.label
    swept = {name: value_text(value) for name, value in job.point.items()}
    return {"content": content, "style": job.style.label, **place_values(job.below), **swept}


def count_by(jobs: Iterable[tuple[Job, bool]]) -> dict[str, dict[str, tuple[int, int]]]:
    """Counts of jobs and of done jobs by the value of each of the axes of `job_values`.

    Args:
        jobs: each job with whether it is done.

    Returns:
        axis -> value -> (jobs, done); class and split only where there are several.
    """
    table: dict[str, dict[str, tuple[int, int]]] = {}
    for job, done in jobs:
        for axis, value in job_values(job).items():
            row = table.setdefault(axis, {})
            total, finished = row.get(value, (0, 0))
            row[value] = (total + 1, finished + done)
    return {axis: rows for axis, rows in table.items() if axis not in PLACES or len(rows) > 1}
