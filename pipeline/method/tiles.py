"""Losses and gradients of pictures too large to go through a network at once: tile by tile.

In: a backbone, a loss and a batch of pictures. Out: what the whole picture would give, within
rounding. The Gram matrices of a picture are sums over positions, so the tiles' sums add up to them
exactly. A first pass sums, without gradients; the losses' gradient in these sums is then known,
and a second pass carries it back through one tile after another. Each tile is read with a halo as
wide as the deepest feature sees, and only features within the tile are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.errors import DeviceError
from pipeline.layers import SHRINK, shrink_of
from pipeline.method.backbone import Backbone
from pipeline.method.losses.guides import guides_at
from pipeline.method.losses.joined import joined_features
from pipeline.method.losses.objective import Losses, Statistics, StyleTransferLoss
from pipeline.method.losses.squares import TINY
from pipeline.method.losses.style import STATISTICS, style_sums


@dataclass(frozen=True)
class Tile:
    """One tile of a picture.

    Attributes:
        top, left, bottom, right: what is read, px; with the halo.
        core: what is counted, px: top, left, bottom, right; cores cover the picture exactly once.
        ends: whether the core ends at the picture's bottom, and at its right.
    """

    top: int
    left: int
    bottom: int
    right: int
    core: tuple[int, int, int, int]
    ends: tuple[bool, bool]

    def read(self, images: Tensor) -> Tensor:
        """The tile with its halo of B x 3 x H x W."""
        return images[:, :, self.top : self.bottom, self.left : self.right]

    def windows(self, layer: str, features: Tensor) -> tuple[slice, slice, slice, slice]:
        """Where a layer's features of the core are: in the tile's features, and in the picture's.

        Args:
            features: the layer's, of the tile with its halo.
        """
        shrink = shrink_of(layer)
        inner, outer = [], []
        for axis, begin in ((0, self.top), (1, self.left)):
            first = (self.core[axis] - begin) // shrink
            last = (self.core[axis + 2] - begin) // shrink
            if self.ends[axis]:  # pooling drops an odd last row; what is left is all that is there
                last = features.shape[2 + axis]
            offset = begin // shrink
            inner.append(slice(first, last))
            outer.append(slice(first + offset, last + offset))
        return inner[0], inner[1], outer[0], outer[1]


def cut_tiles(height: int, width: int, side: int, halo: int, grid: int) -> Iterator[Tile]:
    """Cuts a picture into tiles of at most `side` px, not counting the halo.

    Args:
        halo: px read beyond a tile.
        grid: px that one position of the deepest layer spans; tiles begin at its multiples, so
            that pooling meets the same pixels as in the whole picture.
    """
    side = max(grid, side // grid * grid)
    margin = -(-halo // grid) * grid

    def cuts(length: int) -> list[tuple[int, int]]:
        count = max(1, -(-length // side))
        step = -(-length // (count * grid)) * grid
        edges = [*range(0, length, step)]
        if len(edges) > 1 and length - edges[-1] < grid:  # too thin to hold one deep position
            edges.pop()
        return [*zip(edges, [*edges[1:], length], strict=True)]

    for top, bottom in cuts(height):
        for left, right in cuts(width):
            yield Tile(
                max(0, top - margin),
                max(0, left - margin),
                min(height, bottom + margin),
                min(width, right + margin),
                (top, left, bottom, right),
                (bottom == height, right == width),
            )


def _tiles_of(backbone: Backbone, images: Tensor, side: int) -> Iterator[Tile]:
    height, width = images.shape[-2:]
    return cut_tiles(height, width, side, backbone.halo, backbone.smallest_side // 2)


_Windows = dict[str, tuple[slice, slice]]


def _core(backbone: Backbone, images: Tensor, tile: Tile) -> tuple[dict[str, Tensor], _Windows]:
    """One tile's own features per layer, and where they are in the whole picture's.

    Args:
        images: the tile with its halo.
    """
    features, windows = {}, {}
    for layer, values in backbone(images).items():
        rows, columns, above, aside = tile.windows(layer, values)
        features[layer] = values[:, :, rows, columns]
        windows[layer] = (above, aside)
    return features, windows


def losses_and_gradient(
    backbone: Backbone, loss: StyleTransferLoss, images: Tensor, side: int = 0
) -> tuple[Losses, Tensor]:
    """The losses of each picture and the gradient of its total in its pixels.

    Args:
        images: B x 3 x H x W in [0, 1].
        side: of the tiles in px; 0 takes the picture whole.

    Returns:
        the losses, B values each and without a graph; the gradient, B x 3 x H x W.

    Raises:
        DeviceError: tiles are needed, but the loss does not add up over them.
    """
    images = images.detach()
    if not side or side >= max(images.shape[-2:]):
        pixels = images.requires_grad_()
        losses = loss(pixels, backbone(pixels, narrow=True))
        # A slope of 1 for each picture gives each its own gradient: nothing is shared.
        (gradient,) = torch.autograd.grad(losses.total, pixels, loss.one)
        return losses.detached(), gradient
    if not loss.divisible:
        whole = ", ".join(name for name, one in STATISTICS.items() if not one.additive)
        raise DeviceError(
            f"a picture of {images.shape[-1]} x {images.shape[-2]} px is too large to be taken "
            f"whole, and style_loss {whole} and gradient_norm cannot go by tiles; "
            f"choose a smaller `size`, or leave them out"
        )
    return _by_tiles(backbone, loss, images, side)


def _by_tiles(
    backbone: Backbone, loss: StyleTransferLoss, images: Tensor, side: int
) -> tuple[Losses, Tensor]:
    """The same in two passes over the tiles."""
    cut = list(_tiles_of(backbone, images, side))
    with torch.no_grad():
        found = loss.statistics(*_core(backbone, cut[0].read(images), cut[0]))
        for tile in cut[1:]:
            found = found + loss.statistics(*_core(backbone, tile.read(images), tile))
    pixels = images.clone().requires_grad_()
    leaves = Statistics(
        {k: v.requires_grad_() for k, v in found.styles.items()},
        {k: v.requires_grad_() for k, v in found.contents.items()},
        found.neighbors.detach().requires_grad_(),  # it may be the loss's own zero
    )
    losses = loss.value(pixels, leaves)
    inputs = [pixels, *leaves.styles.values(), *leaves.contents.values(), leaves.neighbors]
    slopes = torch.autograd.grad(losses.total, inputs, loss.one, materialize_grads=True)
    gradient = slopes[0].clone()  # of total variation, which needs no network
    for tile in cut:
        part = tile.read(images).clone().requires_grad_()
        sums = loss.statistics(*_core(backbone, part, tile))
        outputs = [*sums.styles.values(), *sums.contents.values()]
        outputs += [sums.neighbors] if loss.neighbors else []
        back_to = slopes[1 : 1 + len(outputs)]
        (back,) = torch.autograd.grad(outputs, part, grad_outputs=back_to)
        tile.read(gradient).add_(back)
    return losses.detached(), gradient


# Among layers, `joined_features`.
JOINED = "joined"


@torch.no_grad()
def features_of(
    backbone: Backbone, images: Tensor, layers: Sequence[str], side: int = 0
) -> dict[str, Tensor]:
    """Features per layer of B x 3 x H x W; with `side`, put together from tiles of so many px.

    Args:
        layers: `JOINED` among them stands for `joined_features`, which are so never there as the
            features of a whole picture that they are made of.
    """

    def wanted(features: dict[str, Tensor]) -> dict[str, Tensor]:
        if JOINED in layers:
            features = {**features, JOINED: joined_features(features)}
        return {layer: features[layer] for layer in layers}

    if not side or side >= max(images.shape[-2:]):
        return wanted(backbone(images))
    height, width = images.shape[-2:]
    whole: dict[str, Tensor] = {}
    for tile in _tiles_of(backbone, images, side):
        features, windows = _core(backbone, tile.read(images), tile)
        if JOINED in layers:
            windows[JOINED] = windows["conv3_1"]
        for layer, values in wanted(features).items():
            if layer not in whole:
                shrink = SHRINK if layer == JOINED else shrink_of(layer)
                size = (*values.shape[:2], height // shrink, width // shrink)
                whole[layer] = values.new_empty(size)
            above, aside = windows[layer]
            whole[layer][:, :, above, aside] = values
    return whole


@torch.no_grad()
def style_targets_of(
    backbone: Backbone,
    images: Tensor,
    layers: Sequence[str],
    statistic: str = "gram",
    side: int = 0,
    guides: Tensor | None = None,
) -> dict[str, Tensor]:
    """A style statistic per layer of B x 3 x H x W, each B x R x C x K; by tiles if asked for.

    Args:
        statistic: one of `STATISTICS`; `gram` is equation 3 of Gatys et al. 2016 over the number of
            positions, K = C.
        side: of the tiles in px; 0 takes the pictures whole, as does what does not add up.
        guides: guidance channels of R regions, B x R x H x W; None for one region of all.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    height, width = images.shape[-2:]
    if not side or not STATISTICS[statistic].additive:
        side = max(height, width)
    for tile in _tiles_of(backbone, images, side):
        features = backbone(tile.read(images))
        for layer in layers:
            rows, columns, above, aside = tile.windows(layer, features[layer])
            own = None
            if guides is not None:
                shrink = shrink_of(layer)
                own = guides_at(guides, (height // shrink, width // shrink))[:, :, above, aside]
            found, count = style_sums(statistic, features[layer][:, :, rows, columns], own)
            sums[layer] = sums.get(layer, 0) + found
            counts[layer] = counts.get(layer, 0) + count
    return {layer: sums[layer] / counts[layer].clamp_min(TINY)[..., None, None] for layer in layers}
