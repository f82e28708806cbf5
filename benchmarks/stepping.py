"""Steps of random pictures, for benchmarks of a step; also with the code of older checkouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    ScaleInputs,
    neighbor_targets,
    optimize,
    schedule_scales,
    style_targets,
)


def begin_steps(
    network: Backbone, settings: Settings, size: int, batch: int = 1, device: str = "cpu"
) -> tuple[Iterator[Any], tuple[int, int]]:
    """The steps of `batch` pictures, 4:3 of long side `size`, on and on, and their width and height
    in px at the last scale."""
    scales = schedule_scales(settings, size, size * 3 // 4)
    width, height = scales[-1].width, scales[-1].height
    torch.manual_seed(0)
    contents = torch.rand(batch, 3, height, width).contiguous(memory_format=torch.channels_last)
    style = torch.rand(3, height, width).to(device)
    targets = style_targets(network, style, tuple(settings.style_layers), settings.style_loss)
    given = ScaleInputs(
        contents.to(device),
        torch.arange(batch).to(device),
        {layer: torch.stack([matrix] * batch) for layer, matrix in targets.items()},
        neighbors=[neighbor_targets(network, style)] * batch if settings.neighbor_weight else [],
    )
    return optimize(network, [settings] * batch, scales, lambda _: given), (width, height)
