"""What an optimizer is, and what they share.

Every picture of a batch is its own problem: no picture's step depends on another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch.nn.functional as F  # noqa: N812
from torch import Tensor


class Optimizer(Protocol):
    """Moves a batch of pictures, given their gradients; its state can be kept and put back."""

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, each tensor B x ...; empty before the first step.
        What it gives is to be read before the next step, which changes it in place."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what `state` gave."""
        ...

    def step(self, images: Tensor, gradients: Tensor, rates: Tensor) -> None:
        """Moves `images` (B x ...) in place; `rates` are B learning rates."""
        ...

    def steady(self) -> None:
        """After a first step: makes every later one the same calls on the same tensors, whatever
        is in them, as a CUDA graph of one step needs."""
        ...

    def clamp(self, images: Tensor) -> None:
        """Brings the pixels back into [0, 1] after a step."""
        ...

    def enlarge(self, size: tuple[int, int]) -> None:
        """Carries the memory to pictures of another height and width (B x 3 x H x W)."""
        ...


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """B x 3 x h x w at another height and width, bilinear."""
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """B values, shaped to multiply B x ... ."""
    return values.view(-1, *[1] * (like.dim() - 1))
