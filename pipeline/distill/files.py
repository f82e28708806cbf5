"""A student's file.

In: weights. Out: float16 safetensors that `load_weights("lite", path)` reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from pipeline.files import write_atomic
from pipeline.method import Weights


def round_to_half(weights: Weights) -> Weights:
    """Weights as they are after a round trip through float16, the precision they are stored in."""

    def rounded(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return pair[0].half().float(), pair[1].half().float()

    return replace(
        weights,
        convs={layer: rounded(pair) for layer, pair in weights.convs.items()},
        heads={layer: rounded(pair) for layer, pair in weights.heads.items()},
        input=rounded(weights.input),
    ).with_digest()


def save_student(weights: Weights, path: Path, about: Mapping[str, object]) -> None:
    """Writes a student as a float16 safetensors file that `load_weights("lite", path)` reads."""
    tensors = {"input.weight": weights.input[0], "input.bias": weights.input[1]}
    for kind, layers in (("conv", weights.convs), ("head", weights.heads)):
        for layer, (weight, bias) in layers.items():
            tensors[f"{kind}{layer[4:]}.weight"], tensors[f"{kind}{layer[4:]}.bias"] = (
                weight,
                bias,
            )
    half = {key: value.half().contiguous() for key, value in tensors.items()}
    metadata = {key: json.dumps(value, sort_keys=True) for key, value in about.items()}
    metadata |= {f"channels.{layer}": str(count) for layer, count in weights.channels.items()}
    metadata |= {f"mean.{layer}": repr(mean) for layer, mean in weights.means.items()}
    write_atomic(path, save(half, metadata))
