"""Sizes: what a picture is scaled and cropped to.

In: sizes. Out: sizes, or what is wrong with one. Loads no pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Fit = Literal["long", "short", "exact", "stretch"]


def parse_exact(size: str) -> tuple[int, int]:
    """Width and height of a size written `640x480`."""
    width, height = size.lower().split("x")
    return int(width), int(height)


def canvas_size(
    width: int,
    height: int,
    size: int | str,
    fit: Fit,
    *,
    shrink: float = 1.0,
    step: int = 1,
    most: int = 0,
) -> tuple[int, int]:
    """Width and height in pixels of a `width` x `height` picture after fitting.

    Args:
        size: pixels of the long or short side, or `WxH` for `exact` and `stretch`, or `original`.
        fit: which side `size` speaks of.
        shrink: factor on the result, for the smaller scales of a coarse-to-fine schedule.
        step: the sides are the nearest multiples of it where `fit` leaves the aspect ratio free, so
            that pictures of nearly one shape have one size; what that leaves over is cropped.
        most: of `original`, the longer side at most; 0 is no limit.

    >>> canvas_size(3000, 2000, 512, "long"), canvas_size(3000, 2000, 512, "short")
    ((512, 341), (768, 512))
    >>> canvas_size(3000, 2000, "640x480", "exact", shrink=0.5)
    (320, 240)
    >>> canvas_size(3000, 2000, 512, "long", step=16), canvas_size(3000, 1990, 512, "long", step=16)
    ((512, 336), (512, 336))
    >>> canvas_size(300, 200, "original", "long", most=150)
    (150, 100)
    """
    if fit in ("exact", "stretch"):
        exact_width, exact_height = parse_exact(str(size))
        return max(1, round(exact_width * shrink)), max(1, round(exact_height * shrink))
    if size == "original":
        side = max(width, height)
        size = min(side, most or side)
    else:
        side = max(width, height) if fit == "long" else min(width, height)
    factor = int(size) / side
    if step > 1:
        width, height = (max(1, round(s * factor / step)) * step for s in (width, height))
        factor = 1.0
    factor *= shrink
    return max(1, round(width * factor)), max(1, round(height * factor))


# Pixels that a side of these may have.
_LONGEST = {"webp": 16_383}


def side_problem(longest: int, settings_formats: Sequence[str]) -> str | None:
    """What is wrong with a side of so many px in one of these formats, or None."""
    for name in settings_formats:
        if longest > _LONGEST.get(name, longest):
            return f"{name} holds sides of {_LONGEST[name]:,} px at most; choose another format"
    return None
