"""Batched Adam and batched L-BFGS: every picture of a batch is its own problem.

In: pictures and their gradients. Out: the pictures, moved in place. No picture's step depends on
another's: all scalars of the methods are tensors over the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

# Root mean square of an L-BFGS step's changes, where pixels span 0 to 1.
_LONGEST = 0.05


class Optimizer(Protocol):
    """Moves a batch of pictures, given their gradients; its state can be kept and put back."""

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, each tensor B x ...; empty before the first step."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what `state` gave."""
        ...

    def step(self, images: Tensor, gradients: Tensor, rates: Tensor) -> None:
        """Moves `images` (B x ...) in place; `rates` are B learning rates."""
        ...

    def clamp(self, images: Tensor) -> None:
        """Brings the pixels back into [0, 1] after a step."""
        ...

    def enlarge(self, size: tuple[int, int]) -> None:
        """Carries the memory to pictures of another height and width (B x 3 x H x W)."""
        ...


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


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
        self.count: Tensor | None = None  # steps so far, of each picture
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def step(self, images: Tensor, gradients: Tensor, rates: Tensor) -> None:
        """Moves `images` (B x ...) in place; `rates` are B learning rates."""
        if self.first is None or self.second is None or self.count is None:
            self.first, self.second = torch.zeros_like(images), torch.zeros_like(images)
            self.count = images.new_zeros(len(images))
        self.count = self.count + 1
        beta1, beta2 = self.betas
        self.first.lerp_(gradients, 1 - beta1)
        self.second.mul_(beta2).addcmul_(gradients, gradients, value=1 - beta2)
        root = (self.second / _per_image(1 - beta2**self.count, images)).sqrt_().add_(self.epsilon)
        step = _per_image(rates / (1 - beta1**self.count), images) * self.first
        images.sub_(step.div_(root))

    def clamp(self, images: Tensor) -> None:
        """See `Optimizer`."""
        images.clamp_(0, 1)

    def enlarge(self, size: tuple[int, int]) -> None:
        """See `Optimizer`. All losses are means or are balanced against each other, so a pixel of
        a picture k times as large has a k-th of the gradient."""
        if self.first is None or self.second is None:
            return
        ratio = self.first.shape[-2:].numel() / (size[0] * size[1])
        self.first = _resized(self.first, size) * ratio
        self.second = (_resized(self.second.sqrt(), size) * ratio).square()

    def state(self) -> dict[str, Tensor]:
        """See `Optimizer`."""
        if self.first is None or self.second is None or self.count is None:
            return {}
        return {"first": self.first, "second": self.second, "count": self.count}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See `Optimizer`."""
        if not state:
            return
        self.count = state["count"].clone()
        self.first, self.second = state["first"].clone(), state["second"].clone()


class LBFGS:
    """L-BFGS without line search (Nocedal and Wright 2006, algorithm 7.4), a history a picture.

    The same steps as `torch.optim.LBFGS` with one iteration a call: the first step is
    min(1, 1 / |g|_1) times the rate along -g; later ones are the rate times the two-loop direction
    with the last pair's scaling y.s / y.y. A pair with y.s <= 1e-10 is not kept, and a picture
    whose direction no longer descends stays where it is.

    Args:
        corrections: pairs (s, y) kept for each picture.
        longest: the root mean square of a step's changes at most; longer ones are shortened, since
            without a line search one such step can throw a picture away.
    """

    def __init__(self, corrections: int = 20, longest: float = math.inf) -> None:
        self.corrections, self.longest = corrections, longest
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
        self.first, self.pending = True, False

    def step(self, images: Tensor, gradients: Tensor, rates: Tensor) -> None:
        """Moves `images` (B x ...) in place; `rates` are B learning rates."""
        g = gradients.flatten(1)
        self.shape = images.shape
        if self.previous is None:
            self._begin(g)
        if self.first:
            direction = -g
            length = (1 / g.abs().sum(1)).clamp(max=1.0) * rates
        else:
            if self.pending:
                self._remember(g)
            direction = self._direction(g)
            length = rates
        self.first, self.pending = False, True
        descends = (g * direction).sum(1) < 0
        self.previous = g.clone()
        rms = length * direction.square().mean(1).sqrt()
        length = length * (self.longest / rms.clamp_min(1e-30)).clamp_max(1)
        self.moved = direction * (length * descends)[:, None]
        images.add_(self.moved.view_as(images))

    def enlarge(self, size: tuple[int, int]) -> None:
        """See `Optimizer`. Only the scaling is carried: the pairs belong to another problem, and
        steps that trust them diverge."""
        if self.previous is None:
            return
        channels, height, width = self.shape[1:]
        ratio = height * width / (size[0] * size[1])
        scale, known = self.scale / ratio, self.kept > 0
        self.shape = torch.Size([len(scale), channels, *size])
        self._begin(scale.new_zeros(len(scale), self.shape[1:].numel()))
        self.scale = torch.where(known, scale, 1.0)
        self.first, self.pending = not bool(known.all()), False

    def clamp(self, images: Tensor) -> None:
        """See `Optimizer`. The step is taken to be the one that is left, so its pair stays true."""
        before = images.clone()
        images.clamp_(0, 1)
        self.moved = self.moved + (images - before).flatten(1)

    def state(self) -> dict[str, Tensor]:
        """See `Optimizer`; the history is B x corrections x n."""
        if self.previous is None:
            return {}
        count, steps = len(self.kept), 0 if self.first else 2 if self.pending else 1
        return {
            "progress": torch.full((count,), steps),
            "shape": torch.tensor(self.shape[1:]).expand(count, -1),
            "s": self.s.transpose(0, 1),
            "y": self.y.transpose(0, 1),
            "rho": self.rho.transpose(0, 1),
            "kept": self.kept,
            "scale": self.scale,
            "moved": self.moved,
            "previous": self.previous,
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See `Optimizer`."""
        if not state:
            return
        self.s, self.y, self.rho = (
            state[name].transpose(0, 1).contiguous() for name in ("s", "y", "rho")
        )
        self.kept, self.scale = state["kept"].clone(), state["scale"].clone()
        self.moved, self.previous = state["moved"].clone(), state["previous"].clone()
        progress = int(state["progress"][0])
        self.first, self.pending = progress == 0, progress == 2
        self.shape = torch.Size([len(self.kept), *state["shape"][0].tolist()])

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


def make_optimizer(name: str, corrections: int, clamp: bool, decay: float = 0.99) -> Optimizer:
    """An optimizer by its name in the settings.

    Args:
        clamp: pixels are kept within [0, 1], so no step need be longer than a part of that.
        decay: of Adam's second moment.
    """
    makers: dict[str, Callable[[], Optimizer]] = {
        "adam": lambda: Adam((0.9, decay)),
        "lbfgs": lambda: LBFGS(corrections, _LONGEST if clamp else math.inf),
    }
    return makers[name]()
