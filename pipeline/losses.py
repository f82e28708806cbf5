"""Content, style and total-variation losses; one value a picture, never summed across a batch.

In: features B x C x h x w of the pictures that are optimised, and targets. Out: B values each.
Knows nothing of networks, files or optimisers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
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
        return flat @ flat.transpose(1, 2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """B x C x M."""
        flat: Tensor = context.saved_tensors[0]
        return (gradient + gradient.transpose(1, 2)) @ flat


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


def content_paper(difference: Tensor, target: Tensor) -> Tensor:
    """L_c = 1/2 sum (F - P)^2 (Gatys et al. 2016, equation 1); its gradient in F is F - P.

    Args:
        difference: sum (F - P)^2, B values.
        target: sum P^2, B values; not used.
    """
    return 0.5 * difference


def content_relative(difference: Tensor, target: Tensor) -> Tensor:
    """sum (F - P)^2 / sum P^2: the paper's sum, measured against the target's own energy.

    Args:
        difference: sum (F - P)^2, B values.
        target: sum P^2, B values.
    """
    return difference / target.clamp_min(_TINY)


def style_paper(grams: Tensor, target: Tensor) -> Tensor:
    """E_l = 1 / (4 N^2) sum (G/M - A/M_a)^2 (Gatys et al. 2016, equation 4).

    The paper divides the squared difference by M^2, with one M for both pictures; here each Gram
    matrix is divided by its own number of positions, which is the same when the sizes are.

    Args:
        grams: G / M, B x N x N.
        target: A / M_a, B x N x N.
    """
    return energy(grams - target) / (4 * grams.shape[1] ** 2)


def style_relative(grams: Tensor, target: Tensor) -> Tensor:
    """||G - A|| / ||A||, Frobenius norms.

    A norm instead of the paper's square: it keeps pulling when the picture is nearly there, and a
    weight means the same for any network, layer and picture.

    Args:
        grams: G / M, B x N x N.
        target: A / M_a, B x N x N.
    """
    return (energy(grams - target) / energy(target).clamp_min(_TINY) + _TINY).sqrt()


CONTENT_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "paper": content_paper,
    "relative": content_relative,
}
STYLE_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "paper": style_paper,
    "relative": style_relative,
}


def total_variation(images: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels, down plus across; B values.

    Args:
        images: B x 3 x H x W in [0, 1].
    """
    down = (images[:, :, 1:] - images[:, :, :-1]).square().mean((1, 2, 3))
    across = (images[:, :, :, 1:] - images[:, :, :, :-1]).square().mean((1, 2, 3))
    return down + across


@dataclass(frozen=True)
class JobWeights:
    """Each job's weights, as tensors of B values.

    Attributes:
        content: alpha.
        style: beta.
        tv: weight of total variation.
        content_layers: per layer, in the content loss.
        style_layers: per layer, w_l in the style loss.
    """

    content: Tensor
    style: Tensor
    tv: Tensor
    content_layers: Mapping[str, Tensor]
    style_layers: Mapping[str, Tensor]


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
        grams: per style layer F F^T, B x C x C.
        contents: per content layer sum (F - P)^2, B values.
        positions: per style layer how many positions were summed.
    """

    grams: Mapping[str, Tensor]
    contents: Mapping[str, Tensor]
    positions: Mapping[str, int]

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            {k: v + other.grams[k] for k, v in self.grams.items()},
            {k: v + other.contents[k] for k, v in self.contents.items()},
            {k: v + other.positions[k] for k, v in self.positions.items()},
        )


class StyleTransferLoss:
    """The whole objective of a batch: each picture against its own targets.

    Args:
        kind: `paper` or `relative`.
        contents: per content layer the features to keep, B x C x h x w.
        grams: per style layer the Gram matrices per position to reach, B x C x C.
        weights: each job's.
    """

    def __init__(
        self,
        kind: str,
        contents: Mapping[str, Tensor],
        grams: Mapping[str, Tensor],
        weights: JobWeights,
    ) -> None:
        self.kind = kind
        self.contents, self.grams, self.weights = contents, grams, weights
        self.energies = {layer: energy(target) for layer, target in contents.items()}

    def select(self, rows: Tensor) -> StyleTransferLoss:
        """The same for some of the pictures, by their places in the batch."""
        w = self.weights
        weights = JobWeights(
            w.content[rows],
            w.style[rows],
            w.tv[rows],
            {k: v[rows] for k, v in w.content_layers.items()},
            {k: v[rows] for k, v in w.style_layers.items()},
        )
        return StyleTransferLoss(
            self.kind,
            {k: v[rows] for k, v in self.contents.items()},
            {k: v[rows] for k, v in self.grams.items()},
            weights,
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

        def differences(layer: str) -> Tensor:
            target = self.contents[layer]
            if windows:
                target = target[:, :, windows[layer][0], windows[layer][1]]
            return energy(features[layer] - target)

        return Statistics(
            {layer: gram_sum(features[layer]) for layer in self.grams},
            {layer: differences(layer) for layer in self.contents},
            {layer: features[layer].shape[2:].numel() for layer in self.grams},
        )

    def value(self, images: Tensor, found: Statistics) -> Losses:
        """Losses of `images` (B x 3 x H x W in [0, 1]) with these sums over all their positions."""
        weights = self.weights
        content = style = torch.zeros_like(weights.content)
        for layer, difference in found.contents.items():
            loss = CONTENT_LOSSES[self.kind](difference, self.energies[layer])
            content = content + weights.content_layers[layer] * loss
        for layer, product in found.grams.items():
            mean = product / found.positions[layer]
            loss = STYLE_LOSSES[self.kind](mean, self.grams[layer])
            style = style + weights.style_layers[layer] * loss
        tv = total_variation(images)
        total = weights.content * content + weights.style * style + weights.tv * tv
        return Losses(content, style, tv, total)

    def __call__(self, images: Tensor, features: Mapping[str, Tensor]) -> Losses:
        """Losses of `images` (B x 3 x H x W in [0, 1]) with the given features per layer."""
        return self.value(images, self.statistics(features))
