"""The style losses by name, and their sums over a picture's positions, perhaps region by region.

In: features and guidance channels. Out: sums, from which targets and losses are made. A new style
loss is a file beside this one and a line in `STATISTICS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pipeline.method.losses.gram import GRAM
from pipeline.method.losses.mean_std import MEAN_STD
from pipeline.method.losses.sliced_wasserstein import SLICED_WASSERSTEIN
from pipeline.method.losses.statistic import Prepared, StyleStatistic
from pipeline.method.losses.wasserstein import WASSERSTEIN

STATISTICS: dict[str, StyleStatistic] = {
    "gram": GRAM,
    "mean_std": MEAN_STD,
    "wasserstein": WASSERSTEIN,
    "sliced_wasserstein": SLICED_WASSERSTEIN,
}


def prepares_once(name: str) -> bool:
    """Whether `prepare_targets` takes so long that it is done once a style."""
    return STATISTICS[name].prepares_once


def prepare_targets(
    name: str, targets: Mapping[str, Tensor], device: str | None = None
) -> dict[str, Prepared]:
    """What a style's targets are compared by, found where they lie.

    Args:
        name: one of `STATISTICS`.
        targets: per layer C x K, or R x C x K with regions.
        device: which goes on with it, if not the one where they lie.

    Returns:
        per layer what `StyleStatistic.prepare` gives for N = R, or 1.
    """
    prepare = STATISTICS[name].prepare
    return {k: prepare(t if t.dim() == 3 else t[None], device) for k, t in targets.items()}


def weighted_sums(name: str, features: Tensor, guides: Tensor | None = None) -> Tensor:
    """A statistic's sums over positions, perhaps region by region; B R x C x K.

    Guided (Gatys et al. 2017, "Controlling Perceptual Factors in Neural Style Transfer", section
    "Spatial control"): each region's features are multiplied by its guidance channel T_r, so that
    a position counts T_r^2.

    Args:
        name: one of `STATISTICS`.
        features: B x C x h x w.
        guides: T, B x R x h x w; None for one region of all.
    """
    statistic = STATISTICS[name]
    if guides is not None or not statistic.takes_bfloat16:
        features = features.float()
    flat, sums = features.flatten(2), statistic.sums
    if guides is None:
        return sums(flat, None)
    weights = guides.flatten(2)
    guided = (flat[:, None] * weights[:, :, None]).flatten(0, 1)
    return sums(guided, weights.flatten(0, 1)[:, None])


def style_sums(name: str, features: Tensor, guides: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`weighted_sums` as B x R x C x K, and the weight of the positions summed, B x R."""
    flat = weighted_sums(name, features, guides)
    sums = flat.view(len(features), -1, *flat.shape[1:])
    if guides is None:
        positions = float(features.shape[2:].numel())
        return sums, features.new_full((len(features), 1), positions)
    return sums, guides.square().sum((2, 3))
