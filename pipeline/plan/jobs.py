"""Manifest -> a lazy stream of jobs.

In: a valid manifest and the digest of the backbone. Out: jobs in a stable order, each with a name
that no other job has. The plan is never held whole in memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError
from pipeline.manifest import DEFAULT_MAX_JOBS, Manifest, Picture, Settings, Style
from pipeline.plan.keys import Keys
from pipeline.plan.names import (
    axis_labels,
    content_labels,
    safe_label,
    style_candidates,
    unique_labels,
)
from pipeline.plan.pairing import Pairing


@dataclass(frozen=True)
class Before:
    """The job of a frame before: its name, key and content picture."""

    name: str
    key: str
    content: Picture


@dataclass(frozen=True)
class Place:
    """Where a frame stands in its clip.

    Attributes:
        chain: the name of the clip with this style and these settings, below `videos/`.
        source: the clip's file, or pattern of files.
        label: the clip's, as contents have them.
        number: of the frame, from 0.
        count: of the clip's frames.
        first_key: of the chain's first job.
        before: None for the first frame.
    """

    chain: str
    source: Path
    label: str
    number: int
    count: int
    first_key: str
    before: Before | None


@dataclass(frozen=True)
class Job:
    """One content picture, one style, one point of the grid: one output picture.

    Attributes:
        index: position in the plan.
        name: output path below `images/`, without suffix; unique in the plan.
        key: SHA-256 over all that decides the output; 64 hex digits.
        point: the swept values.
        place: in a clip; None for a picture alone.
    """

    index: int
    name: str
    key: str
    content: Picture
    style: Style
    settings: Settings
    point: Mapping[str, Any]
    place: Place | None = None

    @property
    def before(self) -> Before | None:
        """The job that this one goes on from, if any."""
        return self.place.before if self.place else None


@dataclass(frozen=True)
class _Point:
    labels: tuple[str, ...]
    values: Mapping[str, Any]
    settings: Settings
    canonical: str


class Plan:
    """The jobs of a manifest, in order.

    Args:
        manifest: valid.
        digest: of the backbone's weights, for given settings (they decide normalization).
        algorithm: version of the code that decides pixels.
        max_jobs: more are refused.

    Raises:
        ManifestError: more than `max_jobs` jobs.
    """

    def __init__(
        self,
        manifest: Manifest,
        digest: Callable[[Settings], str],
        algorithm: int,
        max_jobs: int = DEFAULT_MAX_JOBS,
    ) -> None:
        self.manifest, self.pairing = manifest, Pairing(manifest)
        self._keys = Keys(digest, algorithm)
        self._points = math.prod(len(values) for values in manifest.axes.values())
        if len(self) > max_jobs:
            raise ManifestError(
                [
                    f"{manifest.path}:1: {len(self):,} jobs ({self._pairs:,} pairs x "
                    f"{self._points:,} grid points) are more than --max-jobs {max_jobs:,}; make "
                    f"the grid smaller or raise the limit"
                ]
            )

    def __len__(self) -> int:
        return self._pairs * self._points

    @cached_property
    def _pairs(self) -> int:
        return self.pairing.count()

    @property
    def shard_size(self) -> int:
        """Jobs in a tar shard; 0 where pictures stay loose files."""
        form = self.manifest.form
        return form.shard_size if form.format == "webdataset" else 0

    @cached_property
    def content_labels(self) -> list[str]:
        """Each content's label in output names."""
        return content_labels(self.manifest.contents)

    @cached_property
    def style_labels(self) -> list[str]:
        """Each style's label in output names."""
        return unique_labels([style_candidates(s) for s in self.manifest.styles])

    @cached_property
    def _axes(self) -> list[tuple[str, Sequence[Any], list[str]]]:
        spelled = self.manifest.spelled
        return [
            (name, values, axis_labels(spelled.get(name, name), values))
            for name, values in self.manifest.axes.items()
        ]

    def _point(self, index: int, own: int) -> _Point:
        values: dict[str, Any] = {}
        labels: list[str] = []
        for name, choices, names in reversed(self._axes):
            index, choice = divmod(index, len(choices))
            values[name] = choices[choice]
            labels.append(names[choice])
        mine, label = self.pairing.own_settings[own]
        values = {**mine, **dict(reversed(values.items()))}
        labels += [label] if label else []
        chosen = self.manifest.with_versions({**self.manifest.settings, **values})
        settings = Settings.model_validate(chosen)
        return _Point(tuple(reversed(labels)), values, settings, self._keys.canonical(settings))

    def jobs(self) -> Iterator[Job]:
        """All jobs in order: contents, then their styles, then the grid, last axis fastest.

        Raises:
            ImageError: an input file has vanished or cannot be read.
        """
        point = lru_cache(maxsize=100_000)(self._point)
        numbers = itertools.count()
        for pair in self.pairing:
            content = self.manifest.contents[pair.content]
            style = self.manifest.styles[pair.style]
            names = (self.content_labels[pair.content], self.style_labels[pair.style])
            for index in range(self._points):
                at = point(index, pair.own)
                own = style.weighted(at.settings.blend)
                several = self._frames if content.clip else self._alone
                yield from several(numbers, names, content, own, at)

    def _alone(
        self,
        numbers: Iterator[int],
        names: tuple[str, str],
        content: Picture,
        style: Style,
        at: _Point,
    ) -> Iterator[Job]:
        """The one job of a picture."""
        yield Job(
            index=next(numbers),
            name="__".join((*names, *at.labels)),
            key=self._keys.key(content, style, at.settings, at.canonical),
            content=content,
            style=style,
            settings=at.settings,
            point=at.values,
        )

    def _frames(
        self,
        numbers: Iterator[int],
        names: tuple[str, str],
        content: Picture,
        style: Style,
        at: _Point,
    ) -> Iterator[Job]:
        """The jobs of a clip's frames, in order; each but the first goes on from the one before."""
        label, *rest = *names, *at.labels
        first_key, before = "", None
        for number, frame in enumerate(content.frames):
            name = "__".join((f"{label}/{safe_label(frame.label)}", *rest))
            after = before.key if before else ""
            key = self._keys.key(frame, style, at.settings, at.canonical, after)
            first_key = first_key or key
            yield Job(
                index=next(numbers),
                name=name,
                key=key,
                content=replace(frame, label=f"{content.label}/{frame.label}"),
                style=style,
                settings=at.settings,
                point=at.values,
                place=Place(
                    chain="__".join((label, *rest)),
                    source=content.path,
                    label=content.label,
                    number=number,
                    count=len(content.frames),
                    first_key=first_key,
                    before=before,
                ),
            )
            before = Before(name, key, frame)
