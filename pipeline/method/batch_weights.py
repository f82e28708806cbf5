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
from pipeline.method.moving import moved


def layer_weight(weights: Mapping[Any, float], layer: str) -> float:
    """A layer's weight, 0 where the job does not use it."""
    return weights.get(layer, 0.0)


def job_weights(jobs: Sequence[Settings], device: torch.device) -> JobWeights:
    """The jobs' weights as tensors over the batch; a layer that a job lacks weighs 0."""
    table = torch.tensor([_row(settings) for settings in jobs], dtype=torch.float32)
    # One upload of all: each copy has its price, however little it carries.
    columns = iter(moved(table.T.contiguous(), device).unbind())
    return JobWeights(
        content=next(columns),
        laplacian=next(columns),
        style=next(columns),
        tv=next(columns),
        neighbors=next(columns),
        temporal=next(columns),
        powers=next(columns),
        content_layers={layer: next(columns) for layer in LAYERS},
        style_layers={layer: next(columns) for layer in LAYERS},
        normalizes=any(s.gradient_norm for s in jobs),
    )


def _row(settings: Settings) -> list[float]:
    """A job's weights, in the order in which `job_weights` takes them."""
    s = settings
    return [
        s.content_weight,
        s.laplacian_weight,
        s.style_weight,
        s.tv_weight,
        s.neighbor_weight,
        s.temporal_weight,
        s.gradient_norm,
        *(layer_weight(s.content_layers, layer) for layer in LAYERS),
        *(layer_weight(s.style_layers, layer) for layer in LAYERS),
    ]
