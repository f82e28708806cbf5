"""What a favorite is to be made with at a larger size, so that it keeps its look.

In: the settings and scales of a job that is done. Out: settings that a larger one has otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.manifest import side_step


def grown_settings(
    settings: Mapping[str, Any], scales: Sequence[tuple[int, int, int]]
) -> dict[str, Any]:
    """What changes in a job's settings when its size grows, by whatever factor.

    A larger picture begins as the smaller one did and has more scales after it, as the presets with
    a list of steps do by themselves. One number of steps for all scales would be shared out among
    more of them, so the steps of each scale are named. A picture that was made at its full size
    alone gets that size as its first scale; those after it have `step_falloff` times its steps.
    `size_step`, if there is one, is the one that it had: to be multiplied by the factor, so that
    the shape stays, or left out where that is no whole number.

    Args:
        scales: width and height in px and steps of each, as records have them; without any, as in
            older records, nothing is known and nothing changes.

    >>> grown_settings({"steps": 100, "scale_start": 64}, [(64, 48, 60), (128, 96, 40)])
    {'steps': [60, 40]}
    >>> grown_settings({"steps": 500, "scale_start": 0, "step_falloff": 0.5}, [(512, 340, 500)])
    {'scale_start': 512, 'steps': [500, 250]}
    >>> grown_settings({"steps": [60, 41], "scale_start": 64}, [(64, 48, 60), (128, 96, 41)])
    {}
    >>> grown_settings({"steps": [60], "size": 512, "size_step": 16}, [(512, 336, 60)])
    {'scale_start': 512, 'size_step': 16}
    """
    if not scales:
        return {}
    grown: dict[str, Any] = {}
    width, height, last = scales[-1]
    alone = len(scales) == 1
    if alone and not 0 < settings.get("scale_start", 0) <= max(width, height):
        grown["scale_start"] = max(width, height)
    if isinstance(settings.get("steps"), int):
        after = [max(1, round(last * settings.get("step_falloff", 1.0)))] if alone else []
        grown["steps"] = [*(steps for _, _, steps in scales), *after]
    step = side_step(settings.get("size_step", 1), settings.get("size"))
    free = settings.get("fit", "long") in ("long", "short")
    return grown | ({"size_step": step} if step > 1 and free else {})
