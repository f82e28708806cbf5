"""What the student is trained by: errors of features and of Gram matrices.

In: features of student and teacher per tap. Out: a scalar a tap. Must not know the
networks.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pipeline.distill.recipe import STYLE_TAPS
from pipeline.method import gram


def feature_errors(
    student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Squared error over energy per tap, over the batch: sum (s - t)^2 / sum t^2, a scalar each.

    Each picture's own, or the gaudy ones would count for all; with a floor of a third of the
    batch's mean energy for nearly empty crops.
    """
    errors = {}
    for tap, features in teacher.items():
        energy = features.square().flatten(1).sum(1)
        energy = energy.clamp_min(float(energy.mean()) / 3)
        apart = (student[tap] - features).square().flatten(1).sum(1)
        errors[tap] = (apart / energy).mean()
    return errors


def gram_errors(student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Squared relative Gram error per style tap, over the batch: sum |G_s - G_t|^2 / |G_t|^2,
    each picture's own, with a floor of a tenth of the batch's mean for nearly empty crops."""
    errors = {}
    for tap in STYLE_TAPS:
        wanted = gram(teacher[tap])
        energy = wanted.square().sum((1, 2))
        energy = energy.clamp_min(0.1 * float(energy.mean()))
        errors[tap] = ((gram(student[tap]) - wanted).square().sum((1, 2)) / energy).mean()
    return errors
