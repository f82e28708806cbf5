"""The plan's time, from a few short trials.

In: a plan and what workers need. Out: seconds. Must not write into the run folder.
"""

from __future__ import annotations

import contextlib
import math

from pipeline.errors import ImageError
from pipeline.plan import Choice, Job, Plan
from pipeline.slot import RunContext, time_job
from pipeline.store import RunFolder, shards_of


def seconds_of_one(plan: Plan, context: RunContext) -> float | None:
    """Estimated seconds of one job on the first slot, by the plan's first; None if none can be run.

    Its content and style alone are read.
    """
    job = next((job for job in plan.jobs() if job.problem is None), None)
    if job is None:
        return None
    with contextlib.suppress(ImageError):
        return time_job(context, job)
    return None


def measure(
    plan: Plan, choice: Choice, store: RunFolder, context: RunContext, trials: int = 3
) -> float | None:
    """Estimated seconds for what is left of the chosen jobs, from short trials on the first slot.

    Some open jobs, spread evenly over the plan, are run for two steps a scale into a folder that is
    thrown away; the time of a step at each scale, times its steps, makes a job's time.

    Returns:
        None if nothing is left to do.
    """
    left = 0
    shards = shards_of(plan, store)
    chosen: list[Job] = []
    stride = max(1, len(plan) // (trials * 4))
    for job in choice.jobs(plan):
        if job.problem is not None or shards.is_done(job):
            continue
        if left % stride == 0 and len(chosen) < trials * 4:
            chosen.append(job)
        left += 1
    if not chosen:
        return None
    seconds: list[float] = []
    for job in chosen[:: math.ceil(len(chosen) / trials)]:
        with contextlib.suppress(ImageError):  # such a job will fail by itself, at no cost
            seconds.append(time_job(context, job))
    return left * sum(seconds) / max(len(seconds), 1) / len(context.slots)
