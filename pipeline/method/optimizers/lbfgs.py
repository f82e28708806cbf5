"""Batched L-BFGS: a history a picture, all scalars of the method tensors over the batch.

In: pictures, gradients, a learning rate a picture. Out: the pictures, moved in place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

# Of a step over the one before, as long as no pair is kept.
_GROWTH = 4


class LBFGS:
    """L-BFGS without line search (Nocedal and Wright 2006, algorithm 7.4), a history a picture.

    The same steps as `torch.optim.LBFGS` with one iteration a call: the first step is
    min(1, 1 / |g|_1) times the rate along -g; later ones are the rate times the two-loop direction
    with the last pair's scaling y.s / y.y. A pair with y.s <= 1e-10 is not kept, and a picture
    whose direction no longer descends stays where it is. Without `longest`, until a first pair is
    kept a step is four times the one before; torch's is -g itself, which for a loss of millions
    throws a picture of 0 to 1 away.

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
            length = self._length(g, rates)
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

    def _length(self, g: Tensor, rates: Tensor) -> Tensor:
        """How far along the direction: the rate; without `longest`, while nothing is known of the
        loss's curvature, at most some times the last step."""
        if math.isfinite(self.longest):
            return rates
        norms = g.abs().sum(1).clamp_min(1e-30)
        least = (1 / norms).clamp(max=1.0) * rates
        grown = torch.maximum(_GROWTH * self.moved.abs().sum(1) / norms, least)
        unknown = (self.kept == 0) & (self.scale == 1)  # `enlarge` carries a scale without pairs
        return torch.where(unknown, torch.minimum(grown, rates), rates)

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
