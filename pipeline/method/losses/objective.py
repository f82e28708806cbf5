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

from pipeline.method.losses.content import CONTENT_LOSSES, kept_at
from pipeline.method.losses.gradient_norm import NormalizeGradient
from pipeline.method.losses.guides import Regions, positions_of
from pipeline.method.losses.joined import joined_features
from pipeline.method.losses.laplacian import Outlines
from pipeline.method.losses.neighbors import Neighbors
from pipeline.method.losses.squares import apart, energy
from pipeline.method.losses.statistic import Prepared, measured
from pipeline.method.losses.style import STATISTICS, weighted_sums
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
        normalizes: whether one of the powers is not 0.
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
    normalizes: bool = False

    def select(self, rows: Tensor) -> JobWeights:
        """The same of some of the jobs, by their places in the batch."""
        return JobWeights(
            self.content[rows],
            self.laplacian[rows],
            self.style[rows],
            self.tv[rows],
            self.neighbors[rows],
            self.temporal[rows],
            {k: v[rows] for k, v in self.content_layers.items()},
            {k: v[rows] for k, v in self.style_layers.items()},
            self.powers[rows],
            self.normalizes,
        )


@dataclass(frozen=True)
class Losses:
    """The loss of each picture and its parts, each B values.

    Attributes:
        parts: before their weights, 5 x B: content (the sum over layers and the weighed Laplacian
            loss), style (the sum over layers), neighbors, total variation and temporal (0 without
            a frame before). Without a graph.
        total: alpha L_content + beta L_style + the weighted others.
    """

    parts: Tensor
    total: Tensor

    @property
    def content(self) -> Tensor:
        """Before `content_weight`."""
        return self.parts[0]

    @property
    def style(self) -> Tensor:
        """Before `style_weight`."""
        return self.parts[1]

    @property
    def neighbors(self) -> Tensor:
        """Before `neighbor_weight`."""
        return self.parts[2]

    @property
    def tv(self) -> Tensor:
        """Before `tv_weight`."""
        return self.parts[3]

    @property
    def temporal(self) -> Tensor:
        """Before `temporal_weight`."""
        return self.parts[4]

    @staticmethod
    def of(table: Tensor) -> Losses:
        """What `table` gave."""
        return Losses(table[:5], table[5])

    def detached(self) -> Losses:
        """Without a graph."""
        return Losses(self.parts, self.total.detach())

    def table(self) -> Tensor:
        """The parts in the order above and the total, 6 x B."""
        return torch.cat((self.parts, self.total[None]))


