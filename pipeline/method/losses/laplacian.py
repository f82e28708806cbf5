"""The Laplacian loss: outlines of the content picture, kept where its features let them bend.

After Li et al. 2017, "Laplacian-Steered Neural Style Transfer" (arXiv 1707.01253). With the mean
over squares of p x p pixels A_p, the Laplacian D and the content picture c,
L_lap = 1/P sum_p ||D A_p x - D A_p c||^2 / ||D A_p c||^2; the paper's sums are not divided.

In: pictures. Out: B values, one a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.method.losses.squares import TINY, energy

# The paper's two sizes, px.
SQUARES = (4, 16)


def laplacian(images: Tensor, square: int) -> Tensor:
    """D A_p of B x C x H x W where all four neighbors are, B x C x (H / p - 2) x (W / p - 2)."""
    small = F.avg_pool2d(images, square)
    around = small[..., :-2, 1:-1] + small[..., 2:, 1:-1]
    around = around + small[..., 1:-1, :-2] + small[..., 1:-1, 2:]
    return around - 4 * small[..., 1:-1, 1:-1]


@dataclass(frozen=True)
class Outlines:
    """The content pictures' Laplacians.

    Attributes:
        targets: per size of the squares, B x 3 x h x w; sizes too large for the picture are not
            there.
    """

    targets: Mapping[int, Tensor]

    @staticmethod
    def of(contents: Tensor) -> Outlines:
        """Of B x 3 x H x W in [0, 1]."""
        least = min(contents.shape[-2:])
        with torch.no_grad():
            return Outlines({p: laplacian(contents, p) for p in SQUARES if least // p > 2})

    def select(self, rows: Tensor) -> Outlines:
        """The same for some of the pictures, by their places in the batch."""
        return Outlines({square: target[rows] for square, target in self.targets.items()})

    def loss(self, images: Tensor) -> Tensor:
        """L_lap of B x 3 x H x W, B values; 0 for pictures too small to have outlines."""
        whole = images.new_zeros(len(images))
        for square, target in self.targets.items():
            apart = energy(laplacian(images, square) - target)
            whole = whole + apart / energy(target).clamp_min(TINY)
        return whole / max(1, len(self.targets))
