"""How large a style picture is at each scale.

In: its size, settings, scales. Out: sizes in px.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.manifest import ORIGINAL, Settings
from pipeline.method import Scale, smallest_side
from pipeline.pictures import canvas_size


def style_sizes(
    size: tuple[int, int], settings: Settings, scales: Sequence[Scale]
) -> tuple[tuple[int, int], ...]:
    """A style picture's width and height at each scale.

    The style is fitted as the content is, times `style_scale`, so strokes keep their share of the
    picture; for `fit: exact` its long side is the canvas's, for `fit: stretch` its sides are, for
    `size: original` its long side is nearly the canvas's: pictures of all sizes share targets. No
    side is shorter than the deepest layer needs.
    """
    least = smallest_side(settings.layers)
    sizes = []
    for scale in scales:
        if settings.fit == "stretch":
            width, height = (round(s * settings.style_scale) for s in (scale.width, scale.height))
        elif settings.fit == "exact":
            side = round(max(scale.width, scale.height) * settings.style_scale)
            width, height = canvas_size(*size, side, "long")
        elif settings.size == ORIGINAL:
            side = _rounded(max(scales[-1].width, scales[-1].height))
            shrink = scale.shrink * settings.style_scale
            width, height = canvas_size(*size, side, "long", shrink=shrink)
        else:
            shrink = scale.shrink * settings.style_scale
            width, height = canvas_size(*size, settings.size, settings.fit, shrink=shrink)
        grow = max(1.0, least / min(width, height))
        sizes.append((round(width * grow), round(height * grow)))
    return tuple(sizes)


def _rounded(side: int) -> int:
    """The nearest of sides that are a fifth apart (of a fourth root of 2): strokes are at most a
    tenth larger or smaller than they would be."""
    return round(2 ** (round(4 * math.log2(side)) / 4))