@dataclass(frozen=True)
class Statistics:
    """All that the losses need of features: sums over positions, so that parts of a picture add up.

    Attributes:
        styles: per style layer the statistic's sums, B R x C x K; with regions each position's
            share is in them, else they are to be divided by the number of positions.
        contents: per content layer sum (F - P)^2, B values.
        neighbors: sum of 1 - cos, B values.
    """

    styles: Mapping[str, Tensor]
    contents: Mapping[str, Tensor]
    neighbors: Tensor

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            {k: v + other.styles[k] for k, v in self.styles.items()},
            {k: v + other.contents[k] for k, v in self.contents.items()},
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
        styles: per style layer the statistic to reach, U x C x K, or U x R x C x K with regions.
        weights: each job's.
        regions: None for one region of all.
        neighbors: what positions are drawn to; None without that term.
        channels: per layer the number N of the formulas, where it is not that of the features.
        before: the results of the frames before; None without them.
        keep: how much of each place of the contents is kept, B x 1 x H x W in [0, 1]; each
            position's (F - P)^2 is weighed by it (`kept_at`). None for all alike.
        outlines: the contents' Laplacians; None without that loss.
        style_rows: which of the U styles each picture has, B whole numbers; None for one each.
        prepared: what `StyleStatistic.prepare` gave of `styles`, these flattened to U R x C x K;
            None has it found here.
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
        style_rows: Tensor | None = None,
        prepared: Mapping[str, Prepared] | None = None,
    ) -> None:
        self.neighbors, self.before = neighbors, before
        self.keep, self.outlines = keep, outlines
        self.channels = channels or {}
        self.kinds, self.statistic = kinds, STATISTICS[kinds.style]
        self.contents, self.styles, self.weights = contents, styles, weights
        self.regions, self.style_rows = regions, style_rows
        sizes = {layer: target.shape[2:] for layer, target in contents.items()}
        self.kept = {} if keep is None else {k: kept_at(keep, s).sqrt() for k, s in sizes.items()}
        self.aims = {k: t * self.kept[k] if self.kept else t for k, t in contents.items()}
        self.guides = {} if regions is None else {k: regions.shares_at(k) for k in styles}
        self._weigh(prepared)

    def _weigh(self, prepared: Mapping[str, Prepared] | None) -> None:
        """All that a step needs and that stays: once a scale, since each call has its price."""
        loss, w = self.kinds.loss, self.weights
        one = torch.ones_like(w.content)
        self.none, self.one = torch.zeros_like(one), one
        counts = {k: target.shape[2:].numel() * self._channels(k, target.shape[1])
                  for k, target in self.contents.items()}  # fmt: skip
        # Content losses are proportional to sum (F - P)^2.
        factors = [
            w.content_layers[k] * CONTENT_LOSSES[loss](one, energy(target), counts[k])
            for k, target in self.contents.items()
        ]
        self.factors = torch.stack(factors) if factors else one
        flat = {k: t.flatten(0, 1) if t.dim() == 4 else t for k, t in self.styles.items()}
        self.made = prepared or {k: self.statistic.prepare(t) for k, t in flat.items()}
        self.prepared = {
            k: tuple(self._each(part) for part in parts) for k, parts in self.made.items()
        }
        divisors = [
            self._each(self.statistic.divisor(loss, t, self.made[k], self._channels(k, t.shape[1])))
            for k, t in flat.items()
        ]
        self.divisors = torch.stack(divisors) if divisors else one
        shares = one[:, None] if self.regions is None else self.regions.shares
        layers = [(w.style_layers[layer][:, None] * shares).flatten() for layer in self.styles]
        self.shares = torch.stack(layers) if layers else one

    def _each(self, values: Tensor) -> Tensor:
        """Of each picture what is there of each style: U R x ... -> B R x ..."""
        if self.style_rows is None:
            return values
        count = 1 if self.regions is None else self.regions.shares.shape[1]
        styles = values.view(-1, count, *values.shape[1:])
        if len(styles) == 1:  # without regions none is copied
            return styles.expand(len(self.style_rows), *styles.shape[1:]).flatten(0, 1)
        return styles[self.style_rows].flatten(0, 1)

    def _channels(self, layer: str, own: int) -> int:
        return self.channels.get(layer, own)

    @property
    def divisible(self) -> bool:
        """Whether a picture can be taken tile by tile."""
        return self.statistic.additive and not self.weights.normalizes

    def select(self, rows: Tensor) -> StyleTransferLoss:
        """The same for some of the pictures, by their places in the batch."""
        regions = self.regions and Regions(self.regions.guides[rows], self.regions.shares[rows])
        return StyleTransferLoss(
            self.kinds,
            {k: v[rows] for k, v in self.contents.items()},
            self.styles,
            self.weights.select(rows),
            regions,
            self.channels,
            self.neighbors and self.neighbors.select(rows),
            self.before and self.before.select(rows),
            None if self.keep is None else self.keep[rows],
            self.outlines and self.outlines.select(rows),
            rows if self.style_rows is None else self.style_rows[rows],
            self.made,
        )

    def statistics(
        self,
        features: Mapping[str, Tensor],
        windows: Mapping[str, tuple[slice, slice]] | None = None,
    ) -> Statistics:
        """The sums over the positions of `features` (per layer B x C x h x w, float32 or bfloat16).

        Args:
            windows: per layer the rows and columns that the features are of; None for all.
        """
        weights = self.weights

        def difference(layer: str) -> Tensor:
            target, kept = self.aims[layer], self.kept.get(layer)
            if windows:
                rows, columns = windows[layer]
                target = target[:, :, rows, columns]
                kept = None if kept is None else kept[:, :, rows, columns]
            shown = features[layer].float()
            own = self._normalized(shown, weights.content, weights.content_layers[layer])
            return apart(own if kept is None else own * kept, target)

        def sums(layer: str) -> Tensor:
            own = self._normalized(features[layer], weights.style, weights.style_layers[layer])
            guides = self.guides.get(layer)
            if guides is not None and windows:
                rows, columns = windows[layer]
                guides = guides[:, :, rows, columns]
            return weighted_sums(self.kinds.style, own, guides)

        neighbors = self.none
        if self.neighbors:
            window = windows["conv3_1"] if windows else None
            neighbors = self.neighbors.sums(joined_features(features), window)
        return Statistics(
            {layer: sums(layer) for layer in self.styles},
            {layer: difference(layer) for layer in self.contents},
            neighbors,
        )

    def _normalized(self, features: Tensor, weight: Tensor, layers: Tensor) -> Tensor:
        if not self.weights.normalizes:
            return features
        own: Tensor = NormalizeGradient.apply(
            features.float(), weight * layers, self.weights.powers
        )
        return own

    def value(self, images: Tensor, found: Statistics) -> Losses:
        """Losses of `images` (B x 3 x H x W in [0, 1]) with these sums over all their positions."""
        content = style = self.none
        if found.contents:
            content = (torch.stack([*found.contents.values()]) * self.factors).sum(0)
        if self.outlines:
            content = content + self.weights.laplacian * self.outlines.loss(images)
        distances = []
        for layer, sums in found.styles.items():
            if self.regions is None:
                sums = sums / positions_of(layer, images.shape[2:])
            distances.append(self.statistic.distance(sums, self.prepared[layer]))
        if distances:
            each = measured(self.kinds.loss, torch.stack(distances), self.divisors)
            style = (each * self.shares).sum(0)
            style = style if self.regions is None else style.view(len(content), -1).sum(1)
        tv = TV_LOSSES[self.kinds.tv](images)
        total = self.weights.content * content
        total = total.addcmul(self.weights.style, style).addcmul(self.weights.tv, tv)
        neighbors = temporal = self.none
        if self.neighbors:
            neighbors = found.neighbors / self.neighbors.count
            total = total.addcmul(self.weights.neighbors, neighbors)
        if self.before:
            temporal = temporal_loss(images, self.before)
            total = total.addcmul(self.weights.temporal, temporal)
        with torch.no_grad():
            return Losses(torch.stack((content, style, neighbors, tv, temporal)), total)

    def __call__(self, images: Tensor, features: Mapping[str, Tensor]) -> Losses:
        """Losses of `images` (B x 3 x H x W in [0, 1]) with the given features per layer."""
        return self.value(images, self.statistics(features))
