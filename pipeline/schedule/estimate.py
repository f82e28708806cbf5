"""The plan's time, from a few short trials.

In: a plan and what workers need. Out: seconds. Must not write into the run folder.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

from pipeline.errors import ImageError
from pipeline.manifest import backbone_text
from pipeline.plan import Choice, Job, Plan
from pipeline.slot import RunContext, time_job
from pipeline.store import RunFolder, shards_of


def seconds_of_one(plan: Plan, context: RunContext) -> float | None:
    """Estimated seconds of one job on the first slot, by the plan's first, or the first of each
    network that the grid has; None if none can be run.

    Their content and style alone are read.
    """
    several = max(1, len(plan.manifest.axes.get("backbone", ())))
    seconds: dict[str, float | None] = {}
    for job in plan.jobs():
        backbone = backbone_text(job.settings.backbone)
        if job.problem is None and backbone not in seconds:
            seconds[backbone] = _time(context, job)
        if len(seconds) >= several:
            break
    known = [each for each in seconds.values() if each is not None]
    return sum(known) / len(known) if known else None


def _time(context: RunContext, job: Job) -> float | None:
    with contextlib.suppress(ImageError):
        return time_job(context, job)
    return None


def measure(
    plan: Plan, choice: Choice, store: RunFolder, context: RunContext, trials: int = 3
) -> dict[str, float]:
    """Estimated seconds for what is left of the chosen jobs, by their network (`backbone_text`),
    from short trials on the first slot.

    Some open jobs of each network, spread evenly over the plan, are run for two steps a scale into
    a folder that is thrown away; the time of a step at each scale, times its steps, makes a job's
    time.

    Args:
        trials: of each network, at most.

    Returns:
        empty if nothing is left to do.
    """
    left: dict[str, int] = {}
    shards = shards_of(plan, store)
    chosen: dict[str, list[Job]] = {}
    stride = max(1, len(plan) // (trials * 4 * len(plan.manifest.backbones)))
    for job in choice.jobs(plan):
        if job.problem is not None or shards.is_done(job):
            continue
        backbone = backbone_text(job.settings.backbone)
        number, some = left.get(backbone, 0), chosen.setdefault(backbone, [])
        if number % stride == 0 and len(some) < trials * 4:
            some.append(job)
        left[backbone] = number + 1
    return {
        backbone: left[backbone] * _mean_time(some, context, trials) / len(context.slots)
        for backbone, some in chosen.items()
    }


def _mean_time(jobs: Sequence[Job], context: RunContext, trials: int) -> float:
    """Seconds of one of these jobs, by at most so many of them; 0 where none can be run."""
    seconds: list[float] = []
    for job in jobs[:: math.ceil(len(jobs) / trials)]:
        with contextlib.suppress(ImageError):  # such a job will fail by itself, at no cost
            seconds.append(time_job(context, job))
    return sum(seconds) / max(len(seconds), 1)
