"""Settings and the grid: what is wrong with each value, and with values that do not go together.

In: a document. Out: the settings and axes that are right; the rest is reported.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from pipeline.manifest.close_names import nearest
from pipeline.manifest.document import Document, Position
from pipeline.manifest.explain import explain, shown
from pipeline.manifest.fields import ORIGINAL
from pipeline.manifest.levels import swept_twice
from pipeline.manifest.presets import PRESETS, preset_values
from pipeline.manifest.settings import Settings, both_names


def settings_problems(values: Mapping[str, Any]) -> list[tuple[Position, str]]:
    """What is wrong with settings, as (position, message); empty when all is right."""
    problems: list[tuple[Position, str]] = []
    twice = both_names(values)
    if twice:
        return [((twice[0],), twice[1])]
    preset = values.get("preset", "default")
    if not isinstance(preset, str) or preset_values(preset) is None:
        names = list(PRESETS)
        return [
            (
                ("preset",),
                f"{shown(preset)} is not a preset" + nearest(str(preset), names),
            )
        ]
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        for problem in error.errors():
            parts = [p for p in problem["loc"] if p != "[key]" and not str(p).startswith("func")]
            position = tuple(parts)
            problems.append((position, explain(problem, ("settings", *position))))
    return problems


def check_settings(document: Document) -> dict[str, Any]:
    """The settings of every job that are right; the others are reported."""
    settings = document.data.get("settings")
    if not isinstance(settings, dict):
        return {}
    wrong = set()
    for position, message in settings_problems(settings):
        document.report(("settings", *position), message)
        wrong.add(str(position[0]) if position else "")
    return {key: value for key, value in settings.items() if str(key) not in wrong}


def check_grid(document: Document, settings: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """The grid's values that are right; the others are reported."""
    grid = document.data.get("grid")
    axes: dict[str, tuple[Any, ...]] = {}
    for name, values in grid.items() if isinstance(grid, dict) else ():
        if name not in Settings.model_fields:
            known = list(Settings.model_fields)
            document.report(("grid", name), "unknown setting" + nearest(str(name), known))
        elif isinstance(values, list):  # what is no list has been reported
            right = dict(_check_axis(document, settings, name, values))
            axes[name], document.kept[f"grid.{name}"] = tuple(right.values()), list(right)
    for level, message in swept_twice(settings, axes):
        document.report(("grid", level), message)
    return axes


def _check_axis(
    document: Document, settings: Mapping[str, Any], name: str, values: Sequence[Any]
) -> Iterator[tuple[int, Any]]:
    """The axis's values that are right, as validated (`1e3` and `1000` are one), each with its
    place; one that stands twice is reported."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        problems = settings_problems({**settings, name: value})
        if name == "backbone" and value is None:
            problems = [((name,), "name a network")]
        for position, message in problems:
            document.report(("grid", name, index, *position[1:]), message)
        if problems:
            continue
        valid = getattr(Settings.model_validate({**settings, name: value}), name)
        text = repr(valid)
        if text in seen:
            document.report(
                ("grid", name, index),
                f"{shown(value)} stands twice, also at [{seen[text]}]",
            )
        seen.setdefault(text, index)
        yield index, valid


# What `Settings.problem` looks at.
_TOGETHER = (
    "preset", "strength", "stroke", "size", "max_size", "fit", "format", "depth", "profile", "exif",
    "animation", "alpha",
)  # fmt: skip


def together_problems(
    settings: Mapping[str, Any], axes: Mapping[str, tuple[Any, ...]]
) -> Iterator[str]:
    """What does not go together at any point of the grid, each problem once.

    Args:
        settings: those that every point has, right by themselves.
        axes: the grid. Of sizes, which may be many, the smallest and the largest of each form speak
            for all.
    """
    names = [name for name in _TOGETHER if name in axes]
    choices = [_extremes(axes[name]) if name == "size" else axes[name] for name in names]
    told = set()
    for point in itertools.product(*choices):
        try:
            valid = Settings.model_validate({**settings, **dict(zip(names, point, strict=True))})
        except ValidationError:
            continue  # what is wrong by itself has been told
        problem = valid.problem()
        if problem and problem not in told:
            told.add(problem)
            yield problem


def concerns_others(settings: Mapping[str, Any]) -> bool:
    """Whether any of these has to go together with others."""
    return any(name in settings for name in _TOGETHER)


def _extremes(sizes: Sequence[Any]) -> list[Any]:
    """The smallest and the largest of whole numbers and of `WxH`."""
    numbers = [size for size in sizes if not isinstance(size, str)]
    own = [size for size in sizes if size == ORIGINAL]
    both = [size for size in sizes if isinstance(size, str) and size not in own]
    ends = [
        end(both, key=lambda size: end(map(int, size.split("x")))) for end in (min, max) if both
    ]
    ends += [min(numbers), max(numbers)] if numbers else []
    return list(dict.fromkeys([*ends, *own]))


def check_together(
    document: Document, settings: Mapping[str, Any], axes: Mapping[str, tuple[Any, ...]]
) -> None:
    """Settings that have to go together do so at every point of the grid."""
    swept = any(name in axes for name in _TOGETHER)
    for problem in together_problems(settings, axes):
        document.report(("grid",) if swept else ("settings",), problem)
