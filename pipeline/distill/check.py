"""How far a student is from its teacher on pictures that it never saw.

In: weights and pictures. Out: an error a tap. Must not know how the student was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor

from pipeline.distill.recipe import TAPS
from pipeline.method import Backbone, Weights
from pipeline.pictures import read_image, to_tensor


@torch.no_grad()
def held_out_errors(
    student: Weights, teacher: Weights, pictures: Sequence[Path], side: int = 256
) -> dict[str, float]:
    """Squared error over energy per tap between student and teacher on whole pictures.

    The student's features and the teacher's live in different bases; `student`'s heads are mapped
    to the teacher's space by the best linear map over the pictures, as a 1x1 projection would.
    """
    ours, theirs = Backbone(student, TAPS), Backbone(teacher, TAPS)
    sums: dict[str, list[Tensor]] = {}
    for path in pictures:
        image = read_image(path)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        pixels = to_tensor(image)[None]
        wanted = theirs(pixels)
        for tap, features in ours(pixels).items():
            a = F.pad(features, (0, 0, 0, 0, 0, 1), value=1.0)[0].flatten(1).double()
            b = wanted[tap][0].flatten(1).double()
            parts = [a @ a.T, a @ b.T, b.square().sum()]
            sums[tap] = (
                [s + p for s, p in zip(sums[tap], parts, strict=True)] if tap in sums else parts
            )
    errors = {}
    for tap, (aa, ab, energy) in sums.items():
        ridge = 1e-9 * aa.diagonal().mean() * torch.eye(len(aa))
        solution = torch.linalg.solve(aa + ridge, ab)
        errors[tap] = float((energy - (solution * ab).sum()) / energy)
    return errors
