"""Content losses by name: how far a layer's features are from the content picture's.

In: sums over features. Out: B values, one a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from pipeline.method.losses.guides import guides_at
from pipeline.method.losses.squares import TINY


def kept_at(keeps: Tensor, size: Sequence[int]) -> Tensor:
    """Weights of a content layer's positions, B x 1 x h x w, of mean 1 in each picture.

    The area means of `keeps` over the positions, divided by their own mean: where all is alike but
    not black they are 1; black is 0, and black all over leaves no content loss.

    Args:
        keeps: B x 1 x H x W in [0, 1].
    """
    shares = guides_at(keeps, size)
    return shares / shares.mean((2, 3), keepdim=True).clamp_min(TINY)


def content_paper(difference: Tensor, target: Tensor, count: int) -> Tensor:
    """L_c = 1/2 sum (F - P)^2 (Gatys et al. 2016, equation 1); its gradient in F is F - P.

    Args:
        difference: sum (F - P)^2, B values.
        target: sum P^2, B values; not used.
        count: N M, channels by positions; not used.
    """
    return 0.5 * difference


def content_relative(difference: Tensor, target: Tensor, count: int) -> Tensor:
    """sum (F - P)^2 / sum P^2: the paper's sum, measured against the target's own energy."""
    return difference / target.clamp_min(TINY)


def content_mean(difference: Tensor, target: Tensor, count: int) -> Tensor:
    """Mean of (F - P)^2 over all N M values, as neural-style and most tools have it."""
    return difference / count


CONTENT_LOSSES: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "paper": content_paper,
    "relative": content_relative,
    "mean": content_mean,
}
