"""Manifest -> a lazy stream of jobs.

In: a valid manifest and the digest of the backbone. Out: jobs in a stable order, each with a name
that no other job has. The plan is never held whole in memory.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import ImageError, ManifestError
from pipeline.manifest import DEFAULT_MAX_JOBS, Manifest, Picture, Settings, Style
from pipeline.plan.keys import Keys, remote_ahead
from pipeline.plan.lots import Lots, frame_label
from pipeline.plan.names import Names, naming_of
from pipeline.plan.order import Order, in_order
from pipeline.plan.pairing import PairIndex, Pairing
from pipeline.plan.points import Point, Points
from pipeline.terminal import counted


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
        index: position in the plan, in the order that was asked for.
        name: output path below `images/`, without suffix; unique in the plan.
        key: SHA-256 over all that decides the output; 64 hex digits.
        point: the swept values.
        place: in a clip; None for a picture alone.
        problem: why it cannot be made at all, such as an input that cannot be read; its key is
            empty then.
        inputs: what each of its files was when its key was made: nothing else may be read for it.
    """

    index: int
    name: str
    key: str
    content: Picture
    style: Style
    settings: Settings
    point: Mapping[str, Any]
    place: Place | None = None
    problem: ImageError | None = None
    inputs: Mapping[Path, str] = field(default_factory=dict)

    @property
    def lot(self) -> str:
        """What decides its shard, random and the same in every run; 64 hex digits. All frames of a
        clip have one."""
        known = self.place.first_key if self.place else self.key
        name = self.place.chain if self.place else self.name
        return known or hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()

    @property
    def below(self) -> str:
        """What has its split and class: its content's path below the content folder; of a frame,
        which lies in no folder but its clip's own, the clip's."""
        return self.place.label if self.place else self.content.below

    @property
    def before(self) -> Before | None:
        """The job that this one goes on from, if any."""
        return self.place.before if self.place else None


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
        self._naming = naming_of(manifest)
        self._keys = Keys(digest, algorithm)
        self._points = Points(manifest, self.pairing, self._naming, self._keys)
        self._lots = Lots(manifest, self.pairing, self._naming, self._points)
        if self._lots.whole > max_jobs:
            raise ManifestError(
                [
                    f"{manifest.path}:1: {counted(self._lots.whole, 'job')} "
                    f"({counted(self.pairing.count(), 'pair')} x "
                    f"{counted(len(self._points), 'grid point')}) are more than --max-jobs "
                    f"{max_jobs:,}; make the grid smaller or raise the limit"
                ]
            )

    def __len__(self) -> int:
        return len(self._lots)

    @property
    def excluded(self) -> int:
        """How many jobs the manifest leaves out."""
        return self._lots.whole - len(self)

    @property
    def excluding_nothing(self) -> tuple[str, ...]:
        """The entries of `exclude` that name no job."""
        return self._lots.excluding_nothing

    @property
    def content_labels(self) -> list[str]:
        """Each content's label in output names."""
        return self._lots.content_labels

    @property
    def style_labels(self) -> list[str]:
        """Each style's label in output names."""
        return self._lots.style_labels

    @property
    def shard_size(self) -> int:
        """Jobs in a shard; 0 where pictures stay loose files."""
        form = self.manifest.form
        return 0 if form.format == "files" else form.shard_size

    @property
    def formats(self) -> set[str]:
        """The formats in which any job's picture may be written."""
        manifest = self.manifest
        every = [manifest.settings, *(pair.settings for pair in manifest.pairs)]
        swept = [{"format": value} for value in manifest.axes.get("format", ())]
        return {str(settings.get("format", "png")) for settings in (*every, *swept)}

    @property
    def style_names(self) -> dict[str, str]:
        """Name -> identity of each style, those that the run folder knew before included."""
        if not isinstance(self._naming, Names):
            return {}
        identities = map(self._naming.style_identity, self.manifest.styles)
        return {
            **self.manifest.style_names,
            **dict(zip(self.style_labels, identities, strict=True)),
        }

    def _key(
        self, content: Picture, style: Style, at: Point, after: str = ""
    ) -> tuple[str, ImageError | None]:
        """A job's key; or an empty one, and which of its files cannot be read."""
        if at.problem is not None:
            return "", at.problem
        try:
            return self._keys.key(content, style, at.settings, at.canonical, after), None
        except ImageError as error:
            return "", error

    def names(self) -> Iterator[str]:
        """The names of all jobs, in order."""
        return (name for name, _ in self.named_pairs())

    def named_pairs(self) -> Iterator[tuple[str, PairIndex]]:
        """The same, each with its pair."""
        return self._lots.named_pairs()

    def jobs(self, order: Order = "plan", seed: int = 0) -> Iterator[Job]:
        """All jobs in order: contents, then their styles, then the grid, last axis fastest; or in
        another one, see `in_order`.

        An input file that has vanished or cannot be read is a `problem` of its jobs.

        Raises:
            ManifestError: settings of a job do not go together.
        """
        point = lru_cache(maxsize=100_000)(self._points.point)
        numbers = itertools.count()
        turns = in_order(self.pairing, len(self._points), order, seed)
        for pair, index in remote_ahead(self.manifest.contents, turns):
            content = self.manifest.contents[pair.content]
            style = self.manifest.styles[pair.style]
            names = (self.content_labels[pair.content], self.style_labels[pair.style])
            at = point(index, pair.own, content.clip is not None)
            if self._lots.excludes(pair, at.labels):
                continue
            own = style.weighted(at.settings.blend)
            several = self._frames if content.clip else self._alone
            yield from several(numbers, names, content, own, at)

    def _alone(
        self,
        numbers: Iterator[int],
        names: tuple[str, str],
        content: Picture,
        style: Style,
        at: Point,
    ) -> Iterator[Job]:
        """The one job of a picture."""
        style = style if content.mask else style.whole
        key, problem = self._key(content, style, at)
        yield Job(
            index=next(numbers),
            name=self._naming.join(*names, at.labels),
            key=key,
            content=content,
            style=style,
            settings=at.settings,
            point=at.values,
            problem=problem,
            inputs={} if problem else self._keys.inputs(content, style, at.settings),
        )

    def _frames(
        self,
        numbers: Iterator[int],
        names: tuple[str, str],
        content: Picture,
        style: Style,
        at: Point,
    ) -> Iterator[Job]:
        """The jobs of a clip's frames, in order; each but the first goes on from the one before."""
        label, style_label = names
        first_key, before = "", None
        lost: ImageError | None = None
        for number, frame in enumerate(content.frames):
            name = self._naming.join(frame_label(label, frame), style_label, at.labels)
            after = before.key if before else ""
            taken = style if frame.mask else style.whole
            key, problem = self._key(frame, taken, at, after)
            if lost is not None:
                key, problem = "", lost
            elif problem is not None:
                lost = ImageError(f"frame {name}, before it, cannot be made: {problem}")
            first_key = key if before is None else first_key
            yield Job(
                index=next(numbers),
                name=name,
                key=key,
                content=replace(frame, label=f"{content.label}/{frame.label}"),
                style=taken,
                settings=at.settings,
                point=at.values,
                place=Place(
                    chain=self._naming.join(label, style_label, at.labels),
                    source=content.path,
                    label=content.label,
                    number=number,
                    count=len(content.frames),
                    first_key=first_key,
                    before=before,
                ),
                problem=problem,
                inputs={}
                if problem
                else self._keys.inputs(
                    frame, taken, at.settings, before.content if before else None
                ),
            )
            before = Before(name, key, frame)


def check_names(plan: Plan) -> None:
    """Whether each job has a name of its own, which a template may fail to give.

    Raises:
        ManifestError: with the first two jobs that have not.
    """
    seen: dict[int, int] = {}
    for index, (name, pair) in enumerate(plan.named_pairs()):
        first = seen.setdefault(hash(name), index)
        if first == index:
            continue
        other, others_pair = next(itertools.islice(plan.named_pairs(), first, None))
        if other == name:
            raise ManifestError([_shared_name(plan.manifest, name, others_pair, pair)])


def _shared_name(manifest: Manifest, name: str, *both: PairIndex) -> str:
    where = f"{manifest.path}:1: output.name: {manifest.form.name}"
    shown = " and ".join(
        f"{manifest.contents[pair.content].path} with {manifest.styles[pair.style].label}"
        for pair in both
    )
    if both[0] == both[1]:
        shown += " at two points of the grid"
    return f"{where}: {shown} would both be {name}; let {{name}}, {{style}} and {{grid}} in"
