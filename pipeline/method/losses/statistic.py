"""What a style loss is: one record of all there is to know of it.

In: nothing. Out: `StyleStatistic`, of which every style loss here is one. Knows no particular loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from pipeline.method.losses.squares import TINY, energy

# What a statistic makes of its targets.
Prepared = tuple[Tensor, ...]


class Prepare(Protocol):
    """What `distance` needs of targets."""

    def __call__(self, target: Tensor, device: str | None = None) -> Prepared:
        """N x C x K -> parts of N x ... , for the device that goes on with them, if it is not the
        one where the target lies."""


@dataclass(frozen=True)
class StyleStatistic:
    """What is compared of a style layer, and how.

    Targets are means over positions, so that pictures of different size compare and styles blend.
    N stands for pictures by regions, one after the other.

    Attributes:
        sums: over the positions: features N x C x M, and what they have been multiplied by, the
            root of each position's weight, N x 1 x M or None for ones -> N x C x K.
        distance: the squared distance, N values, of the means found (N x C x K) from what `prepare`
            gave.
        divisors: for `loss: paper` and `loss: mean`, what that is divided by, of the number of
            channels: that of C, but where a small network stands in for one with more.
        prepare: what `distance` needs of targets N x C x K, each part N x ... .
        size: of the target and what was prepared of it, for `loss: relative`, what the squared
            distance is measured against, N values.
        takes_bfloat16: whether `sums` does, and sums in float32 all the same.
        prepares_once: whether `prepare` takes so long that it is done once a style, on the CPU, and
            kept; else on the device for each scale.
        additive: whether the sums over parts of a picture add up to the whole's, as tiles need.
    """

    sums: Callable[[Tensor, Tensor | None], Tensor]
    distance: Callable[[Tensor, Prepared], Tensor]
    divisors: Mapping[str, Callable[[int], float]]
    prepare: Prepare = lambda target, device=None: (target,)
    size: Callable[[Tensor, Prepared], Tensor] = lambda target, prepared: energy(prepared[0])
    additive: bool = True
    takes_bfloat16: bool = False
    prepares_once: bool = False

    def divisor(self, loss: str, target: Tensor, prepared: Prepared, channels: int) -> Tensor:
        """What the squared distance is divided by in a layer, N values.

        Args:
            loss: `paper`, `mean` or `relative`.
            target: means, N x C x K.
            prepared: what `prepare` gave of them.
            channels: see `divisors`.
        """
        if loss == "relative":
            return self.size(target, prepared).clamp_min(TINY)
        return target.new_full(target.shape[:1], self.divisors[loss](channels))


def measured(loss: str, distances: Tensor, divisors: Tensor) -> Tensor:
    """The losses of squared distances, all of one shape: d^2 over its divisor.

    `loss: relative` takes the root, ||G - A|| / ||A|| for Gram matrices: a norm instead of a square
    keeps pulling when the picture is nearly there, and a weight means the same for any network,
    layer and picture.
    """
    shares = distances / divisors
    return (shares + TINY).sqrt() if loss == "relative" else shares
