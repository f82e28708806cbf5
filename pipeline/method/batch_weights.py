"""The jobs' weights as tensors over the batch.

In: settings. Out: `JobWeights` for the objective.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pipeline.layers import LAYERS
from pipeline.manifest import Settings
from pipeline.method.losses.objective import JobWeights


def layer_weight(weights: Mapping[Any, float], layer: str) -> float:
    """A layer's weight, 0 where the job does not use it."""
    return weights.get(layer, 0.0)


def job_weights(jobs: Sequence[Settings], device: torch.device) -> JobWeights:
    """The jobs' weights as tensors over the batch; a layer that a job lacks weighs 0."""
    own = [
        [getattr(s, name) for s in jobs]
        for name in (
            "content_weight", "laplacian_weight", "style_weight", "tv_weight", "neighbor_weight",
            "temporal_weight", "gradient_norm",
        )
    ]  # fmt: skip
    contents = [[layer_weight(s.content_layers, layer) for s in jobs] for layer in LAYERS]
    styles = [[layer_weight(s.style_layers, layer) for s in jobs] for layer in LAYERS]
    # In one piece, since a GPU waits for each that it is sent.
    table = torch.tensor([*own, *contents, *styles], dtype=torch.float32, device=device)
    content, laplacian, style, tv, neighbors, temporal, powers, *layers = table
    return JobWeights(
        content=content,
        laplacian=laplacian,
        style=style,
        tv=tv,
        neighbors=neighbors,
        temporal=temporal,
        content_layers=dict(zip(LAYERS, layers[: len(LAYERS)], strict=True)),
        style_layers=dict(zip(LAYERS, layers[len(LAYERS) :], strict=True)),
        powers=powers,
        normalizes=any(s.gradient_norm for s in jobs),
    )
