"""The temporal loss: a frame's result against the one before, moved by optical flow.

In: pictures. Out: B values, one a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pipeline.method.lacking import area_means, bicubic


@dataclass(frozen=True)
class Before:
    """The results of the frames before, as the frames of a batch should go on from them.

    Attributes:
        moved: omega, the result before, moved by the flow, B x 3 x H x W in [0, 1].
        weights: c, where the flow is to be trusted, B x 1 x H x W in [0, 1].
    """

    moved: Tensor
    weights: Tensor

    def select(self, rows: Tensor) -> Before:
        """The same for some of the pictures, by their places in the batch."""
        return Before(self.moved[rows], self.weights[rows])

    def at(self, height: int, width: int) -> Before:
        """The same at another size, px."""
        if self.moved.shape[-2:] == (height, width):
            return self
        size = (height, width)
        return Before(
            bicubic(self.moved, size).clamp(0, 1),
            area_means(self.weights, size),
        )


def temporal_loss(images: Tensor, before: Before) -> Tensor:
    """L_temporal = 1/D sum_k c_k (x_k - omega_k)^2 over the D = 3 H W values of each picture; B
    values (Ruder et al. 2016, "Artistic Style Transfer for Videos", equation 7).

    Args:
        images: x, B x 3 x H x W in [0, 1].
    """
    return (before.weights * (images - before.moved).square()).mean((1, 2, 3))
