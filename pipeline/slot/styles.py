"""Style targets of a batch's jobs: found in the cache or computed, blended, region by region.

In: jobs, their content pictures, a network. Out: a `Prepared` job each. Knows nothing of the step
loop or of what is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from pipeline.layers import LAYERS, NEIGHBOR_LAYERS
from pipeline.manifest import Settings
from pipeline.method import Scale, Styles, StyleVectors
from pipeline.notices import Notice, notices_of
from pipeline.pictures import (
    Mask,
    fit_image,
    read_identity,
    read_size,
    recolor_style,
    styled_regions,
    to_tensor,
)
from pipeline.plan import Job
from pipeline.slot.ahead import StylePixels, StylesAhead
from pipeline.slot.checkpoint import Checkpoint
from pipeline.slot.compared import Compared, compared_by
from pipeline.slot.contents import Content
from pipeline.slot.inputs import read_as_planned, read_mask_as_planned
from pipeline.slot.kept import Kept
from pipeline.slot.motion import Motion
from pipeline.slot.neighbors import vectors_together
from pipeline.slot.sizes import style_sizes
from pipeline.slot.targets import NEIGHBORS
from pipeline.store import TargetsKey, blend_targets, split_scales, targets_cache
from pipeline.version import MASKS


@dataclass(frozen=True)
class Prepared:
    """A job with everything read: its content picture and its style's targets at each scale.

    Attributes:
        targets: per scale and layer C x K, or R x C x K with regions.
        neighbors: per scale the style's vectors; empty where no term wants them.
        style: what decides the targets: jobs with the same share them.
        compared: per scale and layer what the targets are compared by; empty where that is found
            on the device.
        shares: of the style loss, for each region; empty without regions.
        style_sha256: of each of the style's pictures.
        motion: what a clip's frame goes on from.
        start: the picture that `init` names.
        begins: the style pictures, for beginnings that need their colors.
    """

    job: Job
    content: Content
    style_sha256: tuple[str, ...]
    targets: tuple[dict[str, Tensor], ...]
    shares: tuple[float, ...]
    hits: int
    computed: int
    warnings: tuple[Notice, ...]
    checkpoint: Checkpoint | None = None
    neighbors: tuple[StyleVectors, ...] = ()
    motion: Motion | None = None
    start: Image.Image | None = None
    begins: Styles | None = None
    style: str = ""
    compared: tuple[Compared, ...] = ()

    @property
    def position(self) -> tuple[int, int]:
        """Scale and step at which the job goes on."""
        return (self.checkpoint.scale, self.checkpoint.step) if self.checkpoint else (0, 0)


# A style picture's targets: all sizes at once, by name `scale.layer`, through the float32 network.
# The last argument is what is compared: a style loss, or `NEIGHBORS`.
Compute = Callable[[Sequence[Tensor], Settings, Mask | None, str], dict[str, Tensor]]


@dataclass(frozen=True)
class _Part:
    """One picture of a style: file, what decides how it is read, weight in the blend, mask and the
    same of that."""

    path: Path
    identity: str
    weight: float
    mask: Path | None
    mask_identity: str


@dataclass(frozen=True)
class StyleReader:
    """Finds or makes the targets of styles.

    Args:
        scales: of the batch.
        digest: of the network's weights.
        cache: the cache folder.
        compute: style picture at each scale, settings, mask, what is compared -> targets by
            `scale.layer`.
        kept: what jobs share of targets, from one batch to the next.
        ahead: style pictures that were read while the batch before ran.
        device: on which the batch is optimized.
    """

    scales: Sequence[Scale]
    digest: str
    cache: Path
    compute: Compute
    kept: Kept = field(default_factory=Kept)
    ahead: StylesAhead = field(default_factory=StylesAhead)
    device: str = "cpu"

    def prepare(self, job: Job, content: Content, checkpoint: Checkpoint | None) -> Prepared:
        """Reads a job's style.

        Raises:
            ImageError: a style picture or mask cannot be read, or regions do not match.
        """
        settings = job.settings
        reading = _Reading(self, content, settings)
        masks = _masks(job, content)
        said = self._absent(content, job)
        parts = _parts(job, masks)
        places, shares = self._regions(job, content, masks)
        name, each = reading.style(parts, places)
        vectors = reading.vectors(parts, places) if settings.neighbor_weight else ()
        hashes = tuple(part.identity[:64] for part in parts)
        computed = sum(part in reading.missed for part in parts)
        return Prepared(
            job, content, hashes, each, shares, len(parts) - computed, computed,
            (*content.notices, *said, *dict.fromkeys(reading.warnings)), checkpoint, vectors,
            style=name,
        )  # fmt: skip

    def look_ahead(self, job: Job, content: Content) -> None:
        """Reads what `prepare` will ask for of a job's style, as far as no device is needed.

        Raises:
            ImageError: as `prepare`.
        """
        settings, masks = job.settings, _masks(job, content)
        reading, parts = _Reading(self, content, settings), _parts(job, masks)
        there = [reading.look_ahead(part, settings.style_loss) for part in parts]
        if settings.neighbor_weight:
            for part in parts:
                reading.look_ahead(part, NEIGHBORS)
        if all(there):
            places, _ = self._regions(job, content, masks)
            name, each = reading.style(parts, places)
            compared_by({name: each}, settings.style_loss, self.device, self.kept)

    def with_compared(self, ready: Sequence[Prepared], threads: int) -> list[Prepared]:
        """Prepared jobs with what their targets are compared by, found in so many threads."""
        if not ready:
            return []
        loss, styles = ready[0].job.settings.style_loss, {p.style: p.targets for p in ready}
        found = compared_by(styles, loss, self.device, self.kept, threads)
        return [replace(p, compared=found[p.style]) for p in ready]

    @staticmethod
    def _absent(content: Content, job: Job) -> list[Notice]:
        """What is said where the style names regions that the content's mask has not."""
        if content.mask is None:
            return []
        there = set(content.mask.names) - content.mask.empty
        absent = [name for name in job.style.regions if name not in there]
        if not absent:
            return []
        text = f"{job.content.mask}: has no region {', '.join(absent)} of style {job.style.label}"
        return [Notice("no_such_region", text)]

    def _regions(
        self, job: Job, content: Content, masks: Sequence[Path | None]
    ) -> tuple[list[list[int | None]], tuple[float, ...]]:
        """For each of the style's pictures, which of its regions each of the content's takes; and
        the regions' shares of the style loss."""
        if content.mask is None:
            return [], ()
        where = job.content.mask or job.content.path
        names, style = content.mask.names, job.style
        if style.regions:
            taken = styled_regions(names, style.regions, where, style.label)
            places = [[0 if t == i else None for t in taken] for i in range(len(style.parts))]
        else:
            places = [
                styled_regions(names, _mask(job, m, path).names if m else None, where, style.label)
                for m, (path, _) in zip(masks, style.parts, strict=True)
            ]
            taken = [None if all(p[r] is None for p in places) else 0 for r in range(len(names))]
        count = sum(t is not None for t in taken)
        return places, tuple(1 / count if t is not None else 0.0 for t in taken)

    @staticmethod
    def together(
        parts: Sequence[tuple[Mapping[str, Tensor], float]],
        places: Sequence[Sequence[int | None]],
    ) -> dict[str, Tensor]:
        """One scale's targets of all the style's pictures, blended or region by region."""
        if not places:
            return blend_targets(parts)
        whole: dict[str, Tensor] = {}
        for layer in parts[0][0]:
            regions = []
            for region in range(len(places[0])):
                there = [
                    (_region(targets[layer], at), weight)
                    for (targets, weight), place in zip(parts, places, strict=True)
                    if (at := place[region]) is not None
                ]
                total = sum(weight for _, weight in there)
                empty = torch.zeros_like(_region(parts[0][0][layer], 0))
                blend = [values * (weight / total) for values, weight in there]
                regions.append(sum(blend, empty))
            whole[layer] = torch.stack(regions)
        return whole


