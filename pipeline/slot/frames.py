"""Pictures of the way there, and animations of them.

In: a prepared job and tensors of the step loop. Out: files in the run folder.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from pipeline.manifest import Settings
from pipeline.pictures import Encoding, animate, encode, fit_image, recolor_result, to_tensor
from pipeline.plan import Job
from pipeline.slot.styles import Prepared
from pipeline.slot.untouched import soft_edge, styled_share
from pipeline.store import RunFolder

# Pictures of an animation, about, where `save_every` does not say.
_FRAMES = 50


_FRAME_NAME = "{:06}.jpg"


def finished(image: Tensor, prepared: Prepared) -> Tensor:
    """A picture of the step loop with the colors that the setting `color` wants, and as it was
    where a mask leaves it so, on the CPU."""
    content, settings = prepared.content, prepared.job.settings
    pixels = image.detach().float().cpu().clamp(0, 1)
    height, width = pixels.shape[1:]
    stretch = settings.fit == "stretch"
    styled = styled_share(content.mask, prepared.shares, width, height, stretch)
    recolors = settings.color in ("preserve_luminance", "original_colors")
    if styled is None and not recolors:
        return pixels
    own = to_tensor(fit_image(content.image, width, height, stretch))
    if recolors:
        pixels = recolor_result(pixels, own, settings.color)
    # Weights of 0 and 1 give either picture's values as they are.
    return pixels if styled is None else own.lerp(pixels, soft_edge(styled, settings.mask_edge))


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
    pixels = finished(image, prepared)
    path = store.frames / prepared.job.name / _FRAME_NAME.format(step)
    store.write(path, encode(pixels, Encoding("jpg", 92)))


def drop_frames(store: RunFolder, job: Job) -> None:
    """Removes what an earlier attempt kept of its way."""
    store.inside.remove_tree(store.frames / job.name)


def write_animation(store: RunFolder, job: Job, pixels: Tensor, size: tuple[int, int]) -> str:
    """Makes a job's animation of its frames and its result; the path below the run folder."""
    folder, settings = store.frames / job.name, job.settings
    last = folder / _FRAME_NAME.format(999_999_999)  # after all steps, by name
    store.write(last, encode(pixels, Encoding("jpg", 92)))
    path = store.animations / f"{job.name}.{settings.animation}"
    store.write(path, animate(_frames_in(store, folder), size, settings.animation))
    store.inside.drop(last)
    if not settings.save_every:
        store.inside.remove_tree(folder)
    return path.relative_to(store.path).as_posix()


def _frames_in(store: RunFolder, folder: Path) -> list[Path]:
    """Those that were kept here; nothing that a link leads to."""
    found = store.inside.files(folder, "*.jpg")
    ours = [p for p in found if p.stem.isdecimal() and store.inside.is_file(p)]
    return sorted(ours, key=lambda path: int(path.stem))
