"""The pictures that jobs begin with, read before their batch runs: a fault in one is its own jobs'.

In: jobs with their content pictures. Out: what their first pictures are made of.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from pipeline.address import as_path
from pipeline.manifest import INITS
from pipeline.method import Scale, Styles
from pipeline.pictures import canvas_size, fit_image, read_identity, recolor_style, to_tensor
from pipeline.plan import Job
from pipeline.slot.contents import Content
from pipeline.slot.inputs import read_as_planned
from pipeline.slot.styles import Prepared

_OF_STYLES = ("style_noise", "content_matched")


def with_beginning(prepared: Prepared, first: Scale) -> Prepared:
    """A prepared job with what it begins with.

    Args:
        first: the scale at which it begins.

    Raises:
        ImageError: the picture that `init` names, or a style picture, cannot be read or changed
            since the plan.
    """
    job = prepared.job
    init = job.settings.init
    if init not in INITS:
        path = as_path(init)
        start = read_as_planned(path, job.inputs.get(path, ""))
        warnings = (*prepared.warnings, *start.notices)
        return replace(prepared, start=start.image, warnings=warnings)
    if init in _OF_STYLES and prepared.motion is None:
        return replace(prepared, begins=_styles(job, prepared.content, first))
    return prepared


@lru_cache(maxsize=32)
def _fitted(path: Path, planned: str, background: str, side: int) -> Tensor:
    """A style picture at this longer side, 3 x h x w; many jobs begin with the same one."""
    image = read_as_planned(path, planned, background).image
    return to_tensor(fit_image(image, *canvas_size(*image.size, side, "long")))


def _styles(job: Job, content: Content, first: Scale) -> Styles:
    settings, pictures = job.settings, []
    side = max(first.width, first.height)
    for path, _ in job.style.parts:
        pixels = _fitted(
            path, job.inputs.get(path) or read_identity(path), settings.background, side
        )
        if settings.init == "content_matched":
            sample = content.sample
            pixels = recolor_style(pixels, sample, settings.color, settings.color_transfer)
        pictures.append(pixels)
    return Styles(pictures, [weight for _, weight in job.style.parts])
