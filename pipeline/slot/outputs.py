"""What becomes of a finished job: colors put back, picture encoded, record, animation.

In: a prepared job and its result as tensors. Out: files in the run folder. Knows nothing of the
step loop.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.files import write_atomic
from pipeline.manifest import Settings
from pipeline.method import Scale
from pipeline.pictures import (
    Encoding,
    animate,
    encode,
    fit_image,
    read_exif,
    read_profile,
    read_size,
    recolor_result,
    to_tensor,
)
from pipeline.plan import Job
from pipeline.slot.checkpoint import Curve
from pipeline.slot.inputs import Content, Prepared
from pipeline.store import RunFolder, now
from pipeline.version import ALGORITHM, __version__

# Pictures of an animation, about, where `save_every` does not say.
_FRAMES = 50
_FRAME_NAME = "{:06}.jpg"


@dataclass(frozen=True)
class Result:
    """What the step loop made of a job.

    Attributes:
        image: 3 x H x W in [0, 1].
        curve: losses of some steps.
        steps: in which the picture was moved.
    """

    image: Tensor
    curve: Curve
    steps: int
    warnings: tuple[str, ...] = ()

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
    """

    backbone: Mapping[str, str]
    device: str
    precision: str
    scales: Sequence[Scale]
    seconds: Mapping[str, float]
    number: int
    jobs: int
    attempts: int


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of what decides pixels and of what ran it."""
    return {
        "nst": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _finished(image: Tensor, content: Content, settings: Settings) -> Tensor:
    """A picture of the step loop with the colors that the setting `color` wants, on the CPU."""
    pixels = image.detach().float().cpu().clamp(0, 1)
    if settings.color in ("style", "preserve_histogram"):
        return pixels
    height, width = pixels.shape[1:]
    own = fit_image(content.image, width, height, settings.fit == "stretch")
    return recolor_result(pixels, to_tensor(own), settings.color)


def frame_every(settings: Settings, total: int) -> int:
    """Steps between the pictures of the way there that are kept; 0 for none.

    Args:
        total: steps of the whole schedule.
    """
    if settings.save_every:
        return settings.save_every
    return max(1, total // _FRAMES) if settings.animation != "none" else 0


def write_frame(store: RunFolder, prepared: Prepared, step: int, image: Tensor) -> None:
    """Writes a picture of the way there: `frames/<job>/<step>.jpg`.

    Raises:
        RunFolderError: no space or no rights.
    """
    pixels = _finished(image, prepared.content, prepared.job.settings)
    path = store.frames / prepared.job.name / _FRAME_NAME.format(step)
    write_atomic(path, encode(pixels, Encoding("jpg", 92)), store.temporary)


def drop_frames(store: RunFolder, job: Job) -> None:
    """Removes what an earlier attempt kept of its way."""
    shutil.rmtree(store.frames / job.name, ignore_errors=True)


def write_result(
    store: RunFolder, prepared: Prepared, result: Result, about: Circumstances
) -> None:
    """Encodes and writes one job's animation, picture and record.

    Raises:
        ImageError: the content picture, whose profile or EXIF data is wanted, is gone.
        RunFolderError: no space or no rights.
    """
    job, settings = prepared.job, prepared.job.settings
    pixels = _finished(result.image, prepared.content, settings)
    size = (pixels.shape[2], pixels.shape[1])
    values = settings.model_dump(mode="json")
    text = {"settings": values, "key": job.key, "backbone": dict(about.backbone)}
    how = Encoding(
        settings.format,
        settings.quality,
        settings.depth,
        read_profile(job.content.path) if settings.profile == "content" else None,
        read_exif(job.content.path) if settings.exif else b"",
        text,
    )
    data = encode(pixels, how)
    record = _record(prepared, result, about)
    if settings.animation != "none":
        record["animation"] = _write_animation(store, job, pixels, size)
    store.write_job(job.name, job.key, settings, data, size, record)
    store.checkpoint_path(job.key).unlink(missing_ok=True)


def _write_animation(store: RunFolder, job: Job, pixels: Tensor, size: tuple[int, int]) -> str:
    """Makes a job's animation of its frames and its result; the path below the run folder."""
    folder, settings = store.frames / job.name, job.settings
    last = folder / _FRAME_NAME.format(999_999_999)  # after all steps, by name
    write_atomic(last, encode(pixels, Encoding("jpg", 92)), store.temporary)
    path = store.animations / f"{job.name}.{settings.animation}"
    write_atomic(path, animate(_frames_in(folder), size, settings.animation), store.temporary)
    last.unlink()
    if not settings.save_every:
        shutil.rmtree(folder)
    return path.relative_to(store.path).as_posix()


def _frames_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jpg"), key=lambda path: int(path.stem))


def _record(prepared: Prepared, result: Result, about: Circumstances) -> dict[str, Any]:
    job = prepared.job
    style: dict[str, Any] = {"name": job.style.label, "pictures": _style_pictures(prepared)}
    content: dict[str, Any] = {
        "path": str(job.content.path),
        "sha256": prepared.content.sha256,
        "size": list(prepared.content.image.size),
    }
    if job.content.mask is not None:
        content["mask"] = str(job.content.mask)
    return {
        "name": job.name,
        "content": content,
        "style": style,
        "settings": job.settings.model_dump(mode="json"),
        "swept": dict(job.point),
        "backbone": dict(about.backbone),
        "algorithm": ALGORITHM,
        "seed": job.settings.seed,
        "device": about.device,
        "precision": about.precision,
        "versions": versions(),
        "finished": now(),
        "seconds": {k: round(v / about.jobs, 4) for k, v in about.seconds.items()},
        "targets": {"hits": prepared.hits, "computed": prepared.computed},
        "scales": [[s.width, s.height, s.steps] for s in about.scales],
        "steps": result.steps,
        "losses": result.curve,
        "batch": {"number": about.number, "size": about.jobs},
        "attempts": about.attempts,
        "warnings": [*prepared.warnings, *result.warnings],
    }


def _style_pictures(prepared: Prepared) -> list[dict[str, Any]]:
    style = prepared.job.style
    pictures = []
    for index, (path, weight) in enumerate(style.parts):
        picture: dict[str, Any] = {
            "path": str(path),
            "sha256": prepared.style_sha256[index],
            "weight": weight,
            "size": list(read_size(path)),
        }
        if style.masks and style.masks[index] is not None:
            picture["mask"] = str(style.masks[index])
        if style.regions:
            picture["region"] = style.regions[index]
        pictures.append(picture)
    return pictures
