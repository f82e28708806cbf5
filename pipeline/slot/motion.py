"""What a clip's frame goes on from: the result before, moved by optical flow.

In: a job, its content picture and its canvas. Out: a `Motion`. Knows nothing of the step loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.errors import ImageError, WorkerError
from pipeline.method import Scale, consistency, flicker, warp
from pipeline.pictures import fit_image, read_image, to_tensor
from pipeline.plan import Job
from pipeline.slot.contents import Content
from pipeline.slot.flow import FLOWS
from pipeline.slot.inputs import read_as_planned
from pipeline.store import RunFolder

_COARSE = 16  # px
_STAY = 1e-3  # l of `in_result_colors`


@dataclass(frozen=True)
class Motion:
    """The result of the frame before, as a frame goes on from it, at the last scale.

    Attributes:
        shown: in its own colors, moved by the flow, 3 x H x W in [0, 1].
        moved: the same as the step loop has pictures: of `color: preserve_luminance` its luminance.
        weights: 1 where the flow is to be trusted, else 0; 1 x H x W.
        begun: the picture to begin with, 3 x H x W: `moved` where the flow is to be trusted.
    """

    shown: Tensor
    moved: Tensor
    weights: Tensor
    begun: Tensor

    def flicker(self, pixels: Tensor) -> float:
        """How far a finished picture (3 x H x W) is from the one before; see `method`."""
        return float(flicker(pixels[None], self.shown[None], self.weights[None]))

    @property
    def trusted(self) -> float:
        """Share of the picture where the flow is to be trusted."""
        return float(self.weights.mean())


def read_motion(store: RunFolder, job: Job, content: Content, scale: Scale) -> Motion | None:
    """What a job goes on from; None for all but the frames after a clip's first.

    Args:
        scale: the last.

    Raises:
        ImageError: a picture cannot be read, or the frame before is of another size.
        MissingPackageError: what finds the flow is not installed.
        WeightsError: nor are its weights.
        WorkerError: the job before is not done.
    """
    before, settings = job.before, job.settings
    if before is None:
        return None
    if not store.is_done(before.name, before.key, settings):
        raise WorkerError(
            f"goes on from {before.name}, which is not done any more; run the same command again"
        )
    result = read_image(store.own_picture(before.name, settings))
    size = (scale.width, scale.height)
    if result.size != size:
        raise ImageError(
            f"{job.content.path}: would be {scale.width} x {scale.height} px, but the frame before "
            f"is {result.width} x {result.height} px; all frames of a clip must be of one size"
        )
    stretch = settings.fit == "stretch"
    path = before.content.path
    own = read_as_planned(path, job.inputs.get(path, ""), settings.background)
    frames = (own.image, content.image)
    first, second = (fit_image(frame, *size, stretch) for frame in frames)
    find = FLOWS[settings.flow]
    forward, backward = find(first, second)[None], find(second, first)[None]
    shown = _moved(to_tensor(result), backward)
    if settings.color == "preserve_luminance":
        result, first, second = (i.convert("L").convert("RGB") for i in (result, first, second))
    moved = _moved(to_tensor(result), backward)
    weights = consistency(forward, backward)[0]
    in_colors = in_result_colors(to_tensor(first), to_tensor(result), to_tensor(second))
    return Motion(shown, moved, weights, in_colors.lerp(moved, weights))


def in_result_colors(before: Tensor, result: Tensor, content: Tensor) -> Tensor:
    """A frame in the colors that its style gives them, for what no result before shows.

    The affine map A of colors that takes the frame before to its result, in coarse pixels, by least
    squares: sum |A p - x|^2 + n l |A - 1|^2, so that colors which are not there stay as they are.

    Args:
        before, result: the frame before and its result, 3 x H x W.
        content: the frame, 3 x H x W.
    """
    height, width = content.shape[1:]
    size = (height // _COARSE + 1, width // _COARSE + 1)
    pixels, wanted = (
        F.interpolate(image[None].double(), size, mode="area")[0].flatten(1)
        for image in (before, result)
    )
    known = torch.cat((pixels, torch.ones_like(pixels[:1])))
    bound = _STAY * known.shape[1] * torch.eye(4, dtype=torch.float64)
    stay = torch.eye(3, 4, dtype=torch.float64)
    moves = torch.linalg.solve(known @ known.T + bound, known @ wanted.T + bound @ stay.T).T
    whole = torch.cat((content.double().flatten(1), torch.ones(1, height * width).double()))
    found: Tensor = (moves @ whole).view(3, height, width).clamp(0, 1).float()
    return found


def _moved(pixels: Tensor, backward: Tensor) -> Tensor:
    # Bilinear would make each frame blurrier than the one before.
    return warp(pixels[None], backward, "bicubic")[0].clamp(0, 1)
