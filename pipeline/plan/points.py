"""The points of a manifest's grid: swept values, their labels and the settings that they make.

In: a valid manifest. Out: points by number. Nothing is made before it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.errors import ImageError, ManifestError
from pipeline.manifest import Manifest, Settings
from pipeline.plan.keys import Keys
from pipeline.plan.names import Naming
from pipeline.plan.pairing import Pairing


@dataclass(frozen=True)
class Point:
    """One point of the grid.

    Attributes:
        labels: of its values, in output names.
        values: the swept ones, and the pair's own.
        canonical: the settings as they stand in job keys.
        problem: which file of the settings cannot be read.
    """

    labels: tuple[str, ...]
    values: Mapping[str, Any]
    settings: Settings
    canonical: str
    problem: ImageError | None


class Points:
    """All points of a manifest's grid."""

    def __init__(self, manifest: Manifest, pairing: Pairing, naming: Naming, keys: Keys) -> None:
        self._manifest, self._pairing = manifest, pairing
        self._naming, self._keys = naming, keys

    def __len__(self) -> int:
        return math.prod(len(values) for values in self._manifest.axes.values())

    @cached_property
    def _axes(self) -> list[tuple[str, Sequence[Any], list[str]]]:
        spelled = self._manifest.spelled
        return [
            (name, values, self._naming.axis(spelled.get(name, name), values))
            for name, values in self._manifest.axes.items()
        ]

    def labels(self, index: int, own: int) -> tuple[str, ...]:
        """A point's labels.

        Args:
            index: the last axis is fastest.
            own: which of the pairs' own settings it is for.
        """
        return self._chosen(index, own)[0]

    def _chosen(self, index: int, own: int) -> tuple[tuple[str, ...], dict[str, Any]]:
        """The labels and the values of one point."""
        values: dict[str, Any] = {}
        labels: list[str] = []
        for name, choices, names in reversed(self._axes):
            index, choice = divmod(index, len(choices))
            values[name] = choices[choice]
            labels.append(names[choice])
        mine, label = self._pairing.own_settings[own]
        values = {**mine, **dict(reversed(values.items()))}
        labels += [label] if label else []
        return tuple(reversed(labels)), values

    def point(self, index: int, own: int, clip: bool = False) -> Point:
        """A point; the first arguments are those of `labels`.

        Args:
            clip: it is for a clip's frames.

        Raises:
            ManifestError: its settings do not go together, with the versions of presets that a run
                keeps; with today's the manifest was checked.
        """
        labels, values = self._chosen(index, own)
        chosen = self._manifest.with_versions({**self._manifest.settings, **values})
        settings = Settings.model_validate(chosen)
        settings = settings.of_clips() if clip else settings
        wrong = settings.problem()
        if wrong:
            raise ManifestError([f"{self._manifest.path}:1: {wrong}"])
        canonical, problem = "", None
        try:
            canonical = self._keys.canonical(settings)
        except ImageError as error:  # of `init`; its jobs alone cannot be made
            problem = error
        return Point(labels, values, settings, canonical, problem)
