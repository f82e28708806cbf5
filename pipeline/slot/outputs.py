"""What becomes of a finished job: picture encoded, record written.

In: a prepared job and its result as tensors. Out: files in the run folder. Knows nothing of the
step loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from pipeline.address import as_path
from pipeline.manifest import preset_version
from pipeline.method import Scale
from pipeline.notices import Notice
from pipeline.pictures import (
    Encoding,
    encode,
    fit_image,
    member_labels,
    read_exif,
    read_profile,
    read_size,
    to_image,
    to_tensor,
)
from pipeline.plan import Job
from pipeline.slot.checkpoint import Curve
from pipeline.slot.frames import finished, write_animation
from pipeline.slot.styles import Prepared
from pipeline.store import (
    About,
    ClipPlace,
    ContentInput,
    RunFolder,
    StyleInput,
    StylePicture,
    TargetCounts,
    Warned,
    now,
)
from pipeline.version import ALGORITHM, versions


@dataclass(frozen=True)
class Result:
    """What the step loop made of a job.

    Attributes:
        image: 3 x H x W in [0, 1], on the CPU.
        curve: losses of some steps.
        steps: in which the picture was moved.
    """

    image: Tensor
    curve: Curve
    steps: int
    warnings: tuple[Notice, ...] = ()

    @property
    def is_finite(self) -> bool:
        """Whether no loss and no pixel is NaN or infinite."""
        totals = torch.tensor([point["total"] for point in self.curve])
        return bool(torch.isfinite(totals).all() and torch.isfinite(self.image).all())


@dataclass(frozen=True)
class Circumstances:
    """What a record says of how its batch was run.

    Attributes:
        seconds: wall time of the batch by phase.
        jobs: jobs in the batch.
        contents: different content pictures among them.
        threads: of torch on a CPU; 0 on other devices.
    """

    backbone: Mapping[str, str | None]
    device: str
    precision: str
    deterministic: bool
    scales: Sequence[Scale]
    seconds: Mapping[str, float]
    number: int
    jobs: int
    attempts: int
    contents: int = 1
    threads: int = 0


def write_result(
    store: RunFolder, prepared: Prepared, result: Result, about: Circumstances
) -> None:
    """Encodes and writes one job's animation, picture and record.

    Raises:
        ImageError: the content picture, whose profile or EXIF data is wanted, is gone.
        RunFolderError: no space or no rights.
    """
    job, settings = prepared.job, prepared.job.settings
    pixels = finished(result.image, prepared)
    size = (pixels.shape[2], pixels.shape[1])
    how_made = _how_made(prepared, result, about)
    how_made.clip = _clip(prepared, pixels)
    how = Encoding(
        settings.format,
        settings.quality,
        settings.depth,
        read_profile(job.content.path) if settings.profile == "content" else None,
        read_exif(job.content.path) if settings.exif else b"",
        _alpha(prepared, size) if settings.alpha == "keep" else None,
        how_made.in_short(job.key),
    )
    data = encode(pixels, how)
    if settings.animation != "none":
        how_made.animation = write_animation(store, job, pixels, size)
    store.write_job(job.name, job.key, settings, data, size, how_made)
    store.inside.drop(store.checkpoint_path(job.key))


def _alpha(prepared: Prepared, size: tuple[int, int]) -> Image.Image | None:
    """The content picture's transparency, fitted as the picture is; None if it has none."""
    alpha = prepared.content.alpha
    if alpha is None:
        return None
    # Neither rings: what is wholly there, or wholly not, stays so.
    larger = size[0] > alpha.width or size[1] > alpha.height
    how = Image.Resampling.BILINEAR if larger else Image.Resampling.BOX
    return fit_image(alpha, *size, prepared.job.settings.fit == "stretch", how)


def _how_made(prepared: Prepared, result: Result, about: Circumstances) -> About:
    """All of the record but what is said of the output file."""
    job = prepared.job
    return About(
        name=job.name,
        content=_content(prepared),
        style=StyleInput(name=job.style.label, pictures=_style_pictures(prepared)),
        settings=job.settings.model_dump(mode="json"),
        swept=dict(job.point),
        backbone=dict(about.backbone),
        preset_version=preset_version(job.settings.preset),
        algorithm=ALGORITHM,
        seed=job.settings.seed,
        device=about.device,
        precision=about.precision,
        deterministic=about.deterministic,
        versions=versions(),
        finished=now(),
        seconds={k: round(v / about.jobs, 4) for k, v in about.seconds.items()},
        targets=TargetCounts(hits=prepared.hits, computed=prepared.computed),
        init_sha256=_digest(job, as_path(job.settings.init)),
        scales=[(s.width, s.height, s.steps) for s in about.scales],
        steps=result.steps,
        losses=result.curve,
        batch={
            "number": about.number,
            "size": about.jobs,
            "contents": about.contents,
            **({"threads": about.threads} if about.threads else {}),
        },
        attempts=about.attempts,
        warnings=[
            Warned(code=said.code, text=said.text)
            for said in (*prepared.warnings, *result.warnings)
        ],
    )


def _digest(job: Job, path: Path) -> str:
    """SHA-256 of one of a job's files, as its key has it, 64 hex digits; empty for any other."""
    return job.inputs.get(path, "")[:64]


def _clip(prepared: Prepared, pixels: Tensor) -> ClipPlace | None:
    """Where a clip's frame stands, and how it flickers."""
    place, motion = prepared.job.place, prepared.motion
    if place is None:
        return None
    # As it is written, since the picture before is compared as it was.
    shown = to_tensor(to_image(pixels))
    return ClipPlace(
        path=str(place.source),
        video=place.chain,
        frame=place.number + 1,
        frames=place.count,
        before=place.before.name if place.before else None,
        flicker=round(motion.flicker(shown), 6) if motion else None,
        trusted=round(motion.trusted, 4) if motion else None,
    )


def _content(prepared: Prepared) -> ContentInput:
    picture = prepared.job.content
    about = ContentInput(
        path=str(picture.path),
        sha256=prepared.content.sha256,
        size=prepared.content.size,
    )
    if prepared.job.place is None:
        about.file = picture.below
    labels = member_labels(picture.path)
    if labels:
        about.labels = labels
    if picture.mask is not None:
        about.mask, about.mask_sha256 = str(picture.mask), _digest(prepared.job, picture.mask)
    if picture.keep is not None:
        about.keep, about.keep_sha256 = str(picture.keep), _digest(prepared.job, picture.keep)
    return about


def _style_pictures(prepared: Prepared) -> list[StylePicture]:
    style = prepared.job.style
    pictures = []
    for index, (path, weight) in enumerate(style.parts):
        picture = StylePicture(
            path=str(path),
            sha256=prepared.style_sha256[index],
            weight=weight,
            size=read_size(path),
        )
        mask = style.masks[index] if style.masks else None
        if mask is not None:
            picture.mask, picture.mask_sha256 = str(mask), _digest(prepared.job, mask)
        if style.regions:
            picture.region = style.regions[index]
        pictures.append(picture)
    return pictures
