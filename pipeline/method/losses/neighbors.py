"""The nearest-neighbor term: every position of the picture against the style's most similar one.

After Kolkin et al. 2022, "Neural Neighbor Style Transfer" (arXiv 2203.13215). The features of
`NEIGHBOR_LAYERS`, each less the style's mean and over the root of the style's mean squared norm,
are brought to a quarter of the picture's side and joined to F. Every some steps each position asks
with q = (1 - c) F(x) + c F(content) for the style's vector T of highest cosine, both centered by
their own means; the loss is mean_i (1 - cos(F_i, T_i)). The paper joins more layers, of an
eighth of the side, and has no other loss; here the term stands beside any style loss.

Where much of a content is flat, its mean is what a flat place looks like; what centering leaves of
such a place is noise, which is like anything, and once a picture has worms there it asks for worms.
So a place may ask the less for what the picture has become, and be centered the less, the less its
content stands out (`queries`).

In: features of the pictures, the style's vectors. Out: sums over positions, B values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.layers import NEIGHBOR_LAYERS
from pipeline.method.looks import look
from pipeline.method.losses.guides import guides_at
from pipeline.method.losses.joined import joined_features
from pipeline.method.losses.squares import TINY
from pipeline.method.moving import moved

# Positions at a style picture's edges that are left out: what the network sees beyond them makes
# vectors that nothing but the picture's own edges is like, which then take the style's as a frame.
_EDGE = 4
# Vectors of a style that are kept at most; of more, some are drawn.
_MOST_VECTORS = 1 << 14
# Cosines that are in memory at once: 64 MiB.
_BLOCK = 1 << 24


@dataclass(frozen=True)
class StyleVectors:
    """A style at one size, as the nearest-neighbor term sees it.

    Attributes:
        vectors: at positions of the style picture, normalized; D x n, perhaps in float16.
        mean: of the style's features, D.
        scale: per feature the root of its layer's mean squared norm, D.
        allowed: R x n, which vectors each region of the content picture may take; None without
            regions.
    """

    vectors: Tensor
    mean: Tensor
    scale: Tensor
    allowed: Tensor | None = None

    def to(self, device: str | torch.device) -> StyleVectors:
        """The same on a device."""
        vectors, mean, scale = (moved(t, device) for t in (self.vectors, self.mean, self.scale))
        allowed = None if self.allowed is None else moved(self.allowed, device)
        return StyleVectors(vectors, mean, scale, allowed)


def vector_places(height: int, width: int) -> Tensor:
    """Which positions of h x w, counted row by row, give a style's vectors.

    Those at the edges do not, though no more than an eighth a side goes; of more than a bound, some
    are drawn, the same ones every time.
    """
    edge = min(_EDGE, height // 8, width // 8)
    places = torch.arange(height * width).view(height, width)
    inner = places[edge : height - edge, edge : width - edge].flatten()
    return inner[drawn(len(inner), _MOST_VECTORS)]


def style_vectors(features: Mapping[str, Tensor]) -> StyleVectors:
    """The vectors of one style picture but for its edges', from features 1 x C x h x w of
    `NEIGHBOR_LAYERS`."""
    means, scales = [], []
    for layer in NEIGHBOR_LAYERS:
        values = features[layer][0].flatten(1)
        mean = values.mean(1)
        apart = (values - mean[:, None]).square().sum(0).mean().sqrt()
        means.append(mean)
        scales.append(apart.clamp_min(TINY).expand_as(mean))
    mean, scale = torch.cat(means), torch.cat(scales)
    joined = joined_features(features)[0]
    picked = joined.flatten(1)[:, vector_places(*joined.shape[1:]).to(joined.device)]
    return StyleVectors((picked - mean[:, None]) / scale[:, None], mean, scale)


def drawn(count: int, most: int) -> Tensor:
    """The places of `most` of `count` vectors, in order; the same ones every time."""
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:most].sort().values


def blend_vectors(parts: Sequence[tuple[StyleVectors, float]]) -> StyleVectors:
    """Vectors of several style pictures, of each as many as its weight; weights sum to 1.

    Mean and squared scale are the weighted means of theirs, as for their pixels thrown together.
    """
    parts = [(part, weight) for part, weight in parts if weight > 0]
    if len(parts) == 1:
        return parts[0][0]
    mean = torch.stack([part.mean * weight for part, weight in parts]).sum(0)
    square = torch.stack([part.scale.square() * weight for part, weight in parts]).sum(0)
    scale = square.sqrt()
    total = min(_MOST_VECTORS, *(part.vectors.shape[1] / weight for part, weight in parts))
    vectors, allowed = [], []
    for part, weight in parts:
        places = drawn(part.vectors.shape[1], max(1, int(weight * total)))
        raw = part.vectors[:, places].float() * part.scale[:, None] + part.mean[:, None]
        vectors.append((raw - mean[:, None]) / scale[:, None])
        if part.allowed is not None:
            allowed.append(part.allowed[:, places])
    together = torch.cat(allowed, 1) if allowed else None
    return StyleVectors(torch.cat(vectors, 1), mean, scale, together)


def queries(contents: Tensor, found: Tensor | None, share: Tensor, power: Tensor) -> Tensor:
    """What positions ask with.

    A position stands out by s = min(1, (|P - mean P| / root mean square of these)^power); it asks
    with q = (1 - c) F + c P, less s times their mean, where c = share + (1 - share) (1 - s). With a
    power of 0 all positions have s = 1.

    Args:
        contents: P, the content's features, D x m.
        found: F, the picture's; None asks with the content's alone.
        share, power: one value each.

    Returns:
        D x m.
    """
    apart = (contents - contents.mean(1, keepdim=True)).square().sum(0)
    salience = (apart / apart.mean().clamp_min(TINY)).pow(power / 2).clamp(max=1)
    asked = contents
    if found is not None:
        asked = found.lerp(contents, share + (1 - share) * (1 - salience))
    return asked - asked.mean(1, keepdim=True) * salience


def nearest(queries: Tensor, vectors: Tensor) -> Tensor:
    """For each query the place of the vector of highest cosine, these centered by their mean.

    Args:
        queries: D x m.
        vectors: D x n.

    Returns:
        m whole numbers.
    """
    vectors = vectors.float()
    centered = vectors - vectors.mean(1, keepdim=True)
    units = centered / centered.norm(dim=0, keepdim=True).clamp_min(TINY)
    step = max(1, _BLOCK // units.shape[1])
    found = []
    for part in torch.split(queries, step, 1):
        found.append((part.T @ units).argmax(1))
        look()
    return torch.cat(found)


def _regions(where: Tensor, style: StyleVectors) -> list[tuple[Tensor, Tensor]] | None:
    """The regions of a content picture that may take vectors of a style: their positions, and the
    vectors' places. Found once a scale, since it waits for the device.

    Args:
        where: of each position the region, h w whole numbers.
    """
    if style.allowed is None:
        return None
    pairs = (
        ((where == region).nonzero()[:, 0], allowed.nonzero()[:, 0])
        for region, allowed in enumerate(style.allowed)
    )
    return [(here, places) for here, places in pairs if len(here) and len(places)]


class _Apart(torch.autograd.Function):
    """sum_i (1 - cos(F_i, T_i)) of F = a x + b, for T of length 1 or 0, with the slope in x.

    Of -F.T / |F| the slope in F is F (F.T) / |F|^3 - T / |F|.
    """

    @staticmethod
    def forward(
        context: Any, x: Tensor, a: Tensor, b: Tensor, targets: Tensor, drawn_to: Tensor
    ) -> Tensor:
        own = torch.addcmul(b, x, a)
        norm: Tensor = torch.linalg.vector_norm(own, dim=1)
        length = (norm * norm + TINY).sqrt()
        along = (own * targets).sum(1)
        context.save_for_backward(own, a, targets, length, along)
        return (drawn_to - along / length).sum((1, 2))

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        own, a, targets, length, along = context.saved_tensors
        each = gradient.view(-1, 1, 1) / length
        slope = own * (each * along / length.square())[:, None]
        slope.addcmul_(targets, each[:, None], value=-1)
        return slope.mul_(a), None, None, None, None


@dataclass(frozen=True)
class Neighbors:
    """The term of a batch at one size: what its positions are drawn to.

    Attributes:
        styles: each job's.
        contents: F(content), B x D x h x w, normalized by each job's style.
        shares: c, the content's share of the query, B values.
        powers: of how much a position stands out, B values.
        means, scales: of the styles, B x D x 1 x 1.
        moves: what `normalized` multiplies by and adds, made of them.
        regions: of each job the content's regions, each as its positions and the places of the
            vectors that they may take; None for one region of all, which may take any.
        chosen: of each position the vector that it is drawn to, B x (h w); -1 for none.
        targets: these vectors at length 1, B x D x h x w; None before the first `renewed`.
        drawn_to: the targets' squared length, B x h x w: 1, or 0 where there is nothing to be drawn
            to.
    """

    styles: Sequence[StyleVectors]
    contents: Tensor
    shares: Tensor
    powers: Tensor
    means: Tensor
    scales: Tensor
    moves: tuple[Tensor, Tensor]
    regions: Sequence[Sequence[tuple[Tensor, Tensor]] | None]
    chosen: Tensor | None = None
    targets: Tensor | None = None
    drawn_to: Tensor | None = None

    @staticmethod
    def of(
        styles: Sequence[StyleVectors],
        joined: Tensor,
        shares: Tensor,
        powers: Tensor,
        guides: Tensor | None = None,
    ) -> Neighbors:
        """The term, before anything was chosen.

        Args:
            joined: `joined_features` of the content pictures.
            shares, powers: as the attributes.
            guides: guidance channels of the content's regions, B x R x H x W.
        """
        regions: list[list[tuple[Tensor, Tensor]] | None] = [None] * len(styles)
        if guides is not None:
            where = guides_at(guides, joined.shape[2:]).argmax(1).flatten(1)
            regions = [_regions(one, style) for one, style in zip(where, styles, strict=True)]
        means = torch.stack([style.mean for style in styles])[..., None, None]
        scales = torch.stack([style.scale for style in styles])[..., None, None]
        moves = (1 / scales, -means * (1 / scales))
        whole = Neighbors(styles, joined, shares, powers, means, scales, moves, regions)
        return replace(whole, contents=whole.normalized(joined))

    def normalized(self, joined: Tensor) -> Tensor:
        """`joined_features` less the style's mean, over its scale."""
        return (joined - self.means) / self.scales

    @torch.no_grad()
    def renewed(self, joined: Tensor | None) -> Neighbors:
        """With the vectors chosen anew.

        Args:
            joined: `joined_features` of the pictures; None asks with the content alone.
        """
        found = None if joined is None else self.normalized(joined).flatten(2)
        jobs = range(len(self.contents))
        chosen = [self._choose(b, None if found is None else found[b]) for b in jobs]
        return self.with_chosen(torch.stack(chosen))

    def _choose(self, job: int, found: Tensor | None) -> Tensor:
        """Of each position the place of its vector, h w whole numbers.

        Args:
            found: the picture's features, D x (h w); None asks with the content's alone.
        """
        contents, vectors = self.contents[job].flatten(1), self.styles[job].vectors
        share, power, regions = self.shares[job], self.powers[job], self.regions[job]
        if regions is None:
            return nearest(queries(contents, found, share, power), vectors)
        chosen = torch.full(contents.shape[1:], -1, dtype=torch.long, device=contents.device)
        for here, places in regions:
            own = None if found is None else found[:, here]
            asked = queries(contents[:, here], own, share, power)
            chosen[here] = places[nearest(asked, vectors[:, places])]
        return chosen

    def with_chosen(self, chosen: Tensor) -> Neighbors:
        """With these vectors, B x (h w)."""
        targets = torch.zeros_like(self.contents)
        for job, (style, places) in enumerate(zip(self.styles, chosen, strict=True)):
            picked = style.vectors[:, places.clamp_min(0)].float()
            units = picked / picked.norm(dim=0, keepdim=True).clamp_min(TINY)
            targets[job] = (units * (places >= 0)).view_as(targets[job])
        return replace(self, chosen=chosen, targets=targets, drawn_to=targets.square().sum(1))

    def select(self, rows: Tensor) -> Neighbors:
        """The same for some of the jobs."""
        picked = {
            name: None if values is None else values[rows]
            for name in ("chosen", "targets", "drawn_to")
            for values in [getattr(self, name)]
        }
        places = rows.tolist()
        return Neighbors(
            [self.styles[place] for place in places],
            self.contents[rows], self.shares[rows], self.powers[rows],
            self.means[rows], self.scales[rows], (self.moves[0][rows], self.moves[1][rows]),
            [self.regions[place] for place in places],
            **picked,
        )  # fmt: skip

    def sums(self, joined: Tensor, window: tuple[slice, slice] | None = None) -> Tensor:
        """sum_i (1 - cos(F_i, T_i)) over positions that are drawn to a vector, B values.

        Args:
            joined: `joined_features` of the pictures, or of a part of them.
            window: rows and columns of that part.
        """
        targets, drawn_to = self.targets, self.drawn_to
        assert targets is not None and drawn_to is not None  # `renewed` comes before the first step
        if window is not None:
            rows, columns = window
            targets, drawn_to = targets[:, :, rows, columns], drawn_to[:, rows, columns]
        summed: Tensor = _Apart.apply(joined, *self.moves, targets, drawn_to)
        return summed

    @property
    def count(self) -> int:
        """Positions of a picture."""
        return self.contents.shape[2] * self.contents.shape[3]
