"""Style targets of a batch's jobs: found in the cache or computed, blended, region by region.

In: jobs, their content pictures, a network. Out: a `Prepared` job each. Knows nothing of the step
loop or of what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from pipeline.layers import LAYERS
from pipeline.manifest import Settings
from pipeline.method import Backbone, Scale, style_targets
from pipeline.pictures import (
    Mask,
    file_sha256,
    fit_image,
    guides_of,
    read_image,
    read_mask,
    read_size,
    recolor_style,
    styled_regions,
    to_tensor,
)
from pipeline.plan import Job
from pipeline.slot.checkpoint import Checkpoint
from pipeline.slot.contents import Content
from pipeline.slot.sizes import style_sizes
from pipeline.store import TargetsKey, blend_targets, split_scales, targets_cache


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
            guides = guides_of(mask, width, height, settings.fit == "stretch").to(image.device)
        side = tile(width, height)
        found = style_targets(network, image, layers, settings.style_loss, side, guides)
        tensors |= {f"{index}.{layer}": values for layer, values in found.items()}
    return tensors
