"""A batch: jobs that go through their steps as one tensor, and what they are read by.

In: jobs. Out: values that cross the border of a worker process. Must not load torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import ImageError
from pipeline.method import Scale, last_scales, schedule_scales, smallest_side
from pipeline.pictures import read_size, side_problem
from pipeline.plan.jobs import Job

Planned = tuple[str, str, str]  # of content, mask and keep
ContentKey = tuple[Path, str, bool, "Path | None", "Path | None", bool, Planned, bool]


@dataclass(frozen=True)
class Batch:
    """Jobs optimized together as one tensor on one device.

    Attributes:
        jobs: they share canvas, scales, loss, optimizer and layers.
        scales: the schedule, coarse to fine.
        attempts: how often workers died over these jobs before.
        ahead: content pictures that this slot will likely want next, decoded meanwhile.
        spoilt: slots whose device broke over this batch.
        alone: lost together with others, so that it is run with no other beside it, and the one to
            blame is known.
    """

    number: int
    jobs: tuple[Job, ...]
    scales: tuple[Scale, ...]
    attempts: int = 0
    ahead: tuple[ContentKey, ...] = ()
    spoilt: tuple[int, ...] = ()
    alone: bool = False

    def followed_by(self, other: Batch | None) -> Batch:
        """This batch, with the other's content pictures to be read ahead."""
        keys = dict.fromkeys(content_key(job) for job in other.jobs) if other else ()
        return replace(self, ahead=tuple(keys))


def content_key(job: Job) -> ContentKey:
    """What decides how a job's content picture is read; jobs that share it share the picture."""
    settings = job.settings
    gray = settings.color == "preserve_luminance"
    content = job.content
    keeps_alpha = settings.alpha == "keep"
    files = (content.path, content.mask, content.keep)
    first, second, third = (job.inputs.get(file, "") if file else "" for file in files)
    planned = (first, second, third)
    levels = content.mask is not None and job.style.names_levels
    return (
        content.path, settings.background, gray, content.mask, content.keep, keeps_alpha, planned,
        levels,
    )  # fmt: skip


def scales_of(job: Job) -> tuple[Scale, ...]:
    """The schedule of a job, from its content's header alone; that of a frame that goes on from
    the one before has the last sizes only.

    Raises:
        ImageError: the picture cannot be read, or would be too small for the deepest layer or too
            large for its format.
    """
    scales = schedule_scales(job.settings, *read_size(job.content.path))
    if job.before:
        scales = last_scales(scales, job.settings.clip_steps)
    least = smallest_side(job.settings.layers)
    last = scales[-1]
    if min(last.width, last.height) < least:
        raise ImageError(
            f"{job.content.path}: would be {last.width} x {last.height} px, but layer "
            f"{job.settings.layers[-1]} needs sides of at least {least} px; raise `size` or leave "
            f"the deepest layers out"
        )
    problem = side_problem(max(last.width, last.height), job.settings.written_as)
    if problem:
        raise ImageError(
            f"{job.content.path}: would be {last.width} x {last.height} px, and {problem}"
        )
    return scales
