"""Batched Adam.

In: pictures, gradients, a learning rate a picture. Out: the pictures, moved in place.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.method.optimizers.optimizer import per_image, resized


class Adam:
    """Adam (Kingma and Ba 2015) with bias correction, as `torch.optim.Adam` has it.

    Adam works on each pixel alone, so a batch needs no more than a learning rate a picture. The
    second moment's decay is 0.99, not 0.999: a few hundred steps are all that a picture gets.
    """

    def __init__(self, betas: tuple[float, float] = (0.9, 0.99), epsilon: float = 1e-8) -> None:
        self.betas, self.epsilon = betas, epsilon
        self.count: Tensor | None = None  # steps so far, of each picture, B x 1 x ...
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def step(self, images: Tensor, gradients: Tensor, rates: Tensor) -> None:
        """Moves `images` (B x ...) in place; `rates` are B learning rates."""
        if self.first is None or self.second is None or self.count is None:
            self.first, self.second = torch.zeros_like(images), torch.zeros_like(images)
            self.count = per_image(images.new_zeros(len(images)), images)
        self.count.add_(1)
        beta1, beta2 = self.betas
        self.first.lerp_(gradients, 1 - beta1)
        self.second.mul_(beta2).addcmul_(gradients, gradients, value=1 - beta2)
        root = (self.second / (1 - beta2**self.count)).sqrt_().add_(self.epsilon)
        step = per_image(rates, images) / (1 - beta1**self.count) * self.first
        images.addcdiv_(step, root, value=-1)

    def steady(self) -> None:
        """See `Optimizer`. So they are as they are."""

    def clamp(self, images: Tensor) -> None:
        """See `Optimizer`."""
        images.clamp_(0, 1)

    def enlarge(self, size: tuple[int, int]) -> None:
        """See `Optimizer`. All losses are means or are balanced against each other, so a pixel of
        a picture k times as large has a k-th of the gradient."""
        if self.first is None or self.second is None:
            return
        ratio = self.first.shape[-2:].numel() / (size[0] * size[1])
        self.first = resized(self.first, size) * ratio
        self.second = (resized(self.second.sqrt(), size) * ratio).square()

    def state(self) -> dict[str, Tensor]:
        """See `Optimizer`."""
        if self.first is None or self.second is None or self.count is None:
            return {}
        return {"first": self.first, "second": self.second, "count": self.count.flatten()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See `Optimizer`."""
        if not state:
            return
        self.first, self.second = state["first"].clone(), state["second"].clone()
        self.count = per_image(state["count"].clone(), self.first)