class _Reading:
    """What one job reads of its style's pictures, and what became of it.

    Attributes:
        missed: pictures of which something was not in the cache.
        warnings: what the cache and the pictures' files had to say.
    """

    def __init__(self, reader: StyleReader, content: Content, settings: Settings) -> None:
        self.reader, self.content, self.settings = reader, content, settings
        self.missed: set[_Part] = set()
        self.warnings: list[Notice] = []

    def _key(self, part: _Part, compared: str) -> TargetsKey:
        settings, reader = self.settings, self.reader
        color: tuple[str | int, ...] = ()
        if settings.color in ("preserve_luminance", "preserve_histogram"):
            color = (settings.color, settings.color_transfer, self.content.identity)
        wanted = NEIGHBOR_LAYERS if compared == NEIGHBORS else settings.style_layers
        return TargetsKey(
            style=part.identity,
            sizes=style_sizes(_size(part.path, part.identity), settings, reader.scales),
            backbone=reader.digest,
            pooling=settings.pooling,
            pooling_scale=settings.pooling_scale,
            padding=settings.padding,
            layers=tuple(layer for layer in LAYERS if layer in wanted),
            background=settings.background,
            statistic=compared,
            mask=f"{part.mask_identity}/{MASKS}" if part.mask else "",
            color=color,
            stretch=settings.fit == "stretch",
        )

    def style(
        self, parts: Sequence[_Part], places: Sequence[Sequence[int | None]]
    ) -> tuple[str, tuple[dict[str, Tensor], ...]]:
        """What decides a style's targets, its pictures together; and these at each scale."""
        loss, reader = self.settings.style_loss, self.reader
        found = [(self.targets(part, loss), part.weight) for part in parts]

        def together() -> tuple[dict[str, Tensor], ...]:
            return tuple(
                reader.together([(targets[i], weight) for targets, weight in found], places)
                for i in range(len(reader.scales))
            )

        name = self.name(parts, loss, places)
        if not places and [weight for _, weight in found] == [1]:
            return name, tuple(found[0][0])  # which are kept already
        return name, reader.kept.get(name, together)

    def targets(self, part: _Part, compared: str) -> list[dict[str, Tensor]]:
        """What is compared of a picture at each scale, from the cache or computed."""
        key = self._key(part, compared)
        scales, noticed = self.reader.kept.get(key.digest(), lambda: self._found(part, key))
        self.warnings += notices_of(part.path, noticed)
        return scales

    def _found(self, part: _Part, key: TargetsKey) -> tuple[list[dict[str, Tensor]], object]:
        """The same from the cache on disk or computed, and what is to be said of its file."""
        about: dict[str, object] = {
            "style": part.path.name, "sizes": key.sizes, "layers": key.layers,
        }  # fmt: skip

        def compute() -> dict[str, Tensor]:
            ahead = self.reader.ahead.take(key.digest())
            pixels, mask, notices = ahead or self._pixels(part, key.sizes)
            about["notices"] = [notice.below(part.path) for notice in notices]
            return self.reader.compute(pixels, self.settings, mask, key.statistic)

        cached = targets_cache(self.reader.cache).get(key.digest(), compute, about)
        if not cached.hit:
            self.missed.add(part)
        self.warnings += cached.warnings
        return split_scales(cached.tensors, len(key.sizes)), cached.about.get("notices")

    def name(
        self, parts: Sequence[_Part], compared: str, places: Sequence[Sequence[int | None]]
    ) -> str:
        """What decides a style's targets, its pictures together: jobs with the same share them."""
        digests = [self._key(part, compared).digest() for part in parts]
        return json.dumps([digests, [part.weight for part in parts], places])

    def _pixels(self, part: _Part, sizes: Sequence[tuple[int, int]]) -> StylePixels:
        """A style picture at the sizes of its targets, with its mask."""
        settings = self.settings
        decoded = read_as_planned(part.path, part.identity, settings.background)
        picture = decoded.image
        stretch = settings.fit == "stretch"
        pixels = [
            recolor_style(
                to_tensor(fit_image(picture, *size, stretch)),
                self.content.sample,
                settings.color,
                settings.color_transfer,
            )
            for size in sizes
        ]
        mask = None
        if part.mask:
            mask = read_mask_as_planned(part.mask, part.mask_identity, picture.size, part.path)
        return StylePixels(pixels, mask, decoded.notices)

    def look_ahead(self, part: _Part, compared: str) -> bool:
        """Reads what `targets` will ask for: from the cache, else what it is computed of. Whether
        it was in the cache."""
        key = self._key(part, compared)
        name, reader = key.digest(), self.reader
        if name in reader.kept:
            return True
        cached = targets_cache(reader.cache).find(name)
        if cached is None:
            reader.ahead.put(name, self._pixels(part, key.sizes))
        else:
            scales = split_scales(cached.tensors, len(key.sizes))
            reader.kept.get(name, lambda: (scales, cached.about.get("notices")))
        return cached is not None

    def vectors(
        self, parts: Sequence[_Part], places: Sequence[Sequence[int | None]]
    ) -> tuple[StyleVectors, ...]:
        """The style's vectors at each scale; jobs of a batch that want the same ones share them."""

        def together() -> tuple[StyleVectors, ...]:
            found = [(self.targets(part, NEIGHBORS), part.weight) for part in parts]
            return tuple(
                vectors_together([(scales[i], weight) for scales, weight in found], places)
                for i in range(len(self.reader.scales))
            )

        return self.reader.kept.get(self.name(parts, NEIGHBORS, places), together)


def _region(targets: Tensor, place: int) -> Tensor:
    """One region of targets R x C x K, or all of C x K."""
    return targets[place] if targets.dim() == 3 else targets


def _masks(job: Job, content: Content) -> Sequence[Path | None]:
    """Those of a style's pictures; none where the content has no regions."""
    none = (None,) * len(job.style.parts)
    return none if content.mask is None else job.style.masks or none


def _parts(job: Job, masks: Sequence[Path | None]) -> list[_Part]:
    """The pictures of a job's style."""
    return [
        _Part(path, _identity(job, path), weight, mask, _identity(job, mask) if mask else "")
        for (path, weight), mask in zip(job.style.parts, masks, strict=True)
    ]


def _identity(job: Job, path: Path) -> str:
    """What a file was when the job was planned."""
    return job.inputs.get(path) or read_identity(path)


@lru_cache(maxsize=1024)
def _size(path: Path, identity: str) -> tuple[int, int]:
    """A picture's width and height, once for each file."""
    return read_size(path)


_mask_as_planned = lru_cache(maxsize=64)(read_mask_as_planned)


def _mask(job: Job, path: Path, its: Path) -> Mask:
    return _mask_as_planned(path, _identity(job, path), read_size(its), its)
