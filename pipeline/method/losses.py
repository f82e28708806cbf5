"""Content, style and total-variation losses; one value a picture, never summed across a batch.

What is compared of a style layer is one of `STATISTICS`, all of them means over positions (so that
pictures of different size compare, and styles blend), perhaps over the positions of one region.

In: features B x C x h x w of the pictures that are optimized, and targets. Out: B values each.
Knows nothing of networks, files or optimizers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

# Keeps the square root's gradient finite where a Gram matrix equals its target; far below rounding.
_TINY = 1e-12


class _GramSum(torch.autograd.Function):
    """G = F F^T for F of B x C x M, with the gradient in F as one product instead of two.

    For a gradient D in G it is (D + D^T) F, since F stands on both sides.
    """

    @staticmethod
    def forward(context: Any, flat: Tensor) -> Tensor:
        """B x C x C."""
        context.save_for_backward(flat)
        if flat.device.type == "cpu":  # the batched product copies its transposed factor there
            return torch.stack([one @ one.T for one in flat])
        return flat @ flat.transpose(1, 2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """B x C x M, in channels-last order if the features came so."""
        flat: Tensor = context.saved_tensors[0]
        both = gradient + gradient.transpose(1, 2)
        if flat.stride(1) == 1:  # or what follows would walk two layouts at once
            return (flat.transpose(1, 2) @ both).transpose(1, 2)
        return both @ flat


def gram_sum(features: Tensor) -> Tensor:
    """Gram matrices G = F F^T (Gatys et al. 2016, equation 3): B x C x h x w -> B x C x C."""
    gram: Tensor = _GramSum.apply(features.flatten(2))
    return gram


def gram(features: Tensor) -> Tensor:
    """Gram matrices per position, G / M with G = F F^T (Gatys et al. 2016, equation 3).

    Dividing by the M positions makes pictures of different size comparable.

    Args:
        features: B x C x h x w.

    Returns:
        B x C x C, symmetric, positive semi-definite.
    """
    return gram_sum(features) / features.shape[2:].numel()


def energy(values: Tensor) -> Tensor:
    """Sum of squares per picture: B x ... -> B."""
    return values.flatten(1).square().sum(1)


def content_paper(difference: Tensor, target: Tensor, count: int) -> Tensor:
    """L_c = 1/2 sum (F - P)^2 (Gatys et al. 2016, equation 1); its gradient in F is F - P.

    Args:
        difference: sum (F - P)^2, B values.
        target: sum P^2, B values; not used.
        count: values that were summed; not used.
    """
    return 0.5 * difference


def content_relative(difference: Tensor, target: Tensor, count: int) -> Tensor:
    """sum (F - P)^2 / sum P^2: the paper's sum, measured against the target's own energy."""
    return difference / target.clamp_min(_TINY)


def content_mean(difference: Tensor, target: Tensor, count: int) -> Tensor:
    """Mean of (F - P)^2 over all values, as neural-style and most tools have it."""
    return difference / count


CONTENT_LOSSES: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "paper": content_paper,
    "relative": content_relative,
    "mean": content_mean,
}


# --- what is compared of a style layer ------------------------------------------------------------


def _squares(values: Tensor) -> Tensor:
    """Sum of squares per picture and region: B x R x ... -> B x R."""
    return values.flatten(2).square().sum(2)


class GramStatistic:
    """The Gram matrix per position, G / M (Gatys et al. 2016, equation 3)."""

    additive = True

    def sums(self, features: Tensor) -> Tensor:
        """Over all positions: B x C x h x w -> B x C x C. Features may be multiplied by the square
        root of each position's weight, as they are below."""
        return gram_sum(features)

    def prepare(self, target: Tensor) -> Tensor:
        """What `distance` needs of the targets, B x R x C x C."""
        return target

    def paper(self, found: Tensor, target: Tensor) -> Tensor:
        """E_l = 1 / (4 N^2) sum (G/M - A/M_a)^2 (Gatys et al. 2016, equation 4); B x R.

        The paper divides the squared difference by M^2, with one M for both pictures; here each
        Gram matrix is divided by its own number of positions, the same when the sizes are.
        """
        return _squares(found - target) / (4 * found.shape[-1] ** 2)

    def mean(self, found: Tensor, target: Tensor) -> Tensor:
        """Mean over C x C of (G/(C M) - A/(C M_a))^2: neural-style's, whose Gram matrices are
        divided by the number of features' values; B x R."""
        return _squares(found - target) / found.shape[-1] ** 4

    def relative(self, found: Tensor, target: Tensor) -> Tensor:
        """||G - A|| / ||A||, Frobenius norms; B x R.

        A norm instead of the paper's square: it keeps pulling when the picture is nearly there,
        and a weight means the same for any network, layer and picture.
        """
        return (_squares(found - target) / _squares(target).clamp_min(_TINY) + _TINY).sqrt()


