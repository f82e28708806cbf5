"""What is promised of a result: the same pixels in the same circumstances, else the same losses
within a tolerance. Rounding differs between batch sizes and devices, and steps carry it on."""

import pytest
import torch
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    ScaleInputs,
    Step,
    load_weights,
    neighbor_targets,
    optimize,
    schedule_scales,
    style_targets,
)


def noise(seed: int, count: int, *size: int) -> Tensor:
    small = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(small, size, mode="bicubic").clamp(0, 1)


class World:
    """A job alone, or first of several with weights of their own."""

    def __init__(self, preset: str) -> None:
        own = {"size": 96, "steps": [24, 16], "scale_start": 64, "scale_factor": 2.0}
        self.settings = Settings.model_validate({"preset": preset, **own})
        self.backbone = Backbone(load_weights("lite"), self.settings.layers)
        self.scales = schedule_scales(self.settings, 96, 80)

    def steps(self, jobs: int = 1, moved: float = 0.0) -> list[Step]:
        s = self.settings

        def inputs(index: int) -> ScaleInputs:
            size = (self.scales[index].height, self.scales[index].width)
            (style,) = noise(2, 1, *size)
            targets = style_targets(self.backbone, style, tuple(s.style_layers), s.style_loss)
            return ScaleInputs(
                noise(1, jobs, *size) + moved,
                torch.arange(jobs),
                {k: torch.stack([v] * jobs) for k, v in targets.items()},
                neighbors=[neighbor_targets(self.backbone, style)] * jobs
                if s.neighbor_weight
                else [],
            )

        several = [s.model_copy(update={"style_weight": 3.0 + i}) for i in range(jobs)]
        return list(optimize(self.backbone, several, self.scales, inputs))


@pytest.mark.parametrize("preset", [pytest.param("default", marks=pytest.mark.long), "classic"])
def test_a_result_is_as_promised(preset: str) -> None:
    world = World(preset)
    alone, again = world.steps(), world.steps()
    assert torch.equal(alone[-1].images, again[-1].images)
    for other in (world.steps(jobs=4), world.steps(moved=1e-7)):
        first, last = (
            (float(one.losses.total[0]), float(two.losses.total[0]))
            for one, two in ((alone[0], other[0]), (alone[-1], other[-1]))
        )
        assert first[0] == pytest.approx(first[1], rel=1e-5)
        assert last[0] == pytest.approx(last[1], rel=1e-2)
