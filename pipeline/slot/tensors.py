"""The tensors of one scale of a batch, and of the pictures that it begins with.

In: prepared jobs. Out: tensors on the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.method import (
    Before,
    Regions,
    Scale,
    ScaleInputs,
    Styles,
    StyleVectors,
    bicubic,
    moved,
)
from pipeline.pictures import fit_image, to_tensor
from pipeline.slot.styles import Prepared


def scale_inputs(
    scale: Scale, index: int, ready: Sequence[Prepared], device: str, tile: int
) -> ScaleInputs:
    """The tensors of one scale; each content picture and each style is there once."""
    stretch = ready[0].job.settings.fit == "stretch"
    shown = {id(p.content.working): p.content for p in ready}
    order = list(shown)
    rows = moved(torch.tensor([order.index(id(p.content.working)) for p in ready]), device)
    size = (scale.width, scale.height, stretch)
    contents = pixels_on(device, [each.level(*size) for each in shown.values()])
    regions = None
    guides = [found for c in shown.values() if (found := c.guides_at(*size)) is not None]
    if guides:
        shares = torch.tensor([p.shares for p in ready], dtype=torch.float32)
        regions = Regions(_shares_on(device, guides)[rows], moved(shares, device))
    vectors, before = _vectors(index, ready, device), _before(ready, scale, device)
    keep = _keep([each.shares_at(*size) for each in shown.values()], scale, device)
    keep = None if keep is None else keep[rows]
    styles, style_rows, prepared = _styles(index, ready, device)
    return ScaleInputs(
        contents, rows, styles, tile, regions, vectors, before, keep, style_rows, prepared
    )


def _styles(
    index: int, ready: Sequence[Prepared], device: str
) -> tuple[dict[str, Tensor], Tensor | None, dict[str, tuple[Tensor, ...]]]:
    """The styles of jobs at a scale, as `ScaleInputs` has them: targets, rows, and what these are
    compared by."""
    shown = {p.style: p for p in ready}
    names, styles = list(shown), list(shown.values())
    targets = {
        layer: moved(torch.stack([p.targets[index][layer] for p in styles]), device)
        for layer in styles[0].targets[index]
    }
    rows = None
    if len(styles) < len(ready):
        rows = moved(torch.tensor([names.index(p.style) for p in ready]), device)
    prepared: dict[str, tuple[Tensor, ...]] = {}
    if styles[0].compared:
        prepared = {
            layer: tuple(
                moved(torch.cat(parts), device)
                for parts in zip(*(p.compared[index][layer] for p in styles), strict=True)
            )
            for layer in targets
        }
    return targets, rows, prepared


def pixels_on(device: str, pictures: Sequence[Tensor]) -> Tensor:
    """8-bit pictures, each h x w x 3, on a device: float32, B x 3 x h x w in [0, 1], channels-last.

    They travel as bytes, a quarter of their size, and become numbers there.
    """
    levels = moved(torch.stack(list(pictures)), device)
    pixels = levels.permute(0, 3, 1, 2).float().div_(255)
    return pixels.contiguous(memory_format=torch.channels_last)


def _shares_on(device: str, levels: Sequence[Tensor]) -> Tensor:
    """8-bit shares of one shape on a device, float32 in [0, 1]; they travel as bytes, too."""
    return moved(torch.stack(list(levels)), device).float() / 255


def _keep(levels: Sequence[Tensor | None], scale: Scale, device: str) -> Tensor | None:
    """How much of each place each content keeps, B x 1 x H x W; None where none says so."""
    if all(each is None for each in levels):
        return None
    whole = torch.full((scale.height, scale.width), 255, dtype=torch.uint8)
    return _shares_on(device, [whole if each is None else each for each in levels])[:, None]


def _before(ready: Sequence[Prepared], scale: Scale, device: str) -> Before | None:
    """What clips' frames go on from, at a scale; None for other jobs."""
    motions = [p.motion for p in ready if p.motion is not None]
    if not motions:
        return None
    shown = torch.stack([motion.moved for motion in motions])
    weights = torch.stack([motion.weights for motion in motions])
    whole = Before(shown, weights).at(scale.height, scale.width)
    return Before(moved(whole.moved, device), moved(whole.weights, device))


def begun_images(ready: Sequence[Prepared], scale: Scale, device: str) -> Tensor | None:
    """What clips' frames begin with, B x 3 x h x w at a scale; None for other jobs."""
    motions = [p.motion for p in ready if p.motion is not None]
    if not motions:
        return None
    whole = torch.stack([motion.begun for motion in motions])
    size = (scale.height, scale.width)
    if whole.shape[2:] != size:
        whole = bicubic(whole, size).clamp(0, 1)
    return moved(whole, device)


def _vectors(index: int, ready: Sequence[Prepared], device: str) -> list[StyleVectors]:
    """Each job's style vectors at a scale; jobs that share them share them on the device."""
    if not all(p.neighbors for p in ready):
        return []
    shared = {id(p.neighbors): p.neighbors for p in ready}
    there = {name: neighbors[index].to(device) for name, neighbors in shared.items()}
    return [there[id(p.neighbors)] for p in ready]


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
