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


class _Gram(torch.autograd.Function):
    """G = F F^T / M for F of B x C x M, with the gradient in F as one product instead of two.

    For a gradient D in G it is (D + D^T) F / M, since F stands on both sides.
    """

    @staticmethod
    def forward(context: Any, flat: Tensor) -> Tensor:
        """B x C x C."""
        context.save_for_backward(flat)
        product: Tensor = flat @ flat.transpose(1, 2)
        return product / flat.shape[2]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """B x C x M."""
        flat: Tensor = context.saved_tensors[0]
        return (gradient + gradient.transpose(1, 2)) @ flat / flat.shape[2]


def gram(features: Tensor) -> Tensor:
    """Gram matrices per position, G / M with G = F F^T (Gatys et al. 2016, equation 3).

    Dividing by the M positions makes pictures of different size comparable.

    Args:
        features: B x C x h x w.

    Returns:
        B x C x C, symmetric, positive semi-definite.
    """
    gram: Tensor = _Gram.apply(features.flatten(2))
    return gram


def _energy(values: Tensor) -> Tensor:
    """Sum of squares per picture: B x ... -> B."""
    return values.flatten(1).square().sum(1)


@dataclass(frozen=True)
class ContentPaper:
    """L_c = 1/2 sum (F - P)^2 (Gatys et al. 2016, equation 1); its gradient in F is F - P."""

    target: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """B values for features B x C x h x w."""
        return 0.5 * _energy(features - self.target)


@dataclass(frozen=True)
class ContentRelative:
    """sum (F - P)^2 / sum P^2: the paper's sum, measured against the target's own energy."""

    target: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """B values for features B x C x h x w."""
        return _energy(features - self.target) / _energy(self.target).clamp_min(_TINY)


@dataclass(frozen=True)
class StylePaper:
    """E_l = 1 / (4 N^2) sum (G/M - A/M_a)^2 (Gatys et al. 2016, equation 4).

    The paper divides the squared difference by M^2, with one M for both pictures; here each Gram
    matrix is divided by its own number of positions, which is the same when the sizes are.

    Attributes:
        target: A / M_a, B x N x N.
    """

    target: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """B values for features B x N x h x w."""
        return _energy(gram(features) - self.target) / (4 * features.shape[1] ** 2)


@dataclass(frozen=True)
class StyleRelative:
    """||G - A|| / ||A||, Frobenius norms.

    A norm instead of the paper's square: it keeps pulling when the picture is nearly there, and a
    weight means the same for any network, layer and picture.

    Attributes:
        target: A / M_a, B x N x N.
    """

    target: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """B values for features B x N x h x w."""
        energy = _energy(self.target).clamp_min(_TINY)
        return (_energy(gram(features) - self.target) / energy + _TINY).sqrt()


CONTENT_LOSSES: dict[str, Callable[[Tensor], Callable[[Tensor], Tensor]]] = {
    "paper": ContentPaper,
    "relative": ContentRelative,
}
STYLE_LOSSES: dict[str, Callable[[Tensor], Callable[[Tensor], Tensor]]] = {
    "paper": StylePaper,
    "relative": StyleRelative,
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
        self.content = {layer: CONTENT_LOSSES[kind](target) for layer, target in contents.items()}
        self.style = {layer: STYLE_LOSSES[kind](target) for layer, target in grams.items()}
        self.weights = weights

    def __call__(self, images: Tensor, features: Mapping[str, Tensor]) -> Losses:
        """Losses of `images` (B x 3 x H x W in [0, 1]) with the given features per layer."""
        weights = self.weights
        zero = torch.zeros_like(weights.content)
        content = sum(
            (weights.content_layers[k] * loss(features[k]) for k, loss in self.content.items()),
            zero,
        )
        style = sum(
            (weights.style_layers[k] * loss(features[k]) for k, loss in self.style.items()),
            zero,
        )
        tv = total_variation(images)
        total = weights.content * content + weights.style * style + weights.tv * tv
        return Losses(content, style, tv, total)
