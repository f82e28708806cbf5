"""What a batch of jobs needs, from files: content pictures, style targets, regions, checkpoints.

In: jobs and a network. Out: a `Prepared` job each, and the tensors of each scale. Style targets
come from the cache where they are there. Knows nothing of the step loop or of what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from pipeline.layers import LAYERS
from pipeline.manifest import INITS, Settings
from pipeline.method import Backbone, Regions, Scale, ScaleInputs, smallest_side, style_targets
from pipeline.pictures import (
    Mask,
    canvas_size,
    file_sha256,
    fit_image,
    read_image,
    read_mask,
    read_size,
    recolor_style,
    styled_regions,
    to_tensor,
)
from pipeline.plan import Job
from pipeline.slot.checkpoint import Checkpoint
from pipeline.store import TargetsKey, blend_targets, split_scales, targets_cache


@dataclass(frozen=True)
class Content:
    """A content picture, read.

    Attributes:
        image: in its own colors, upright, sRGB.
        working: what is optimized from and compared with: `image`, or its luminance.
        sha256: of the file.
    """

    image: Image.Image
    working: Image.Image
    sha256: str
    mask: Mask | None = None

    @cached_property
    def sample(self) -> Tensor:
        """The picture at 256 px, for its colors' statistics; 3 x h x w."""
        size = canvas_size(*self.image.size, 256, "long")
        return to_tensor(fit_image(self.image, *size))


@dataclass(frozen=True)
class Prepared:
    """A job with everything read: its content picture and its style's targets at each scale.

    Attributes:
        targets: per scale and layer C x K, or R x C x K with regions.
        shares: of the style loss, for each region; empty without regions.
        style_sha256: of each of the style's pictures.
    """

    job: Job
    content: Content
    style_sha256: tuple[str, ...]
    targets: tuple[dict[str, Tensor], ...]
    shares: tuple[float, ...]
    hits: int
    computed: int
    warnings: tuple[str, ...]
    checkpoint: Checkpoint | None = None

    @property
    def position(self) -> tuple[int, int]:
        """Scale and step at which the job goes on."""
        return (self.checkpoint.scale, self.checkpoint.step) if self.checkpoint else (0, 0)


def read_content(path: Path, background: str, gray: bool, mask: Path | None) -> Content:
    """Reads a content picture; the arguments are those of `content_key`.

    Raises:
        ImageError: it, or its mask, cannot be read.
    """
    image = read_image(path, background)
    working = image.convert("L").convert("RGB") if gray else image
    return Content(image, working, file_sha256(path), read_mask(mask) if mask else None)


def style_sizes(
    size: tuple[int, int], settings: Settings, scales: Sequence[Scale]
) -> tuple[tuple[int, int], ...]:
    """A style picture's width and height at each scale.

    The style is fitted as the content is, times `style_scale`, so strokes keep their share of the
    picture; for `fit: exact` its long side is the canvas's, for `fit: stretch` its sides are. No
    side is shorter than the deepest layer needs.
    """
    least = smallest_side(settings.layers)
    sizes = []
    for scale in scales:
        if settings.fit == "stretch":
            width, height = (round(s * settings.style_scale) for s in (scale.width, scale.height))
        elif settings.fit == "exact":
            side = round(max(scale.width, scale.height) * settings.style_scale)
            width, height = canvas_size(*size, side, "long")
        else:
            shrink = scale.shrink * settings.style_scale
            width, height = canvas_size(*size, settings.size, settings.fit, shrink=shrink)
        grow = max(1.0, least / min(width, height))
        sizes.append((round(width * grow), round(height * grow)))
    return tuple(sizes)


# A style picture's targets: all sizes at once, by name `scale.layer`, through the float32 network.
Compute = Callable[[Sequence[Tensor], Settings, Mask | None], dict[str, Tensor]]


