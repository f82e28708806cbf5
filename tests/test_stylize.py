"""The step loop: scales, checkpoints, and that it does what it is for."""

import itertools

import pytest
import torch

from pipeline.backbone import Backbone, load_weights
from pipeline.checkpoint import load_checkpoint, save_checkpoint, stack
from pipeline.settings import Settings
from pipeline.stylize import ScaleInputs, State, Step, optimise, schedule_scales, style_grams


def pictures(seed: int, count: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    size = (height, width)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


class World:
    """Two jobs of one shape through the shipped network."""

    def __init__(self, **settings: object) -> None:
        self.jobs = [Settings(style_weight=w, **settings) for w in (1.0, 10.0)]  # type: ignore[arg-type]
        layers = self.jobs[0].layers
        self.backbone = Backbone(load_weights("lite"), layers)
        self.scales = schedule_scales(self.jobs[0], 64, 48)

    def inputs(self, index: int) -> ScaleInputs:
        scale = self.scales[index]
        contents = pictures(1, 2, scale.height, scale.width)
        style = pictures(2, 1, scale.height, scale.width)[0]
        grams = style_grams(self.backbone, style, tuple(self.jobs[0].style_layers))
        return ScaleInputs(contents, {k: torch.stack([g, g]) for k, g in grams.items()})

    def steps(self, resume: State | None = None) -> list[Step]:
        return list(optimise(self.backbone, self.jobs, self.scales, self.inputs, resume=resume))


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
@pytest.mark.parametrize("at", [3, 8, 10])
def test_from_a_checkpoint_it_goes_on_to_the_same_pictures(  # type: ignore[no-untyped-def]
    optimiser: str, at: int, tmp_path
) -> None:
    rate = 0.05 if optimiser == "adam" else 1.0
    world = World(size=64, scale_start=48, steps=12, optimiser=optimiser, learning_rate=rate)
    assert [scale.steps for scale in world.scales] == [8, 4]
    straight = world.steps()
    for step in optimise(world.backbone, world.jobs, world.scales, world.inputs):
        if step.number == at:
            for index in (0, 1):
                save_checkpoint(tmp_path / f"{index}", step.state, index, [{"step": 1.0}])
            break
    kept = [load_checkpoint(tmp_path / f"{index}") for index in (0, 1)]
    assert all(checkpoint is not None for checkpoint in kept)
    resumed = world.steps(stack([c for c in kept if c], "cpu"))
    assert [step.number for step in resumed] == list(range(at + 1, 13))
    torch.testing.assert_close(resumed[-1].images, straight[-1].images, rtol=1e-4, atol=1e-4)


def test_a_damaged_checkpoint_is_as_none(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "x").write_bytes(b"damaged")
    assert load_checkpoint(tmp_path / "x") is None
    assert load_checkpoint(tmp_path / "nowhere") is None


def test_the_loss_falls_and_more_style_weight_means_less_style_loss() -> None:
    steps = World(size=64, scale_start=0, steps=40).steps()
    first, last = steps[0].losses, steps[-1].losses
    assert bool((last.total < 0.7 * first.total).all())
    assert float(last.style[1]) < float(last.style[0])


def test_scales_grow_to_the_full_size_and_share_all_steps() -> None:
    settings = Settings(size=512, steps=300)
    scales = schedule_scales(settings, 1024, 768)
    sides = [scale.width for scale in scales]
    assert (
        sides[0] == 128
        and sides[-1] == 512
        and (scales[-1].width, scales[-1].height)
        == (
            512,
            384,
        )
    )
    assert all(b / a <= 1.61 for a, b in itertools.pairwise(sides))
    assert sum(scale.steps for scale in scales) == 300
    assert len(schedule_scales(Settings(size=512, scale_start=0), 1024, 768)) == 1


def test_few_steps_leave_out_coarse_scales() -> None:
    scales = schedule_scales(Settings(size=512, steps=2), 100, 100)
    assert [scale.steps for scale in scales] == [1, 1]
    assert scales[-1].width == 512
