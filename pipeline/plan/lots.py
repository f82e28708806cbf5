"""Which jobs a plan has by name: each pair at each point of the grid, without those left out.

In: a manifest and how its outputs are named. Out: names in order, and how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache

from pipeline.manifest import JobNames, Manifest, Picture, Unnamed
from pipeline.plan.labels import own_label
from pipeline.plan.names import Naming
from pipeline.plan.pairing import PairIndex, Pairing
from pipeline.plan.points import Points


class Lots:
    """The lots of a manifest: a pair at a point of the grid is one job, or those of all frames of a
    clip, since each goes on from the one before: they are left out together."""

    def __init__(
        self, manifest: Manifest, pairing: Pairing, naming: Naming, points: Points
    ) -> None:
        self._manifest, self._pairing = manifest, pairing
        self._naming, self._points = naming, points

    def __len__(self) -> int:
        """Jobs that are not left out."""
        return self._looked_through[0] if self._excluded else self.whole

    @cached_property
    def whole(self) -> int:
        """Jobs, with those that are left out."""
        return self._pairing.count() * len(self._points)

    @cached_property
    def excluding_nothing(self) -> tuple[str, ...]:
        """The entries of the manifest's `exclude` that name no job."""
        return self._looked_through[1] if self._excluded else ()

    def named_pairs(self) -> Iterator[tuple[str, PairIndex]]:
        """The names of all jobs in order, each with its pair."""
        for pair, names in self._all():
            if not self._leaves_out(names):
                yield from ((name, pair) for name in names)

    def excludes(self, pair: PairIndex, labels: Sequence[str]) -> bool:
        """Whether a pair is left out at a point of the grid.

        Args:
            labels: of the point, in output names.
        """
        return bool(self._excluded) and self._leaves_out(self._names(pair, labels))

    @cached_property
    def content_labels(self) -> list[str]:
        """Each content's label in output names."""
        return self._naming.contents()

    @cached_property
    def style_labels(self) -> list[str]:
        """Each style's label in output names."""
        return self._naming.styles()

    @cached_property
    def _looked_through(self) -> tuple[int, tuple[str, ...]]:
        """Jobs that are not left out, and entries that name none, from all names at once."""
        kept, unnamed = 0, Unnamed(self._excluded)
        for _, names in self._all():
            any(map(unnamed.meet, names))
            kept += 0 if self._leaves_out(names) else len(names)
        return kept, unnamed.entries

    @cached_property
    def _excluded(self) -> JobNames:
        return self._manifest.exclude.among(self._every_name())

    def _every_name(self) -> Iterator[str]:
        """Also of jobs that are left out."""
        return (name for _, names in self._all() for name in names)

    def _all(self) -> Iterator[tuple[PairIndex, list[str]]]:
        labels = lru_cache(maxsize=100_000)(self._points.labels)
        for pair in self._pairing:
            for index in range(len(self._points)):
                yield pair, self._names(pair, labels(index, pair.own))

    def _names(self, pair: PairIndex, labels: Sequence[str]) -> list[str]:
        content = self._manifest.contents[pair.content]
        whole, style = self.content_labels[pair.content], self.style_labels[pair.style]
        if not content.clip:
            return [self._naming.join(whole, style, labels)]
        frames = (frame_label(whole, frame) for frame in content.frames)
        return [self._naming.join(frame, style, labels) for frame in frames]

    def _leaves_out(self, names: Sequence[str]) -> bool:
        """Whether an entry of `exclude` leaves a lot out."""
        return bool(self._excluded) and any(map(self._excluded.takes, names))


def frame_label(clip: str, frame: Picture) -> str:
    """A frame's label: its clip's is a folder."""
    return f"{clip}/{own_label(frame.label)}"
