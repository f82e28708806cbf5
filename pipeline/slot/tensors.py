"""The tensors of one scale of a batch, and of the pictures that it begins with.

In: prepared jobs. Out: tensors on the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.method import Before, Regions, Scale, ScaleInputs, Styles, StyleVectors, bicubic
from pipeline.pictures import (
    fit_image,
    guides_of,
    shares_of,
    to_tensor,
)
from pipeline.slot.styles import Prepared


def scale_inputs(
    scale: Scale, index: int, ready: Sequence[Prepared], device: str, tile: int
) -> ScaleInputs:
    """The tensors of one scale; each content picture is there once."""
    stretch = ready[0].job.settings.fit == "stretch"
    by_identity: dict[int, Tensor] = {}
    for prepared in ready:
        image = prepared.content.working
        if id(image) not in by_identity:
            by_identity[id(image)] = to_tensor(fit_image(image, scale.width, scale.height, stretch))
    order = list(by_identity)
    rows = torch.tensor([order.index(id(p.content.working)) for p in ready], device=device)
    contents = torch.stack(list(by_identity.values())).to(device)
    styles = {
        layer: torch.stack([p.targets[index][layer] for p in ready]).to(device)
        for layer in ready[0].targets[index]
    }
    contents = contents.contiguous(memory_format=torch.channels_last)
    regions = None
    if ready[0].content.mask is not None:
        guides = [
            guides_of(p.content.mask, scale.width, scale.height, stretch)
            for p in ready
            if p.content.mask is not None
        ]
        shares = torch.tensor([p.shares for p in ready], dtype=torch.float32, device=device)
        regions = Regions(torch.stack(guides).to(device), shares)
    vectors, before = _vectors(index, ready, device), _before(ready, scale, device)
    keep = _keep(ready, scale, device)
    return ScaleInputs(contents, rows, styles, tile, regions, vectors, before, keep)


def _keep(ready: Sequence[Prepared], scale: Scale, device: str) -> Tensor | None:
    """How much of each place each job keeps, B x 1 x H x W; None where none says so."""
    if all(p.content.keep is None for p in ready):
        return None
    shares = torch.ones(len(ready), 1, scale.height, scale.width)
    for index, p in enumerate(ready):
        if p.content.keep is not None:
            stretch = p.job.settings.fit == "stretch"
            shares[index, 0] = shares_of(p.content.keep, scale.width, scale.height, stretch)
    return shares.to(device)


def _before(ready: Sequence[Prepared], scale: Scale, device: str) -> Before | None:
    """What clips' frames go on from, at a scale; None for other jobs."""
    motions = [p.motion for p in ready if p.motion is not None]
    if not motions:
        return None
    moved = torch.stack([motion.moved for motion in motions])
    weights = torch.stack([motion.weights for motion in motions])
    whole = Before(moved, weights).at(scale.height, scale.width)
    return Before(whole.moved.to(device), whole.weights.to(device))


def begun_images(ready: Sequence[Prepared], scale: Scale, device: str) -> Tensor | None:
    """What clips' frames begin with, B x 3 x h x w at a scale; None for other jobs."""
    motions = [p.motion for p in ready if p.motion is not None]
    if not motions:
        return None
    whole = torch.stack([motion.begun for motion in motions])
    size = (scale.height, scale.width)
    if whole.shape[2:] != size:
        whole = bicubic(whole, size).clamp(0, 1)
    return whole.to(device)


def _vectors(index: int, ready: Sequence[Prepared], device: str) -> list[StyleVectors]:
    """Each job's style vectors at a scale; jobs that share them share them on the device."""
    if not all(p.neighbors for p in ready):
        return []
    shared = {id(p.neighbors): p.neighbors for p in ready}
    moved = {name: neighbors[index].to(device) for name, neighbors in shared.items()}
    return [moved[id(p.neighbors)] for p in ready]


def init_pictures(ready: Sequence[Prepared], scale: Scale) -> dict[str, Tensor]:
    """The pictures that jobs begin with where `init` names a file, at the first scale."""
    starts = {p.job.settings.init: p.start for p in ready if p.start is not None}
    return {
        name: to_tensor(fit_image(start, scale.width, scale.height))
        for name, start in starts.items()
    }


def init_styles(ready: Sequence[Prepared]) -> list[Styles | None]:
    """The style pictures of jobs that begin with their colors; None for the others."""
    return [prepared.begins for prepared in ready]
