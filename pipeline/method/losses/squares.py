"""Sums of squares that the losses share."""

from __future__ import annotations

from torch import Tensor

# Keeps roots' gradients finite where a picture has reached its target; far below rounding.
TINY = 1e-12


def energy(values: Tensor) -> Tensor:
    """Sum of squares per picture: B x ... -> B."""
    return values.flatten(1).square().sum(1)


def squares(values: Tensor) -> Tensor:
    """Sum of squares per picture and region: B x R x ... -> B x R."""
    return values.flatten(2).square().sum(2)


def relative_norm(found: Tensor, target: Tensor, channels: int = 0) -> Tensor:
    """||found - target|| / ||target||, Frobenius norms: B x R x ... -> B x R.

    A norm instead of a square: it keeps pulling when the picture is nearly there, and a weight
    means the same for any network, layer and picture. The number of channels does not matter.
    """
    return (squares(found - target) / squares(target).clamp_min(TINY) + TINY).sqrt()