class MeanStdStatistic:
    """Each channel's mean and deviation, batch normalization's statistics (Li et al. 2017,
    "Demystifying Neural Style Transfer", arXiv 1701.01036).

    Kept as mean and mean square, which blend and add up; C x 2.
    """

    additive = True

    def sums(self, features: Tensor) -> Tensor:
        """Sums of F and F^2: B x (C + 1) x h x w, the last channel ones -> B x C x 2."""
        values, ones = features[:, :-1].flatten(2), features[:, -1:].flatten(2)
        return torch.stack(((values * ones).sum(2), values.square().sum(2)), 2)

    def prepare(self, target: Tensor) -> Tensor:
        """Mean and deviation from the two moments."""
        return self._mean_std(target)

    @staticmethod
    def _mean_std(moments: Tensor) -> Tensor:
        mean, square = moments.unbind(-1)
        return torch.stack((mean, (square - mean.square()).clamp_min(1e-8).sqrt()), -1)

    def mean(self, found: Tensor, target: Tensor) -> Tensor:
        """1/C sum (mu - mu')^2 + (sigma - sigma')^2 (Li et al. 2017, equation 13); B x R."""
        return _squares(self._mean_std(found) - target) / found.shape[-2]

    paper = mean

    def relative(self, found: Tensor, target: Tensor) -> Tensor:
        """The root of the same sum over that of mu'^2 + sigma'^2; B x R."""
        difference = _squares(self._mean_std(found) - target)
        return (difference / _squares(target).clamp_min(_TINY) + _TINY).sqrt()


class _TraceOfRoot(torch.autograd.Function):
    """tr M^(1/2) of symmetric positive matrices ... x C x C -> ..., with gradient 1/2 M^(-1/2).

    Eigenvectors' own derivatives, which are infinite where eigenvalues meet, never come up.
    """

    @staticmethod
    def forward(context: Any, matrices: Tensor) -> Tensor:
        # A picture that has diverged must not take its batch along: eigh refuses NaN, so it gets
        # none, and the NaN goes on as the loss.
        finite = torch.isfinite(matrices).all(-1).all(-1)
        values, vectors = torch.linalg.eigh(torch.nan_to_num(matrices, 0.0, 0.0, 0.0))
        roots: Tensor = values.clamp_min(1e-16).sqrt()
        context.save_for_backward(vectors, roots)
        return torch.where(finite, roots.sum(-1), torch.nan)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        vectors, roots = context.saved_tensors
        slope: Tensor = (vectors / roots[..., None, :]) @ vectors.mT
        half: Tensor = 0.5 * gradient[..., None, None] * slope
        return half


