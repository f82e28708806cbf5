"""A batch: jobs that go through their steps as one tensor, and what they are read by.

In: jobs. Out: values that cross the border of a worker process. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import ImageError
from pipeline.method import Scale, last_scales, schedule_scales, smallest_side
from pipeline.pictures import read_size, side_problem
from pipeline.plan.jobs import Job

Planned = tuple[str, str, str]  # of content, mask and keep


class ContentKey(NamedTuple):
    """What decides how a content picture is read; jobs that share it share the picture.

    Attributes:
        path: of its file.
        background: color under what is transparent.
        gray: whether its luminance alone is optimized.
        mask, keep: files that belong to it.
        keeps_alpha: whether the written picture has its transparency.
        planned: what the plan found these files to be; empty where it did not look.
        sizes: width and height in px of the canvas at each scale, the largest last; none for all
            pixels.
        stretch: whether it is fitted to them without regard to its aspect ratio.
        sampled: whether its colors are asked for; see `Content.sample`.
        reduced: whether no more of it is decoded than is needed.
        levels: whether the style names gray levels of the mask.
    """

    path: Path
    background: str = "white"
    gray: bool = False
    mask: Path | None = None
    keep: Path | None = None
    keeps_alpha: bool = False
    planned: Planned = ("", "", "")
    sizes: tuple[tuple[int, int], ...] = ()
    stretch: bool = False
    sampled: bool = False
    reduced: bool = False
    levels: bool = False


@dataclass(frozen=True)
class Batch:
    """Jobs optimized together as one tensor on one device.

    Attributes:
        jobs: they share canvas, scales, loss, optimizer and layers.
        scales: the schedule, coarse to fine.
        attempts: how often workers died over these jobs before.
        ahead: content pictures that this slot will likely want next, decoded meanwhile.
        spoilt: slots whose device broke over this batch.
        died: slots whose process ended over it, or hung.
        alone: lost together with others, so that it is run with no other beside it, and the one to
            blame is known.
    """

    number: int
    jobs: tuple[Job, ...]
    scales: tuple[Scale, ...]
    attempts: int = 0
    ahead: tuple[ContentKey, ...] = ()
    spoilt: tuple[int, ...] = ()
    died: tuple[int, ...] = ()
    alone: bool = False

    def followed_by(self, other: Batch | None) -> Batch:
        """This batch, with the other's content pictures to be read ahead."""
        keys = other.contents if other else ()
        return replace(self, ahead=keys)

    @property
    def contents(self) -> tuple[ContentKey, ...]:
        """Its content pictures, each once."""
        return tuple(dict.fromkeys(content_key(job, self.scales) for job in self.jobs))


def content_key(job: Job, scales: Sequence[Scale]) -> ContentKey:
    """What decides how a job's content picture is read, for these scales."""
    settings, content = job.settings, job.content
    files = (content.path, content.mask, content.keep)
    first, second, third = (job.inputs.get(file, "") if file else "" for file in files)
    return ContentKey(
        content.path,
        settings.background,
        settings.color == "preserve_luminance",
        content.mask,
        content.keep,
        settings.alpha == "keep",
        (first, second, third),
        tuple((scale.width, scale.height) for scale in scales),
        settings.fit == "stretch",
        settings.color in _SAMPLED or settings.init == "content_matched",
        settings.decoding == "reduced",
        content.mask is not None and job.style.names_levels,
    )


# Settings of `color` that move a style's colors to the content's.
_SAMPLED = ("preserve_luminance", "preserve_histogram")


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
