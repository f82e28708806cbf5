"""Some jobs through the shipped network on the CPU, with tensors that are drawn."""

from functools import lru_cache

import torch
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    ScaleInputs,
    StyleVectors,
    Weights,
    load_weights,
    neighbor_targets,
    schedule_scales,
)
from pipeline.method.tiles import style_targets_of


@lru_cache
def _lite() -> Weights:
    return load_weights("lite")


class CpuWorld:
    """What `optimize` takes.

    Attributes:
        jobs: how many.
        tile: see `ScaleInputs`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.jobs, self.tile = settings, 2, 0
        self.backbone = Backbone(
            _lite(), settings.layers, settings.pooling, settings.padding,
            pooling_scale=settings.pooling_scale,
        )  # fmt: skip
        self.scales = schedule_scales(settings, 96, 80)

    def inputs(self, index: int) -> ScaleInputs:
        """The tensors of one scale: every job has a content and a style of its own."""
        s, scale = self.settings, self.scales[index]
        images = torch.rand(self.jobs, 3, scale.height, scale.width)
        targets = style_targets_of(self.backbone, images, tuple(s.style_layers), s.style_loss)
        return ScaleInputs(
            images.contiguous(memory_format=torch.channels_last),
            torch.arange(self.jobs),
            {layer: values[:, 0] for layer, values in targets.items()},
            self.tile,
            neighbors=[self._vectors(image) for image in images] if s.neighbor_weight else (),
        )

    def _vectors(self, image: Tensor) -> StyleVectors:
        return neighbor_targets(self.backbone, image)