class WassersteinStatistic:
    """The squared 2-Wasserstein distance of Gaussians with the features' means and covariances.

    d^2 = ||mu - mu'||^2 + tr(S + S' - 2 (S'^(1/2) S S'^(1/2))^(1/2)). Kept as second raw moments
    and means, which blend and add up; C x (C + 1). To both covariances 1e-4 is added on the
    diagonal, as style-transfer-pytorch does.
    """

    additive = True

    def sums(self, features: Tensor) -> Tensor:
        """Sums of F F^T and F: B x (C + 1) x h x w, the last channel ones -> B x C x (C + 1)."""
        return gram_sum(features)[:, :-1]

    @staticmethod
    def _moments(target: Tensor) -> tuple[Tensor, Tensor]:
        # The smallest eigenvalues of a product of covariances are lost in float32, and the
        # gradient is steepest there.
        precise = target if target.device.type == "mps" else target.double()
        second, mean = precise[..., :-1], precise[..., -1]
        small = 1e-4 * torch.eye(second.shape[-1], device=second.device, dtype=second.dtype)
        return mean, second - mean[..., :, None] * mean[..., None, :] + small

    def prepare(self, target: Tensor) -> Tensor:
        """B x R x C x (2 C + 1): the targets, and the root of their covariance."""
        values, vectors = torch.linalg.eigh(self._moments(target)[1])
        root = (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mT
        return torch.cat((target.to(root.dtype), root), -1)

    def _distance(self, found: Tensor, target: Tensor) -> Tensor:
        wanted, root = torch.split(target, [found.shape[-1], found.shape[-2]], -1)
        (mean, covariance), (other, its) = self._moments(found), self._moments(wanted)
        traces = (covariance + its).diagonal(dim1=-2, dim2=-1).sum(-1)
        both: Tensor = _TraceOfRoot.apply(root @ covariance @ root)
        distance: Tensor = (mean - other).square().sum(-1) + (traces - 2 * both)
        return distance.to(found.dtype)

    def mean(self, found: Tensor, target: Tensor) -> Tensor:
        """d^2 / C, as style-transfer-pytorch has it; B x R."""
        return self._distance(found, target) / found.shape[-2]

    paper = mean

    def relative(self, found: Tensor, target: Tensor) -> Tensor:
        """d over the root of the target's mean square, ||mu'||^2 + tr S'; B x R."""
        second = target[..., : found.shape[-2]].diagonal(dim1=-2, dim2=-1).sum(-1).to(found.dtype)
        share = self._distance(found, target) / second.clamp_min(_TINY)  # 0 where there is no style
        return (share.clamp_min(0) + _TINY).sqrt()


class SlicedWassersteinStatistic:
    """Distributions of the features' projections (Heitz et al. 2021, "A Sliced Wasserstein Loss for
    Neural Texture Synthesis", arXiv 2006.07229).

    The features are projected on C orthonormal directions, which are the same for every picture and
    step (the paper draws new ones at each), and each projection's quantile function is kept as the
    means of `QUANTILES` equal shares; C x QUANTILES. Quantiles need all positions at once: no
    tiles, no regions.
    """

    QUANTILES = 256
    additive = False

    def sums(self, features: Tensor) -> Tensor:
        """Quantiles times the number of positions: B x C x h x w -> B x C x QUANTILES."""
        flat = features.flatten(2)
        channels, positions = flat.shape[1:]
        sorted_ = (self._directions(channels).to(flat) @ flat).sort(2).values
        if positions >= self.QUANTILES:
            return F.adaptive_avg_pool1d(sorted_, self.QUANTILES) * positions
        return F.interpolate(sorted_, self.QUANTILES, mode="linear") * positions

    @staticmethod
    @cache
    def _directions(channels: int) -> Tensor:
        generator = torch.Generator().manual_seed(channels)
        square = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
        orthonormal: Tensor = torch.linalg.qr(square)[0]
        return orthonormal.mT.float()

    def prepare(self, target: Tensor) -> Tensor:
        """What `distance` needs of the targets, B x R x C x QUANTILES."""
        return target

    def mean(self, found: Tensor, target: Tensor) -> Tensor:
        """Mean squared difference of quantiles (Heitz et al. 2021, equations 3, 4); B x R."""
        return _squares(found - target) / target.shape[2:].numel()

    paper = mean

    def relative(self, found: Tensor, target: Tensor) -> Tensor:
        """The root of the same over the quantiles' own mean square; B x R."""
        return (_squares(found - target) / _squares(target).clamp_min(_TINY) + _TINY).sqrt()


class Statistic(Protocol):
    """What is compared of a style layer.

    Attributes:
        additive: whether the sums over parts of a picture add up to the whole's.
    """

    additive: bool

    def sums(self, features: Tensor) -> Tensor:
        """Sums over positions."""
        ...

    def prepare(self, target: Tensor) -> Tensor:
        """What the losses need of targets B x R x C x K, computed once."""
        ...

    def paper(self, found: Tensor, target: Tensor) -> Tensor:
        """The loss as the statistic's paper has it; B x R."""
        ...

    def mean(self, found: Tensor, target: Tensor) -> Tensor:
        """The loss as a mean; B x R."""
        ...

    def relative(self, found: Tensor, target: Tensor) -> Tensor:
        """The loss measured against the target's own size; B x R."""
        ...


STATISTICS: dict[str, Statistic] = {
    "gram": GramStatistic(),
    "mean_std": MeanStdStatistic(),
    "wasserstein": WassersteinStatistic(),
    "sliced_wasserstein": SlicedWassersteinStatistic(),
}
_WITH_ONES = ("mean_std", "wasserstein")


def style_sums(name: str, features: Tensor, guides: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A statistic's sums over positions, and the weight of the positions summed.

    Guided (Gatys et al. 2017, "Controlling Perceptual Factors in Neural Style Transfer", section
    "Spatial control"): each region's features are multiplied by its guidance channel T_r, so that
    a position counts T_r^2.

    Args:
        name: one of `STATISTICS`.
        features: B x C x h x w.
        guides: T, B x R x h x w in [0, 1]; None for one region of all.

    Returns:
        B x R x C x K, and B x R.
    """
    statistic = STATISTICS[name]
    if name in _WITH_ONES:
        features = torch.cat((features, torch.ones_like(features[:, :1])), 1)
    if guides is None:
        count = features.new_full((len(features), 1), float(features.shape[2:].numel()))
        return statistic.sums(features)[:, None], count
    regions = [statistic.sums(features * guides[:, r, None]) for r in range(guides.shape[1])]
    return torch.stack(regions, 1), guides.square().sum((2, 3))


def guides_at(guides: Tensor, size: Sequence[int]) -> Tensor:
    """Guidance channels at a layer's height and width, each position the mean of what it covers."""
    return F.interpolate(guides, tuple(size), mode="area")


class _NormalizeGradient(torch.autograd.Function):
    """Divides a loss's gradient in its layer's features by its L1 norm to some power.

    As neural-style's -normalize_gradients: g becomes s g / |g|_1^p, where g is the gradient of the
    loss before its weight s; one norm a picture.
    """

    @staticmethod
    def forward(context: Any, features: Tensor, weight: Tensor, power: Tensor) -> Tensor:
        context.save_for_backward(weight, power)
        return features.view_as(features)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        weight, power = context.saved_tensors
        plain = gradient.flatten(1).abs().sum(1) / weight.clamp_min(_TINY)
        return gradient / (plain.pow(power) + 1e-8).view(-1, 1, 1, 1), None, None


# --- total variation ------------------------------------------------------------------------------


def tv_mean_squares(images: Tensor) -> Tensor:
    """Mean squared difference of neighboring pixels, down plus across; B values.

    Args:
        images: B x 3 x H x W in [0, 1].
    """
    down = (images[:, :, 1:] - images[:, :, :-1]).square().mean((1, 2, 3))
    across = (images[:, :, :, 1:] - images[:, :, :, :-1]).square().mean((1, 2, 3))
    return down + across


def tv_sum_squares(images: Tensor) -> Tensor:
    """Sum of squared differences of neighboring pixels; B values. Twice neural-style's."""
    down = (images[:, :, 1:] - images[:, :, :-1]).square().sum((1, 2, 3))
    return down + (images[:, :, :, 1:] - images[:, :, :, :-1]).square().sum((1, 2, 3))


def tv_sum_absolute(images: Tensor) -> Tensor:
    """Sum of absolute differences of neighboring pixels; B values. neural-style-pt's."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().sum((1, 2, 3))
    return down + (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().sum((1, 2, 3))


TV_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean_squares": tv_mean_squares,
    "sum_squares": tv_sum_squares,
    "sum_absolute": tv_sum_absolute,
}


# --- the objective --------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobWeights:
    """Each job's weights, as tensors of B values.

    Attributes:
        content: alpha.
        style: beta.
        tv: weight of total variation.
        content_layers: per layer, in the content loss.
        style_layers: per layer, w_l in the style loss.
        powers: of the L1 norm by which each layer's gradient is divided; 0 leaves it as it is.
    """

    content: Tensor
    style: Tensor
    tv: Tensor
    content_layers: Mapping[str, Tensor]
    style_layers: Mapping[str, Tensor]
    powers: Tensor


@dataclass(frozen=True)
class Losses:
    """The loss of each picture and its parts, each B values.

    Attributes:
        content: sum over layers, before `content_weight`.
        style: sum over layers, before `style_weight`.
        tv: before `tv_weight`.
        total: alpha L_content + beta L_style + tv weight * total variation.
    """

    content: Tensor
    style: Tensor
    tv: Tensor
    total: Tensor


@dataclass(frozen=True)
class Statistics:
    """All that the losses need of features: sums over positions, so that parts of a picture add up.

    Attributes:
        styles: per style layer the statistic's sums, B x R x C x K.
        contents: per content layer sum (F - P)^2, B values.
        counts: per style layer the weight of the positions summed, B x R.
    """

    styles: Mapping[str, Tensor]
    contents: Mapping[str, Tensor]
    counts: Mapping[str, Tensor]

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            {k: v + other.styles[k] for k, v in self.styles.items()},
            {k: v + other.contents[k] for k, v in self.contents.items()},
            {k: v + other.counts[k] for k, v in self.counts.items()},
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


@dataclass(frozen=True)
class Regions:
    """Where each of R regions lies.

    Attributes:
        guides: guidance channels T, B x R x H x W in [0, 1].
        shares: weight of each region's style loss, B x R; 0 for a region without a style.
    """

    guides: Tensor
    shares: Tensor


class StyleTransferLoss:
    """The whole objective of a batch: each picture against its own targets.

    Args:
        kinds: which losses.
        contents: per content layer the features to keep, B x C x h x w.
        styles: per style layer the statistic to reach, B x C x K, or B x R x C x K with regions.
        weights: each job's.
        regions: None for one region of all.
    """

    def __init__(
        self,
        kinds: Kinds,
        contents: Mapping[str, Tensor],
        styles: Mapping[str, Tensor],
        weights: JobWeights,
        regions: Regions | None = None,
    ) -> None:
        self.kinds, self.statistic = kinds, STATISTICS[kinds.style]
        self.contents, self.styles, self.weights = contents, styles, weights
        self.regions = regions
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
            w.style[rows],
            w.tv[rows],
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
            target = self.contents[layer]
            if windows:
                target = target[:, :, windows[layer][0], windows[layer][1]]
            own = self._normalized(features[layer], weights.content * weights.content_layers[layer])
            return energy(own - target)

        def sums(layer: str) -> tuple[Tensor, Tensor]:
            own = self._normalized(features[layer], weights.style * weights.style_layers[layer])
            return style_sums(self.kinds.style, own, self._guides(own, layer, windows))

        found = {layer: sums(layer) for layer in self.styles}
        return Statistics(
            {layer: values for layer, (values, _) in found.items()},
            {layer: difference(layer) for layer in self.contents},
            {layer: count for layer, (_, count) in found.items()},
        )

    def _normalized(self, features: Tensor, weight: Tensor) -> Tensor:
        if not self.normalizes:
            return features
        own: Tensor = _NormalizeGradient.apply(features, weight, self.weights.powers)
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
        shrink = 2 ** (int(layer[4]) - 1)
        rows, columns = windows[layer]
        return guides_at(whole, [s // shrink for s in whole.shape[2:]])[:, :, rows, columns]

    def value(self, images: Tensor, found: Statistics) -> Losses:
        """Losses of `images` (B x 3 x H x W in [0, 1]) with these sums over all their positions."""
        weights = self.weights
        content = style = torch.zeros_like(weights.content)
        for layer, difference in found.contents.items():
            count = self.contents[layer][0].numel()
            loss = CONTENT_LOSSES[self.kinds.loss](difference, self.energies[layer], count)
            content = content + weights.content_layers[layer] * loss
        for layer, sums in found.styles.items():
            mean = sums / found.counts[layer].clamp_min(_TINY)[..., None, None]
            each = getattr(self.statistic, self.kinds.loss)(mean, self.prepared[layer])
            shared = each if self.regions is None else each * self.regions.shares
            style = style + weights.style_layers[layer] * shared.sum(1)
        tv = TV_LOSSES[self.kinds.tv](images)
        total = weights.content * content + weights.style * style + weights.tv * tv
        return Losses(content, style, tv, total)

    def __call__(self, images: Tensor, features: Mapping[str, Tensor]) -> Losses:
        """Losses of `images` (B x 3 x H x W in [0, 1]) with the given features per layer."""
        return self.value(images, self.statistics(features))
