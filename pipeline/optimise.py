"""Batched Adam and batched L-BFGS: every picture of a batch is its own problem.

In: pictures and their gradients. Out: the pictures, moved in place. No picture's step depends on
another's: all scalars of the methods are tensors over the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor


class Optimiser(Protocol):
    """Moves a batch of pictures, given their gradients; its state can be kept and put back."""

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, each tensor B x ...; empty before the first step."""
        ...

    def load(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Puts back what `state` gave after `steps` steps."""
        ...

    def step(self, images: Tensor, gradients: Tensor, rates: Tensor) -> None:
        """Moves `images` (B x ...) in place; `rates` are B learning rates."""
        ...


def _per_image(values: Tensor, like: Tensor) -> Tensor:
    """B values, shaped to multiply B x ... ."""
    return values.view(-1, *[1] * (like.dim() - 1))


class Adam:
    """Adam (Kingma and Ba 2015) with bias correction, as `torch.optim.Adam` has it.

    Adam works on each pixel alone, so a batch needs no more than a learning rate a picture. The
    second moment's decay is 0.99, not 0.999: a few hundred steps are all that a picture gets.
    """

    def __init__(self, betas: tuple[float, float] = (0.9, 0.99), epsilon: float = 1e-8) -> None:
        self.betas, self.epsilon = betas, epsilon
        self.count = 0
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def step(self, images: Tensor, gradients: Tensor, rates: Tensor) -> None:
        """Moves `images` (B x ...) in place; `rates` are B learning rates."""
        if self.first is None or self.second is None:
            self.first, self.second = torch.zeros_like(images), torch.zeros_like(images)
        self.count += 1
        beta1, beta2 = self.betas
        self.first.lerp_(gradients, 1 - beta1)
        self.second.mul_(beta2).addcmul_(gradients, gradients, value=1 - beta2)
        root = (self.second / (1 - beta2**self.count)).sqrt_().add_(self.epsilon)
        step = _per_image(rates / (1 - beta1**self.count), images) * self.first
        images.sub_(step.div_(root))

    def state(self) -> dict[str, Tensor]:
        """See `Optimiser`."""
        if self.first is None or self.second is None:
            return {}
        return {"first": self.first, "second": self.second}

    def load(self, state: Mapping[str, Tensor], steps: int) -> None:
        """See `Optimiser`."""
        self.count = steps
        self.first, self.second = state["first"].clone(), state["second"].clone()


class LBFGS:
    """L-BFGS without line search (Nocedal and Wright 2006, algorithm 7.4), a history a picture.

    The same steps as `torch.optim.LBFGS` with one iteration a call: the first step is
    min(1, 1 / |g|_1) times the rate along -g; later ones are the rate times the two-loop direction
    with the last pair's scaling y.s / y.y. A pair with y.s <= 1e-10 is not kept, and a picture
    whose direction no longer descends stays where it is.

    Args:
        corrections: pairs (s, y) kept for each picture.
    """

    def __init__(self, corrections: int = 20) -> None:
        self.corrections = corrections
        self.previous: Tensor | None = None

    def _begin(self, flat: Tensor) -> None:
        count, size = flat.shape
        self.s = flat.new_zeros(self.corrections, count, size)
        self.y = flat.new_zeros(self.corrections, count, size)
        self.rho = flat.new_zeros(self.corrections, count)
        self.kept = torch.zeros(count, dtype=torch.long, device=flat.device)
        self.scale = flat.new_ones(count)
        self.moved = torch.zeros_like(flat)
        self.previous = torch.zeros_like(flat)
        self.first = True

    def step(self, images: Tensor, gradients: Tensor, rates: Tensor) -> None:
        """Moves `images` (B x ...) in place; `rates` are B learning rates."""
        g = gradients.flatten(1)
        if self.previous is None:
            self._begin(g)
        if self.first:
            direction = -g
            length = (1 / g.abs().sum(1)).clamp(max=1.0) * rates
        else:
            self._remember(g)
            direction = self._direction(g)
            length = rates
        self.first = False
        descends = (g * direction).sum(1) < 0
        self.previous = g.clone()
        self.moved = direction * (length * descends)[:, None]
        images.add_(self.moved.view_as(images))

    def state(self) -> dict[str, Tensor]:
        """See `Optimiser`; the history is B x corrections x n."""
        if self.previous is None:
            return {}
        return {
            "s": self.s.transpose(0, 1),
            "y": self.y.transpose(0, 1),
            "rho": self.rho.transpose(0, 1),
            "kept": self.kept,
            "scale": self.scale,
            "moved": self.moved,
            "previous": self.previous,
        }

    def load(self, state: Mapping[str, Tensor], steps: int) -> None:
        """See `Optimiser`."""
        self.s, self.y, self.rho = (
            state[name].transpose(0, 1).contiguous() for name in ("s", "y", "rho")
        )
        self.kept, self.scale = state["kept"].clone(), state["scale"].clone()
        self.moved, self.previous = state["moved"].clone(), state["previous"].clone()
        self.first = steps == 0

    def _remember(self, g: Tensor) -> None:
        assert self.previous is not None
        y = g - self.previous
        curvature = (y * self.moved).sum(1)
        rows = (curvature > 1e-10).nonzero().flatten()
        if len(rows) == 0:
            return
        slots = self.kept[rows] % self.corrections
        self.s[slots, rows] = self.moved[rows]
        self.y[slots, rows] = y[rows]
        self.rho[slots, rows] = 1 / curvature[rows]
        self.scale[rows] = curvature[rows] / y[rows].square().sum(1)
        self.kept[rows] += 1

    def _direction(self, g: Tensor) -> Tensor:
        """-H g by the two-loop recursion, over each picture's own pairs from new to old."""
        depth = int(self.kept.max().clamp(max=self.corrections)) if len(self.kept) else 0
        everyone = torch.arange(len(g), device=g.device)
        q = -g
        alphas = []
        slots = [(self.kept - 1 - back) % self.corrections for back in range(depth)]
        held = [self.kept > back for back in range(depth)]
        same = bool((self.kept == self.kept[0]).all())
        for slot, has in zip(slots, held, strict=True):
            s, y, rho = self._pair(slot, everyone, same)
            alpha = (s * q).sum(1) * rho * has
            alphas.append(alpha)
            q = q.addcmul(y, alpha[:, None], value=-1)
        q = q * self.scale[:, None]
        for slot, has, alpha in zip(slots[::-1], held[::-1], alphas[::-1], strict=True):
            s, y, rho = self._pair(slot, everyone, same)
            beta = (y * q).sum(1) * rho * has
            q = q.addcmul(s, (alpha - beta)[:, None])
        return q

    def _pair(self, slot: Tensor, everyone: Tensor, same: bool) -> tuple[Tensor, Tensor, Tensor]:
        if same:  # every picture has kept as many pairs: no gathering, no copy
            index = int(slot[0])
            return self.s[index], self.y[index], self.rho[index]
        return self.s[slot, everyone], self.y[slot, everyone], self.rho[slot, everyone]


def make_optimiser(name: str, corrections: int) -> Optimiser:
    """An optimiser by its name in the settings."""
    makers: dict[str, Callable[[], Optimiser]] = {
        "adam": Adam,
        "lbfgs": lambda: LBFGS(corrections),
    }
    return makers[name]()
