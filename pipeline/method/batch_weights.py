"""The jobs' weights as tensors over the batch.

In: settings. Out: `JobWeights` for the objective.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pipeline.layers import LAYERS
from pipeline.manifest import Settings
from pipeline.method.losses.objective import JobWeights


def layer_weight(weights: Mapping[Any, float], layer: str) -> float:
    """A layer's weight, 0 where the job does not use it."""
    return weights.get(layer, 0.0)


def job_weights(jobs: Sequence[Settings], device: torch.device) -> JobWeights:
    """The jobs' weights as tensors over the batch; a layer that a job lacks weighs 0."""

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    return JobWeights(
        content=column([s.content_weight for s in jobs]),
        laplacian=column([s.laplacian_weight for s in jobs]),
        style=column([s.style_weight for s in jobs]),
        tv=column([s.tv_weight for s in jobs]),
        neighbors=column([s.neighbor_weight for s in jobs]),
        temporal=column([s.temporal_weight for s in jobs]),
        content_layers={
            layer: column([layer_weight(s.content_layers, layer) for s in jobs]) for layer in LAYERS
        },
        style_layers={
            layer: column([layer_weight(s.style_layers, layer) for s in jobs]) for layer in LAYERS
        },
        powers=column([s.gradient_norm for s in jobs]),
        normalizes=any(s.gradient_norm for s in jobs),
    )