@dataclass(frozen=True)
class StyleReader:
    """Finds or makes the targets of styles.

    Args:
        scales: of the batch.
        digest: of the network's weights.
        cache: the cache folder.
        compute: style picture at each scale, settings, mask -> targets by `scale.layer`.
    """

    scales: Sequence[Scale]
    digest: str
    cache: Path
    compute: Compute

    def prepare(self, job: Job, content: Content, checkpoint: Checkpoint | None) -> Prepared:
        """Reads a job's style.

        Raises:
            ImageError: a style picture or mask cannot be read, or regions do not match.
        """
        style, settings = job.style, job.settings
        hashes: list[str] = []
        found: list[tuple[list[dict[str, Tensor]], float]] = []
        warnings: list[str] = []
        hits = 0
        masks = style.masks or (None,) * len(style.parts)
        if content.mask is None:
            masks = (None,) * len(style.parts)
        for (path, weight), mask in zip(style.parts, masks, strict=True):
            hashes.append(file_sha256(path))
            targets, hit, said = self._targets(path, hashes[-1], mask, content, settings)
            found.append((targets, weight))
            hits += hit
            warnings += said
        places, shares = self._regions(job, content, masks)
        each = [
            self._together(job, [(targets[i], weight) for targets, weight in found], places)
            for i in range(len(self.scales))
        ]
        computed = len(found) - hits
        return Prepared(
            job, content, tuple(hashes), tuple(each), shares, hits, computed, tuple(warnings),
            checkpoint,
        )  # fmt: skip

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
                styled_regions(names, _mask(m).names if m else None, where, style.label)
                for m in masks
            ]
            taken = [None if all(p[r] is None for p in places) else 0 for r in range(len(names))]
        count = sum(t is not None for t in taken)
        return places, tuple(1 / count if t is not None else 0.0 for t in taken)

    @staticmethod
    def _together(
        job: Job,
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

    def _targets(
        self, path: Path, sha256: str, mask: Path | None, content: Content, settings: Settings
    ) -> tuple[list[dict[str, Tensor]], bool, tuple[str, ...]]:
        sizes = style_sizes(read_size(path), settings, self.scales)
        layers = tuple(layer for layer in LAYERS if layer in settings.style_layers)
        color: tuple[str | int, ...] = ()
        if settings.color in ("preserve_luminance", "preserve_histogram"):
            color = (settings.color, settings.color_transfer, content.sha256)
        key = TargetsKey(
            style=sha256,
            sizes=sizes,
            backbone=self.digest,
            pooling=settings.pooling,
            pooling_scale=settings.pooling_scale,
            padding=settings.padding,
            layers=layers,
            background=settings.background,
            statistic=settings.style_loss,
            mask=file_sha256(mask) if mask else "",
            color=color,
            stretch=settings.fit == "stretch",
        )

        def compute() -> dict[str, Tensor]:
            picture = read_image(path, settings.background)
            stretch = settings.fit == "stretch"
            pixels = [
                recolor_style(
                    to_tensor(fit_image(picture, *size, stretch)),
                    content.sample,
                    settings.color,
                    settings.color_transfer,
                )
                for size in sizes
            ]
            return self.compute(pixels, settings, _mask(mask) if mask else None)

        cached = targets_cache(self.cache).get(
            key.digest(),
            compute,
            {"style": path.name, "sizes": sizes, "layers": layers},
        )
        return split_scales(cached.tensors, len(sizes)), cached.hit, cached.warnings


def _region(targets: Tensor, place: int) -> Tensor:
    """One region of targets R x C x K, or all of C x K."""
    return targets[place] if targets.dim() == 3 else targets


@lru_cache(maxsize=64)
def _mask_at(path: Path, changed: int) -> Mask:
    return read_mask(path)


def _mask(path: Path) -> Mask:
    return _mask_at(path, path.stat().st_mtime_ns)


def compute_targets(
    network: Backbone,
    pixels: Sequence[Tensor],
    settings: Settings,
    mask: Mask | None,
    tile: Callable[[int, int], int],
) -> dict[str, Tensor]:
    """A style picture's targets at each of its sizes, named `scale.layer`.

    Args:
        network: float32, whatever the loop's precision, so that all runs share them.
        pixels: the picture at each scale, 3 x h x w.
        tile: width, height -> side of tiles in px, 0 for none.
    """
    layers = tuple(layer for layer in LAYERS if layer in settings.style_layers)
    tensors: dict[str, Tensor] = {}
    for index, image in enumerate(pixels):
        height, width = image.shape[1:]
        guides = None
        if mask is not None:
            guides = mask.guides(width, height, settings.fit == "stretch").to(image.device)
        side = tile(width, height)
        found = style_targets(network, image, layers, settings.style_loss, side, guides)
        tensors |= {f"{index}.{layer}": values for layer, values in found.items()}
    return tensors


def scale_inputs(
    scale: Scale, index: int, ready: Sequence[Prepared], device: str, tile: int
) -> ScaleInputs:
    """The tensors of one scale; each content picture is there once."""
    stretch = ready[0].job.settings.fit == "stretch"
    by_identity: dict[int, Tensor] = {}
    for prepared in ready:
        image = prepared.content.working
        if id(image) not in by_identity:
            by_identity[id(image)] = to_tensor(fit_image(image, scale.width, scale.height, stretch))
    order = list(by_identity)
    rows = torch.tensor([order.index(id(p.content.working)) for p in ready], device=device)
    contents = torch.stack(list(by_identity.values())).to(device)
    styles = {
        layer: torch.stack([p.targets[index][layer] for p in ready]).to(device)
        for layer in ready[0].targets[index]
    }
    contents = contents.contiguous(memory_format=torch.channels_last)
    regions = None
    if ready[0].content.mask is not None:
        guides = [
            p.content.mask.guides(scale.width, scale.height, stretch)
            for p in ready
            if p.content.mask is not None
        ]
        shares = torch.tensor([p.shares for p in ready], dtype=torch.float32, device=device)
        regions = Regions(torch.stack(guides).to(device), shares)
    return ScaleInputs(contents, rows, styles, tile, regions)


def init_pictures(jobs: Sequence[Settings], scale: Scale) -> dict[str, Tensor]:
    """The pictures that jobs begin with where `init` names a file, at the first scale."""
    files = {s.init for s in jobs if s.init not in INITS}
    return {
        name: to_tensor(fit_image(read_image(Path(name)), scale.width, scale.height))
        for name in files
    }


def init_styles(ready: Sequence[Prepared], scale: Scale) -> list[list[Tensor]]:
    """The style pictures of jobs that begin with `style_noise`; empty lists for the others."""
    side = max(scale.width, scale.height)
    return [
        [
            to_tensor(fit_image(image, *canvas_size(*image.size, side, "long")))
            for image in (read_image(path) for path, _ in prepared.job.style.parts)
        ]
        if prepared.job.settings.init == "style_noise"
        else []
        for prepared in ready
    ]
