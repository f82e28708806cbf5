"""Batched L-BFGS: a history a picture, all scalars of the method tensors over the batch.

In: pictures, gradients, a learning rate a picture. Out: the pictures, moved in place, as is the
history. Nothing waits for the device: what depends on values is chosen there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.method.products import full_products

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

    The two loops are two triangular systems in the products s_i . y_j of the pairs (Byrd, Nocedal,
    Schnabel 1994), so that a step has a few large products however many pairs there are.

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
        self.s = flat.new_zeros(count, self.corrections, size)
        self.y = torch.zeros_like(self.s)
        # s_i . y_j, the oldest pair first; where i is younger than j it is of no use.
        self.products = flat.new_zeros(count, 0, 0)
        self.kept = torch.zeros(count, dtype=torch.long, device=flat.device)
        self.scale = flat.new_ones(count)
        self.moved, self.previous = torch.zeros_like(flat), torch.zeros_like(flat)
        self.fresh, self.pending = self.kept == 0, False

    def step(self, images: Tensor, gradients: Tensor, rates: Tensor) -> None:
        """Moves `images` (B x ...) in place; `rates` are B learning rates."""
        g = gradients.flatten(1)
        self.shape = images.shape
        if self.previous is None:
            self._begin(g)
        assert self.previous is not None
        if self.pending:
            self._remember(g)
        direction = self._direction(g)
        norms = g.abs().sum(1)
        first = (1 / norms).clamp_max(1) * rates
        length = torch.where(self.fresh, first, self._length(norms, rates))
        self.fresh.zero_()
        self.pending = True
        descends = (g * direction).sum(1) < 0
        self.previous.copy_(g)
        rms = length * direction.square().mean(1).sqrt()
        length = length * (self.longest / rms.clamp_min(1e-30)).clamp_max(1)
        torch.mul(direction, (length * descends)[:, None], out=self.moved)
        images.add_(self.moved.view_as(images))

    def steady(self) -> None:
        """See `Optimizer`. All places of the history take part from here on: a picture's empty ones
        are 0, and change nothing but rounding."""
        self.products = self._placed_products()

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
        self.fresh = ~known

    def clamp(self, images: Tensor) -> None:
        """See `Optimizer`. The step is taken to be the one that is left, so its pair stays true."""
        before = images.clone()
        images.clamp_(0, 1)
        self.moved.add_((images - before).flatten(1))

    def state(self) -> dict[str, Tensor]:
        """See `Optimizer`; the history is B x corrections x n, the products B x corrections x
        corrections."""
        if self.previous is None:
            return {}
        shape = torch.tensor(self.shape[1:], device=self.kept.device)
        return {
            "progress": torch.where(self.fresh, 0, 2 if self.pending else 1),
            "shape": shape.expand(len(self.kept), -1),
            "s": self.s,
            "y": self.y,
            "products": self._placed_products(),
            "kept": self.kept,
            "scale": self.scale,
            "moved": self.moved,
            "previous": self.previous,
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See `Optimizer`."""
        if not state:
            return
        self.s, self.y = state["s"].clone(), state["y"].clone()
        self.kept, self.scale = state["kept"].clone(), state["scale"].clone()
        self.moved, self.previous = state["moved"].clone(), state["previous"].clone()
        self.fresh = state["progress"] == 0
        self.pending = bool((state["progress"] == 2).any())
        self.shape = torch.Size([len(self.kept), *state["shape"][0].tolist()])
        depth = min(self.corrections, int(self.kept.max())) if len(self.kept) else 0
        first = self.corrections - depth
        products = state["products"] if "products" in state else self._all_products()
        self.products = products[:, first:, first:].clone()

    def _placed_products(self) -> Tensor:
        """The products as those of a full history, B x corrections x corrections."""
        lacking = self.corrections - self.products.shape[1]
        return F.pad(self.products, (lacking, 0, lacking, 0))

    def _all_products(self) -> Tensor:
        """The products of all pairs, for checkpoints from before they were kept."""
        with full_products():
            found = torch.bmm(self.s, self.y.mT)
        order = self._order(self.corrections)
        rows, columns = order[:, :, None], order[:, None]
        return found.gather(1, rows.expand_as(found)).gather(2, columns.expand_as(found))

    def _order(self, depth: int) -> Tensor:
        """Each picture's places in the history from old to new, the empty ones first; B x depth.

        Args:
            depth: how many pairs a picture has at most: places beyond are empty for all.
        """
        places = torch.arange(depth, device=self.kept.device)
        return (self.kept[:, None] + places) % max(1, depth)

    def _remember(self, g: Tensor) -> None:
        """Keeps the last step with the change of the gradient over it, where that curves upward."""
        assert self.previous is not None
        y = g - self.previous
        curvature = (y * self.moved).sum(1)
        good = curvature > 1e-10
        everyone = torch.arange(len(g), device=g.device)
        slot, row = (everyone, self.kept % self.corrections), good[:, None]
        for history, last in ((self.s, self.moved), (self.y, y)):
            history[slot] = torch.where(row, last, history[slot])
        torch.where(good, curvature / y.square().sum(1), self.scale, out=self.scale)
        self.kept.add_(good)
        # What was is moved up by one where a pair came, and stays at the end where none did.
        was = self.products.shape[1]
        depth = min(self.corrections, was + 1)
        around = F.pad(self.products, (1, 1, 1, 1))
        stayed = around[:, was + 1 - depth : was + 1, was + 1 - depth : was + 1]
        moved_up = around[:, was + 2 - depth :, was + 2 - depth :]
        order = self._order(depth)[..., None]
        with full_products():
            newest = torch.bmm(self.s[:, :depth], y[..., None]).gather(1, order)
        came = torch.cat((moved_up[..., :-1], newest), 2)
        if depth > was:
            self.products = torch.where(good[:, None, None], came, stayed)
        else:
            torch.where(good[:, None, None], came, stayed, out=self.products)

    def _length(self, norms: Tensor, rates: Tensor) -> Tensor:
        """How far along the direction: the rate; without `longest`, while nothing is known of the
        loss's curvature, at most some times the last step."""
        if math.isfinite(self.longest):
            return rates
        norms = norms.clamp_min(1e-30)
        least = (1 / norms).clamp(max=1.0) * rates
        grown = torch.maximum(_GROWTH * self.moved.abs().sum(1) / norms, least)
        unknown = (self.kept == 0) & (self.scale == 1)  # `enlarge` carries a scale without pairs
        return torch.where(unknown, torch.minimum(grown, rates), rates)

    def _direction(self, g: Tensor) -> Tensor:
        """-H g by the two-loop recursion, over each picture's own pairs.

        From new to old, rho_i^-1 alpha_i = s_i . g - sum_(j newer) (s_i . y_j) alpha_j; from old to
        new likewise with c = alpha - beta, r = q + sum_(j older) c_j s_j.
        """
        depth, scale = self.products.shape[1], self.scale[:, None, None]
        if not depth:
            return -g * self.scale[:, None]
        s, y, order = self.s[:, :depth], self.y[:, :depth], self._order(depth)[..., None]
        own = self.products.diagonal(dim1=1, dim2=2)  # 1 / rho, and 0 where there is no pair
        upper = self.products.triu() + torch.diag_embed((own == 0).to(g.dtype))
        with full_products():
            along = torch.bmm(s, g[..., None]).gather(1, order)
            alpha = torch.linalg.solve_triangular(upper, along, upper=True)
            placed = torch.zeros_like(alpha).scatter(1, order, alpha)
            q = torch.baddbmm(g[..., None], y.mT, placed, alpha=-1) * scale
            along = own[..., None] * alpha - torch.bmm(y, q).gather(1, order)
            c = torch.linalg.solve_triangular(upper.mT, along, upper=False)
            placed = torch.zeros_like(c).scatter(1, order, c)
            return -torch.baddbmm(q, s.mT, placed)[..., 0]
