"""Total variation by name: what differences of neighboring pixels cost.

In: pictures. Out: B values.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def tv_mean_squares(images: Tensor) -> Tensor:
    """Mean squared difference of neighboring pixels, down plus across; B values.

    Args:
        images: B x 3 x H x W in [0, 1].
    """
    down = (images[:, :, 1:] - images[:, :, :-1]).square().mean((1, 2, 3))
    across = (images[:, :, :, 1:] - images[:, :, :, :-1]).square().mean((1, 2, 3))
    return down + across


def tv_sum_squares(images: Tensor) -> Tensor:
    """Sum of squared differences of neighboring pixels; B values. Twice neural-style's."""
    down = (images[:, :, 1:] - images[:, :, :-1]).square().sum((1, 2, 3))
    return down + (images[:, :, :, 1:] - images[:, :, :, :-1]).square().sum((1, 2, 3))


def tv_sum_absolute(images: Tensor) -> Tensor:
    """Sum of absolute differences of neighboring pixels; B values. neural-style-pt's."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().sum((1, 2, 3))
    return down + (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().sum((1, 2, 3))


TV_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean_squares": tv_mean_squares,
    "sum_squares": tv_sum_squares,
    "sum_absolute": tv_sum_absolute,
}
