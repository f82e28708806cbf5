"""The style losses by name, and their sums over a picture's positions, perhaps region by region.

In: features and guidance channels. Out: sums, from which targets and losses are made. A new style
loss is a file beside this one and a line in `STATISTICS`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.method.losses.gram import GRAM
from pipeline.method.losses.mean_std import MEAN_STD
from pipeline.method.losses.sliced_wasserstein import SLICED_WASSERSTEIN
from pipeline.method.losses.statistic import StyleStatistic
from pipeline.method.losses.wasserstein import WASSERSTEIN

STATISTICS: dict[str, StyleStatistic] = {
    "gram": GRAM,
    "mean_std": MEAN_STD,
    "wasserstein": WASSERSTEIN,
    "sliced_wasserstein": SLICED_WASSERSTEIN,
}


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
    if statistic.with_ones:
        features = torch.cat((features, torch.ones_like(features[:, :1])), 1)
    if guides is None:
        count = features.new_full((len(features), 1), float(features.shape[2:].numel()))
        return statistic.sums(features)[:, None], count
    regions = [statistic.sums(features * guides[:, r, None]) for r in range(guides.shape[1])]
    return torch.stack(regions, 1), guides.square().sum((2, 3))
