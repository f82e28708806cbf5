"""A valid manifest, as the stages after this one take it.

In: what `load.py` found. Out: frozen values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import ManifestError
from pipeline.manifest.job_names import JobNames
from pipeline.manifest.networks import Network, Plain, backbone_text, network_of
from pipeline.manifest.schema import Output, Sample
from pipeline.notices import Notice
from pipeline.pictures import WHITE, Timing, names_levels
from pipeline.terminal import counted
from pipeline.version import NAMING


@dataclass(frozen=True)
class Picture:
    """A picture file and what output names call it.

    Attributes:
        label: its path below its root without the suffix, or what a map calls it.
        file: its path below its root; empty where a map gave the label.
        mask: its regions, or None.
        keep: where its content counts more, or None.
        number: its class's number, where a data set says one.
        clip: the frames of a clip, whose file, or pattern of files, `path` then is.
        digest: what stands for the file's bytes in job keys; empty for the file's SHA-256.
    """

    path: Path
    label: str
    file: str = ""
    mask: Path | None = None
    clip: Clip | None = None
    digest: str = ""
    keep: Path | None = None
    number: int | None = None

    @property
    def below(self) -> str:
        """Its path below its content folder, which has its split and class; or what a map calls
        it."""
        return self.file or self.label

    @property
    def frames(self) -> tuple[Picture, ...]:
        """The frames of a clip; a picture alone is its own."""
        return (self,) if self.clip is None else self.clip.frames

    def each(self, change: Callable[[Picture], Picture]) -> Picture:
        """Changed; of numbered pictures each is. A video's frames are not there yet: it is one."""
        if self.clip is None or not self.clip.frames:
            return change(self)
        return replace(self, clip=replace(self.clip, frames=tuple(map(change, self.clip.frames))))

    def masked(self, mask: Callable[[Path], Path | None]) -> Picture:
        """The picture, or each frame, with the mask of its file."""
        return self.each(lambda picture: replace(picture, mask=mask(picture.path)))

    def kept(self, keep: Callable[[Path], Path | None]) -> Picture:
        """The picture, or each frame, with the picture of where content counts more."""
        return self.each(lambda picture: replace(picture, keep=keep(picture.path)))

    @property
    def has_mask(self) -> bool:
        """Whether it, or its frames, have masks."""
        return any(picture.mask for picture in (self, *self.frames))

    @property
    def has_keep(self) -> bool:
        """Whether it, or its frames, have pictures of where content counts more."""
        return any(picture.keep for picture in (self, *self.frames))


@dataclass(frozen=True)
class Clip:
    """Pictures in the order in which they are to be seen.

    Attributes:
        frames: in order; empty for a video that is not decoded yet.
        timing: of a decoded video, when they are shown; None for pictures, which do not say it.
    """

    frames: tuple[Picture, ...] = ()
    timing: Timing | None = None


@dataclass(frozen=True)
class Style:
    """One style: pictures with weights that sum to 1, under one name.

    Attributes:
        masks: of each picture, or empty where there are none.
        regions: the region `#rrggbb` that each picture is for, or empty where they are blended.
    """

    label: str
    parts: tuple[tuple[Path, float], ...]
    masks: tuple[Path | None, ...] = ()
    regions: tuple[str, ...] = ()

    @property
    def names_levels(self) -> bool:
        """Whether it names gray levels of masks, so that these are regions each."""
        return names_levels(self.regions)

    @property
    def whole(self) -> Style:
        """What it is for a picture without a mask, which is white all over."""
        if not self.regions:
            return replace(self, masks=()) if self.masks else self
        (part,) = [p for p, name in zip(self.parts, self.regions, strict=True) if name == WHITE]
        return replace(self, parts=(part,), regions=(WHITE,))

    def _shape(self) -> str:
        count = len(self.parts)
        what = "regions" if self.regions else f"{count} picture{'s' * (count != 1)}"
        return f"{self.label} has {what}"

    def weighted(self, weights: Sequence[float] | None) -> Style:
        """The same blend with other weights; None leaves it as it is.

        Raises:
            ManifestError: not as many weights as pictures.
        """
        if weights is None:
            return self
        if self.regions or len(weights) != len(self.parts):
            given = counted(len(weights), "weight")
            raise ManifestError([f"blend: {given}, but style {self._shape()}"])
        shares = [weight / sum(weights) for weight in weights]
        parts = zip(self.parts, shares, strict=True)
        return replace(self, parts=tuple((path, share) for (path, _), share in parts))


@dataclass(frozen=True)
class Pair:
    """An explicit pair.

    Attributes:
        content, style: indices into the manifest's contents and styles.
        settings: its own, beside those of every job.
    """

    content: int
    style: int
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Manifest:
    """A valid manifest, with its pictures found and its settings checked.

    Attributes:
        path: the manifest's file.
        text: the file as read.
        output: the run folder, absolute.
        pairs: explicit pairs.
        paired: how many of `contents` and `styles` take part in `pairing`; the rest are only in
            `pairs`.
        axes: the grid, in the manifest's order, each value as validated.
        folders: those whose content pictures were taken, for the other files in them.
        form: how the output is stored.
        spelled: today's name of a setting -> an older one by which the manifest sweeps it; names of
            pictures are spelled so.
        warnings: what a person should know.
        presets: a preset's name -> the version of it that the run began with, `name@version`.
        naming: the version of how outputs are named.
        style_names: name -> identity of the styles that the run folder knows.
        exclude: jobs that are left out.
        backbone, weights, preprocessing: the network of jobs whose settings name none; `auto` until
            the run's devices are known.
        sources: of networks whose weights are not said, by `backbone_text`, those that the run
            began with.
        passed: what lies in the folders and was passed over, in words, or empty.
    """

    path: Path
    text: str
    output: Path
    contents: Sequence[Picture]
    styles: tuple[Style, ...]
    pairing: Literal["product", "zip"] | Sample
    pairs: tuple[Pair, ...]
    paired: tuple[int, int]
    backbone: str
    weights: Path | str | None
    settings: Mapping[str, Any]
    axes: Mapping[str, tuple[Any, ...]]
    folders: tuple[Path, ...]
    form: Output
    spelled: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Notice, ...] = ()
    preprocessing: str | None = None
    presets: Mapping[str, str] = field(default_factory=dict)
    naming: int = NAMING
    style_names: Mapping[str, str] = field(default_factory=dict)
    passed: str = ""
    exclude: JobNames = field(default_factory=JobNames)
    sources: Mapping[str, str] = field(default_factory=dict)

    def network(self, backbone: Plain) -> Network:
        """The network of jobs with this setting `backbone`."""
        if backbone is None:
            return Network(self.backbone, self.weights, self.preprocessing)
        named = network_of(backbone)
        return named._replace(weights=self.sources.get(backbone_text(backbone), named.weights))

    @cached_property
    def backbones(self) -> dict[str, Plain]:
        """The settings `backbone` that jobs have, by `backbone_text`."""
        values: list[Plain] = list(self.axes.get("backbone", ()))
        if not values:
            own = [pair.settings.get("backbone") for pair in self.pairs]
            values = [None, *own] if all(self.paired) or not own else own
        return {backbone_text(value): value for value in values}

    def with_versions(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of a job that start from the version of their preset that the run keeps."""
        preset = settings.get("preset", "default")
        kept = {"preset": self.presets[preset]} if preset in self.presets else {}
        return {**settings, **kept}
