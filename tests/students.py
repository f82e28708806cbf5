"""A small random teacher, and a recipe that is done at once."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from pipeline.distill import Recipe
from pipeline.layers import LAYERS

WIDTHS = (4, 4, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8, 8)
RECIPE = Recipe(steps=4, batch=3, dreams=1, replay=4, dream_steps=1, crop=32, widths=WIDTHS)


def write_teacher(path: Path) -> Path:
    """A small random network down to conv5_1, under Caffe's names."""
    draw = torch.Generator().manual_seed(0)
    state, channels = {}, 3
    for layer, width in zip(LAYERS, WIDTHS, strict=False):
        kernels = torch.randn(width, channels, 3, 3, generator=draw)
        state[f"{layer}.weight"] = kernels * (2 / 9 / channels) ** 0.5
        state[f"{layer}.bias"] = torch.rand(width, generator=draw) * 0.1
        channels = width
    save_file(state, path)
    return path
