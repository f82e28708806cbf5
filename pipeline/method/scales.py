"""The coarse-to-fine schedule: which sizes, how many steps at each.

In: settings and a content picture's size. Out: `Scale`s. Must not load torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from pipeline.layers import shrink_of
from pipeline.manifest import Settings
from pipeline.pictures import canvas_size


@dataclass(frozen=True)
class Scale:
    """One size of the coarse-to-fine schedule.

    Attributes:
        width, height: of the canvas, px.
        shrink: this scale's sides over the last scale's.
        steps: optimizer steps.
        rate: factor on the learning rate.
    """

    width: int
    height: int
    shrink: float
    steps: int
    rate: float

    @property
    def pixels(self) -> int:
        """Of the canvas."""
        return self.width * self.height


def smallest_side(layers: Sequence[str]) -> int:
    """The shortest picture side in px that leaves 2 positions at the deepest of `layers`."""
    return 2 * max(map(shrink_of, layers))


def schedule_scales(settings: Settings, width: int, height: int) -> tuple[Scale, ...]:
    """The scales of a `width` x `height` content picture, coarse to fine.

    Sizes grow geometrically from `scale_start` to the full size by at most `scale_factor` each;
    sizes too small for the deepest layer are left out. Every scale gets at least one step; a list
    of `steps` names each scale's, the last for all that follow.

    >>> scales = schedule_scales(Settings(size=512, steps=150), 3000, 2000)
    >>> [(scale.width, scale.height, scale.steps) for scale in scales]
    [(64, 43, 60), (128, 85, 41), (256, 171, 29), (512, 341, 20)]
    """
    canvas = partial(
        canvas_size, width, height, settings.size, settings.fit,
        step=settings.side_step, most=settings.max_size,
    )  # fmt: skip
    full = canvas()
    shrinks = [1.0]
    if 0 < settings.scale_start < max(full):
        ratio = max(full) / settings.scale_start
        count = math.ceil(math.log(ratio) / math.log(settings.scale_factor) - 1e-9)
        shrinks = [ratio ** (i / count - 1) for i in range(count)] + [1.0]
    least = smallest_side(settings.layers)
    shrinks = [s for s in shrinks if s == 1 or min(full) * s >= least]
    if isinstance(settings.steps, int):
        shrinks = shrinks[-settings.steps :]
        shares = [settings.step_falloff**i for i in range(len(shrinks))]
        steps = _share_out(settings.steps, shares)
    else:
        last = len(settings.steps) - 1
        steps = [settings.steps[min(i, last)] for i in range(len(shrinks))]
    scales = []
    for index, (shrink, count) in enumerate(zip(shrinks, steps, strict=True)):
        size = canvas(shrink=shrink)
        scales.append(Scale(*size, shrink, count, settings.learning_rate_falloff**index))
    return tuple(scales)


def last_scales(scales: Sequence[Scale], steps: int | Sequence[int]) -> tuple[Scale, ...]:
    """The last of a schedule's scales with steps of their own: one a number; at least the last.

    >>> scales = schedule_scales(Settings(size=512, steps=150), 3000, 2000)
    >>> [(scale.width, scale.steps) for scale in last_scales(scales, (20, 10))]
    [(256, 20), (512, 10)]
    """
    counts = (steps,) if isinstance(steps, int) else tuple(steps)
    counts = counts[-len(scales) :]
    chosen = scales[len(scales) - len(counts) :]
    return tuple(replace(scale, steps=n) for scale, n in zip(chosen, counts, strict=True))


def _share_out(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to `shares`, each at least 1, that sum to `total`."""
    counts = [max(1, math.floor(total * share / sum(shares))) for share in shares]
    order = sorted(range(len(counts)), key=lambda i: -shares[i])
    for index in range(total - sum(counts)):
        counts[order[index % len(counts)]] += 1
    while sum(counts) > total:
        counts[counts.index(max(counts))] -= 1
    return counts
