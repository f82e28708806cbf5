"""Strength and stroke: levels with a name, each of which stands for some settings' numbers.

In: nothing. Out: plain values, which stand between a preset's and those that are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Chosen by looking at pictures of `default`, whose own values `medium` are.
LEVELS: dict[str, dict[str, dict[str, float]]] = {
    "strength": {
        "subtle": {"content_weight": 2.0, "neighbor_content": 0.6},
        "medium": {"content_weight": 1.0, "neighbor_content": 0.3},
        "strong": {"content_weight": 0.5, "neighbor_content": 0.15},
        "extreme": {"content_weight": 0.2, "neighbor_content": 0.0},
    },
    "stroke": {
        "fine": {"style_scale": 0.7},
        "medium": {"style_scale": 1.0},
        "large": {"style_scale": 1.5},
    },
}
# Presets that are other tools': their numbers are not on the levels' scale.
PEER_PRESETS = ("gatys2016", "neural-style", "style-transfer-pytorch", "tutorial")


def numbers_of(level: str) -> tuple[str, ...]:
    """The settings that a level's names stand for.

    >>> numbers_of("strength")
    ('content_weight', 'neighbor_content')
    """
    return tuple(LEVELS[level]["medium"])


def level_values(given: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that the levels among given settings stand for.

    >>> level_values({"stroke": "large", "steps": 20})
    {'style_scale': 1.5}
    """
    values: dict[str, float] = {}
    for level, names in LEVELS.items():
        values |= names.get(str(given.get(level)), {})
    return values


def level_problem(preset: str, levels: Mapping[str, str | None]) -> str | None:
    """What is wrong with levels beside this preset, or None."""
    named = [f"{level} {name}" for level, name in levels.items() if name is not None]
    if not named or preset.partition("@")[0] not in PEER_PRESETS:
        return None
    return f"{named[0]} with preset {preset} does not go: its weights are that tool's own; " + (
        "give numbers, or start from preset default"
    )


def swept_twice(settings: Mapping[str, Any], swept: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Levels of a grid whose numbers are swept too, or all given: (level, what is said of it)."""
    found = []
    for level in LEVELS.keys() & swept.keys():
        numbers = numbers_of(level)
        twice = [number for number in numbers if number in swept]
        given = [number for number in numbers if number in settings]
        if twice:
            found.append((level, f"stands for {twice[0]}, which is swept too; leave one out"))
        elif len(given) == len(numbers):
            named = " and ".join(given)
            found.append((level, f"stands for {named}, given beside it; leave one out"))
    return found
