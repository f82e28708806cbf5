"""Whether two devices compute the same: the losses and the gradient of a small job's first step.

In: a device, a precision, a device to compare with. Out: how far they are apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.layers import NEIGHBOR_LAYERS
from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    Losses,
    ScaleInputs,
    batch_loss,
    load_weights,
    losses_and_gradient,
    neighbor_targets,
    style_targets,
)
from pipeline.slot.precision import network_type, use_precision

_SIDE = 96  # px
# How far losses and gradients may be apart, relatively: some times what rounding makes of them on
# CPUs that have the precision.
_ALLOWED = {
    "fp32": (1e-3, 1e-2),
    "tf32": (3e-3, 5e-2),
    "bf16": (1e-2, 1.5e-1),
    "fp16": (3e-3, 1e-1),
}


@dataclass(frozen=True)
class Agreement:
    """How far a device is from another.

    Attributes:
        losses: the largest |a - b| / |b| of the losses' parts.
        gradient: ||a - b|| / ||b||.
    """

    device: str
    precision: str
    losses: float
    gradient: float

    @property
    def agrees(self) -> bool:
        """Whether no more than rounding is between them."""
        losses, gradient = _ALLOWED[self.precision]
        return self.losses <= losses and self.gradient <= gradient  # False for NaN


@dataclass(frozen=True)
class _FirstStep:
    """What a first step gave.

    Attributes:
        chosen: of each position the style's vector that it is drawn to.
    """

    losses: Losses
    gradient: Tensor
    chosen: Tensor


def compare(device: str, precision: str, reference: str = "cpu") -> Agreement:
    """A device in a precision against another in fp32.

    Raises:
        DeviceError: a precision that the device does not have.
    """
    try:
        # Rounding may exchange one of two vectors that are nearly as near for the other.
        wanted = _first_step(reference, "fp32")
        found = _first_step(device, precision, wanted.chosen)
    finally:
        use_precision("fp32", reference)  # for whatever this process does next
    ours, theirs = (_values(step.losses) for step in (found, wanted))
    losses = ((ours - theirs).abs() / theirs.abs().clamp_min(1e-12)).max()
    apart = (found.gradient - wanted.gradient).norm() / wanted.gradient.norm()
    return Agreement(device, precision, float(losses), float(apart))


def _values(losses: Losses) -> Tensor:
    """All parts and the total, one after the other."""
    return torch.cat((losses.parts.flatten(), losses.total.flatten()))


def _first_step(device: str, precision: str, chosen: Tensor | None = None) -> _FirstStep:
    """The job's first step with `lite`, on the CPU afterwards.

    Args:
        chosen: the style's vectors to be drawn to; None has them sought.
    """
    settings = Settings(
        style_loss="wasserstein", neighbor_weight=2.0, laplacian_weight=1.0, size=_SIDE
    )
    chosen_type = network_type(use_precision(precision, device))

    def made(dtype: torch.dtype) -> Backbone:
        weights, padding = load_weights("lite"), settings.padding
        return Backbone(weights, settings.layers, padding=padding, dtype=dtype).to(device)

    network, precise = made(chosen_type), made(torch.float32)  # targets are float32's, as in a run
    content, style, picture = (_picture(seed).to(device) for seed in range(3))
    targets = style_targets(precise, style, tuple(settings.style_layers), settings.style_loss)
    given = ScaleInputs(
        content[None],
        torch.zeros(1, dtype=torch.long, device=device),
        {layer: values[None] for layer, values in targets.items()},
        neighbors=[neighbor_targets(precise, style)],
    )
    loss = batch_loss(network, [settings], given)
    assert loss.neighbors is not None and set(NEIGHBOR_LAYERS) <= set(settings.layers)
    loss.neighbors = (
        loss.neighbors.renewed(None)
        if chosen is None
        else loss.neighbors.with_chosen(chosen.to(device))
    )
    found, gradient = losses_and_gradient(network, loss, picture[None])
    assert loss.neighbors.chosen is not None
    return _FirstStep(found, gradient.cpu(), loss.neighbors.chosen.cpu())


def _picture(seed: int) -> Tensor:
    """A smooth picture of chance, 3 x H x W in [0, 1]; the same on every machine."""
    coarse = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (_SIDE, _SIDE), mode="bicubic")[0].clamp(0, 1)
