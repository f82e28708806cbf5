"""Jobs counted by content, style and each swept setting.

In: jobs, each with whether it is done. Out: a table.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.plan.jobs import Job
from pipeline.plan.labels import value_text


def job_values(job: Job) -> dict[str, str]:
    """A job's content, style and swept settings, as a person reads them."""
    content = job.place.label if job.place else job.content.label
    swept = {name: value_text(value) for name, value in job.point.items()}
    return {"content": content, "style": job.style.label, **swept}


def count_by(jobs: Iterable[tuple[Job, bool]]) -> dict[str, dict[str, tuple[int, int]]]:
    """Counts of jobs and of done jobs by content, style and each swept setting's value.

    Args:
        jobs: each job with whether it is done.

    Returns:
        axis -> value -> (jobs, done).
    """
    table: dict[str, dict[str, tuple[int, int]]] = {}
    for job, done in jobs:
        for axis, value in job_values(job).items():
            row = table.setdefault(axis, {})
            total, finished = row.get(value, (0, 0))
            row[value] = (total + 1, finished + done)
    return table
