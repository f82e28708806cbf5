"""The whole objective of a batch: content, style, nearest neighbors, total variation and what was
before, weighed; one value a picture, never summed across a batch.

In: features B x C x h x w of the pictures that are optimized, and targets. Out: B values each.
Knows nothing of networks, files or optimizers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.layers import shrink_of
from pipeline.method.losses.content import CONTENT_LOSSES, kept_at
from pipeline.method.losses.gradient_norm import NormalizeGradient
from pipeline.method.losses.guides import Regions, guides_at
from pipeline.method.losses.laplacian import Outlines
from pipeline.method.losses.neighbors import Neighbors, joined_features
from pipeline.method.losses.squares import TINY, energy
from pipeline.method.losses.style import STATISTICS, style_sums
from pipeline.method.losses.temporal import Before, temporal_loss
from pipeline.method.losses.total_variation import TV_LOSSES


@dataclass(frozen=True)
class JobWeights:
    """Each job's weights, as tensors of B values.

    Attributes:
        content: alpha.
        laplacian: of the Laplacian loss, within the content loss.
        style: beta.
        tv: weight of total variation.
        neighbors: weight of the nearest-neighbor term.
        temporal: gamma, weight of the temporal loss.
        content_layers: per layer, in the content loss.
        style_layers: per layer, w_l in the style loss.
        powers: of the L1 norm by which each layer's gradient is divided; 0 leaves it as it is.
    """

    content: Tensor
    laplacian: Tensor
    style: Tensor
    tv: Tensor
    neighbors: Tensor
    temporal: Tensor
    content_layers: Mapping[str, Tensor]
    style_layers: Mapping[str, Tensor]
    powers: Tensor


@dataclass(frozen=True)
class Losses:
    """The loss of each picture and its parts, each B values.

    Attributes:
        content: sum over layers and the weighed Laplacian loss, before `content_weight`.
        style: sum over layers, before `style_weight`.
        neighbors: before `neighbor_weight`.
        tv: before `tv_weight`.
        temporal: before `temporal_weight`; 0 without a frame before.
        total: alpha L_content + beta L_style + the weighted others.
    """

    content: Tensor
    style: Tensor
    neighbors: Tensor
    tv: Tensor
    temporal: Tensor
    total: Tensor


@dataclass(frozen=True)
class Statistics:
    """All that the losses need of features: sums over positions, so that parts of a picture add up.

    Attributes:
        styles: per style layer the statistic's sums, B x R x C x K.
        contents: per content layer sum (F - P)^2, B values.
        counts: per style layer the weight of the positions summed, B x R.
        neighbors: sum of 1 - cos, B values.
    """

    styles: Mapping[str, Tensor]
    contents: Mapping[str, Tensor]
    counts: Mapping[str, Tensor]
    neighbors: Tensor

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            {k: v + other.styles[k] for k, v in self.styles.items()},
            {k: v + other.contents[k] for k, v in self.contents.items()},
            {k: v + other.counts[k] for k, v in self.counts.items()},
            self.neighbors + other.neighbors,
        )


@dataclass(frozen=True)
class Kinds:
    """Which losses; the same for a whole batch.

    Attributes:
        loss: `paper`, `relative` or `mean`.
        style: one of `STATISTICS`.
        tv: one of `TV_LOSSES`.
    """

    loss: str = "paper"
    style: str = "gram"
    tv: str = "mean_squares"


class StyleTransferLoss:
    """The whole objective of a batch: each picture against its own targets.

    Args:
        kinds: which losses.
        contents: per content layer the features to keep, B x C x h x w.
        styles: per style layer the statistic to reach, B x C x K, or B x R x C x K with regions.
        weights: each job's.
        regions: None for one region of all.
        neighbors: what positions are drawn to; None without that term.
        channels: per layer the number N of the formulas, where it is not that of the features.
        before: the results of the frames before; None without them.
        keep: how much of each place of the contents is kept, B x 1 x H x W in [0, 1]; each
            position's (F - P)^2 is weighed by it (`kept_at`). None for all alike.
        outlines: the contents' Laplacians; None without that loss.
    """

    def __init__(
        self,
        kinds: Kinds,
        contents: Mapping[str, Tensor],
        styles: Mapping[str, Tensor],
        weights: JobWeights,
        regions: Regions | None = None,
        channels: Mapping[str, int] | None = None,
        neighbors: Neighbors | None = None,
        before: Before | None = None,
        keep: Tensor | None = None,
        outlines: Outlines | None = None,
    ) -> None:
        self.neighbors, self.before = neighbors, before
        self.keep, self.outlines = keep, outlines
        self.channels = channels or {}
        self.kinds, self.statistic = kinds, STATISTICS[kinds.style]
        self.contents, self.styles, self.weights = contents, styles, weights
        self.regions = regions
        sizes = {layer: target.shape[2:] for layer, target in contents.items()}
        self.kept = {} if keep is None else {k: kept_at(keep, s).sqrt() for k, s in sizes.items()}
        self.energies = {layer: energy(target) for layer, target in contents.items()}
        self.prepared = {
            layer: self.statistic.prepare(target if target.dim() == 4 else target[:, None])
            for layer, target in styles.items()
        }
        self.normalizes = bool((weights.powers > 0).any())

    @property
    def divisible(self) -> bool:
        """Whether a picture can be taken tile by tile."""
        return self.statistic.additive and not self.normalizes

    def select(self, rows: Tensor) -> StyleTransferLoss:
        """The same for some of the pictures, by their places in the batch."""
        w = self.weights
        weights = JobWeights(
            w.content[rows],
            w.laplacian[rows],
            w.style[rows],
            w.tv[rows],
            w.neighbors[rows],
            w.temporal[rows],
            {k: v[rows] for k, v in w.content_layers.items()},
            {k: v[rows] for k, v in w.style_layers.items()},
            w.powers[rows],
        )
        regions = self.regions and Regions(self.regions.guides[rows], self.regions.shares[rows])
        return StyleTransferLoss(
            self.kinds,
            {k: v[rows] for k, v in self.contents.items()},
            {k: v[rows] for k, v in self.styles.items()},
            weights,
            regions,
            self.channels,
            self.neighbors and self.neighbors.select(rows),
            self.before and self.before.select(rows),
            None if self.keep is None else self.keep[rows],
            self.outlines and self.outlines.select(rows),
        )

    def statistics(
        self,
        features: Mapping[str, Tensor],
        windows: Mapping[str, tuple[slice, slice]] | None = None,
    ) -> Statistics:
        """The sums over the positions of `features` (per layer B x C x h x w).

        Args:
            windows: per layer the rows and columns that the features are of; None for all.
        """
        weights = self.weights

        def difference(layer: str) -> Tensor:
            target, kept = self.contents[layer], self.kept.get(layer)
            if windows:
                rows, columns = windows[layer]
                target = target[:, :, rows, columns]
                kept = None if kept is None else kept[:, :, rows, columns]
            own = self._normalized(features[layer], weights.content * weights.content_layers[layer])
            apart = own - target
            return energy(apart if kept is None else apart * kept)

        def sums(layer: str) -> tuple[Tensor, Tensor]:
            own = self._normalized(features[layer], weights.style * weights.style_layers[layer])
            return style_sums(self.kinds.style, own, self._guides(own, layer, windows))

        found = {layer: sums(layer) for layer in self.styles}
        apart = torch.zeros_like(weights.neighbors)
        if self.neighbors:
            window = windows["conv3_1"] if windows else None
            apart = self.neighbors.sums(joined_features(features), window)
        return Statistics(
            {layer: values for layer, (values, _) in found.items()},
            {layer: difference(layer) for layer in self.contents},
            {layer: count for layer, (_, count) in found.items()},
            apart,
        )

    def _normalized(self, features: Tensor, weight: Tensor) -> Tensor:
        if not self.normalizes:
            return features
        own: Tensor = NormalizeGradient.apply(features, weight, self.weights.powers)
        return own

    def _guides(
        self,
        features: Tensor,
        layer: str,
        windows: Mapping[str, tuple[slice, slice]] | None,
    ) -> Tensor | None:
        """The guidance channels of a layer's features."""
        if self.regions is None:
            return None
        whole = self.regions.guides
        if not windows:
            return guides_at(whole, features.shape[2:])
        shrink = shrink_of(layer)
        rows, columns = windows[layer]
        return guides_at(whole, [s // shrink for s in whole.shape[2:]])[:, :, rows, columns]

    def value(self, images: Tensor, found: Statistics) -> Losses:
        """Losses of `images` (B x 3 x H x W in [0, 1]) with these sums over all their positions."""
        weights = self.weights
        content = style = torch.zeros_like(weights.content)
        for layer, difference in found.contents.items():
            target = self.contents[layer]
            count = target[0, 0].numel() * self.channels.get(layer, target.shape[1])
            loss = CONTENT_LOSSES[self.kinds.loss](difference, self.energies[layer], count)
            content = content + weights.content_layers[layer] * loss
        if self.outlines:
            content = content + weights.laplacian * self.outlines.loss(images)
        measure = self.statistic.measures[self.kinds.loss]
        for layer, sums in found.styles.items():
            mean = sums / found.counts[layer].clamp_min(TINY)[..., None, None]
            each = measure(mean, self.prepared[layer], self.channels.get(layer, mean.shape[-2]))
            shared = each if self.regions is None else each * self.regions.shares
            style = style + weights.style_layers[layer] * shared.sum(1)
        tv = TV_LOSSES[self.kinds.tv](images)
        neighbors = found.neighbors / (self.neighbors.count if self.neighbors else 1)
        total = weights.content * content + weights.style * style + weights.tv * tv
        total = total + weights.neighbors * neighbors
        temporal = torch.zeros_like(weights.temporal)
        if self.before:
            temporal = temporal_loss(images, self.before)
            total = total + weights.temporal * temporal
        return Losses(content, style, neighbors, tv, temporal, total)

    def __call__(self, images: Tensor, features: Mapping[str, Tensor]) -> Losses:
        """Losses of `images` (B x 3 x H x W in [0, 1]) with the given features per layer."""
        return self.value(images, self.statistics(features))
