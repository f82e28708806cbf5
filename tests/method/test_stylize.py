"""The step loop: scales, checkpoints, and that it does what it is for."""

import itertools
from collections.abc import Iterator

import pytest
import torch

from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    ScaleInputs,
    State,
    Step,
    load_weights,
    optimize,
    schedule_scales,
    style_targets,
)
from pipeline.method.scale_run import enlarge
from pipeline.slot.checkpoint import load_checkpoint, save_checkpoint, stack
from pipeline.store import RunFolder


def pictures(seed: int, count: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    size = (height, width)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


class World:
    """Two jobs of one shape through the shipped network."""

    def __init__(self, **settings: object) -> None:
        self.jobs = [Settings(preset="classic", style_weight=w, **settings) for w in (1.0, 10.0)]  # type: ignore[arg-type]
        layers = self.jobs[0].layers
        self.backbone = Backbone(load_weights("lite"), layers)
        self.scales = schedule_scales(self.jobs[0], 64, 48)

    def inputs(self, index: int) -> ScaleInputs:
        scale = self.scales[index]
        contents = pictures(1, 2, scale.height, scale.width)
        style = pictures(2, 1, scale.height, scale.width)[0]
        grams = style_targets(self.backbone, style, tuple(self.jobs[0].style_layers))
        stacked = {k: torch.stack([g, g]) for k, g in grams.items()}
        return ScaleInputs(contents, torch.arange(2), stacked)

    def steps(self, resume: State | None = None) -> list[Step]:
        return list(optimize(self.backbone, self.jobs, self.scales, self.inputs, resume=resume))


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("at", [3, 8, 10])
def test_from_a_checkpoint_it_goes_on_to_the_same_pictures(  # type: ignore[no-untyped-def]
    optimizer: str, at: int, tmp_path
) -> None:
    rate = 0.05 if optimizer == "adam" else 1.0
    world = World(size=64, scale_start=48, steps=12, optimizer=optimizer, learning_rate=rate)
    assert [scale.steps for scale in world.scales] == [8, 4]
    straight, store = world.steps(), RunFolder(tmp_path)
    for step in optimize(world.backbone, world.jobs, world.scales, world.inputs):
        if step.number == at:
            for index in (0, 1):
                save_checkpoint(store, f"{index}", step.state, index, [{"step": 1.0}])
            break
    kept = [load_checkpoint(store, f"{index}") for index in (0, 1)]
    assert all(checkpoint is not None for checkpoint in kept)
    resumed = world.steps(stack([c for c in kept if c], "cpu"))
    assert [step.number for step in resumed] == list(range(at + 1, 13))
    torch.testing.assert_close(resumed[-1].images, straight[-1].images, rtol=1e-4, atol=1e-4)


def test_a_damaged_checkpoint_is_as_none(tmp_path) -> None:  # type: ignore[no-untyped-def]
    store = RunFolder(tmp_path)
    store.checkpoint_path("x").parent.mkdir(parents=True)
    store.checkpoint_path("x").write_bytes(b"damaged")
    assert load_checkpoint(store, "x") is None
    assert load_checkpoint(store, "nowhere") is None


def test_the_loss_falls_and_more_style_weight_means_less_style_loss() -> None:
    steps = World(size=64, scale_start=0, steps=40).steps()
    first, last = steps[0].losses, steps[-1].losses
    assert bool((last.total < 0.7 * first.total).all())
    assert float(last.style[1]) < float(last.style[0])


def test_scales_grow_to_the_full_size_and_share_all_steps() -> None:
    settings = Settings(preset="classic", size=512)
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
    scales = schedule_scales(Settings(preset="classic", size=512, steps=2), 100, 100)
    assert [scale.steps for scale in scales] == [1, 1]
    assert scales[-1].width == 512


def test_a_job_whose_loss_has_settled_leaves_and_the_others_go_on_as_before() -> None:
    shared = {"size": 64, "scale_start": 0, "steps": 60, "average": 0.5}
    world = World(**shared)
    alone = world.steps()
    settling = world.jobs[0].model_copy(update={"tolerance": 0.3})
    world.jobs = [settling, world.jobs[1]]
    both = world.steps()
    left, stayed = both[-1].steps.tolist()
    assert 20 <= left < 60 and left % 10 == 0 and stayed == 60
    # Batches of another size round otherwise, and Adam makes steps of any gradient's sign.
    apart = (both[-1].images[1] - alone[-1].images[1]).abs()
    assert float(apart.mean()) < 2 / 255
    # What it left with is what it had then.
    early = next(itertools.islice(alone_steps(world, left), left - 1, None))
    torch.testing.assert_close(both[-1].images[0], early, rtol=0, atol=1 / 255)
    totals = [float(step.losses.total[0]) for step in alone]
    before, after = sum(totals[left - 20 : left - 10]), sum(totals[left - 10 : left])
    assert before - after < 0.3 * before
    earlier = [sum(totals[i : i + 10]) for i in range(0, left - 10, 10)]
    assert all(a - b >= 0.3 * a for a, b in itertools.pairwise(earlier))


def alone_steps(world: World, count: int) -> Iterator[torch.Tensor]:
    jobs = [job.model_copy(update={"tolerance": 0.0}) for job in world.jobs]
    steps = optimize(world.backbone, jobs, world.scales, world.inputs)
    return (step.images[0].clone() for step in itertools.islice(steps, count))


def test_when_all_have_settled_the_scale_ends_and_the_count_goes_on() -> None:
    world = World(size=64, scale_start=48, steps=60, tolerance=0.5)
    steps = world.steps()
    assert len(steps) < 60 and steps[-1].number == 60
    assert {step.scale for step in steps} == {0, 1}
    assert bool((steps[-1].steps <= len(steps)).all())


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("lbfgs", marks=pytest.mark.long)])
def test_settled_jobs_and_carried_memory_survive_a_checkpoint(optimizer: str) -> None:
    rate = 0.05 if optimizer == "adam" else 1.0
    world = World(
        size=64, scale_start=48, steps=60, optimizer=optimizer, learning_rate=rate, carry=True
    )
    world.jobs[0] = world.jobs[0].model_copy(update={"tolerance": 0.3})
    straight = world.steps()
    assert int(straight[-1].steps[0]) < 60
    for step in optimize(world.backbone, world.jobs, world.scales, world.inputs):
        if step.scale == 0 and int(step.steps[0]) < int(step.steps[1]):
            state = step.state
            kept = {name: values.clone() for name, values in state.tensors.items()}
            resumed = world.steps(State(state.scale, state.step, kept))
            break
    else:
        pytest.fail("no job settled while the other moved")
    torch.testing.assert_close(resumed[-1].images, straight[-1].images, rtol=0, atol=1 / 255)
    assert resumed[-1].steps.tolist() == straight[-1].steps.tolist()


def test_detail_puts_back_what_a_coarse_scale_cannot_hold() -> None:
    content = pictures(3, 1, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    coarse = torch.nn.functional.interpolate(content, (16, 16), mode="bicubic", antialias=True)
    # Where the result is the content itself, all of it must come back.
    back = enlarge(coarse, coarse, content, torch.ones(1))
    torch.testing.assert_close(back, content.clamp(0, 1), rtol=0, atol=1e-5)
    plain = enlarge(coarse, coarse, content, torch.zeros(1))
    assert float((plain - content).abs().max()) > 0.01


def test_without_clamp_pixels_may_leave_their_range_and_the_result_does_not() -> None:
    world = World(size=64, scale_start=0, steps=10, clamp=False, learning_rate=0.5, average=0.0)
    for step in optimize(world.backbone, world.jobs, world.scales, world.inputs):
        pixels, images = step.state.tensors["pixels"], step.images
    assert float(pixels.min()) < 0 or float(pixels.max()) > 1
    assert float(images.min()) >= 0 and float(images.max()) <= 1


def test_the_learning_rate_rises_over_the_warm_up() -> None:
    moved = {}
    for warmup in (0, 10):
        world = World(size=64, scale_start=0, steps=20, warmup=warmup, average=0.0)
        steps = itertools.islice(
            optimize(world.backbone, world.jobs, world.scales, world.inputs), 1
        )
        (first,) = [step.images.clone() for step in steps]
        moved[warmup] = (first - world.inputs(0).contents).abs().median()
    # Adam's first step is the learning rate for every pixel.
    assert float(moved[10] / moved[0]) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("known", [[0, 1, 3, 5], [0, 1, 2, 3, 5]])
def test_a_checkpoint_of_fewer_losses_goes_on_with_a_settled_job(known: list[int]) -> None:
    """As those were that knew of no nearest neighbors, or of no clips."""
    world = World(size=64, scale_start=0, steps=30)
    world.jobs = [world.jobs[0].model_copy(update={"tolerance": 0.3}), world.jobs[1]]
    for step in optimize(world.backbone, world.jobs, world.scales, world.inputs):
        if step.steps[0] < step.number < 29:  # the first job has settled
            kept = {name: values.clone() for name, values in step.state.tensors.items()}
            break
    kept["losses"] = kept["losses"][:, known]
    resumed = world.steps(State(step.scale, step.number, kept))
    assert resumed[-1].number == 30
    last = resumed[-1].losses
    assert float(last.neighbors.abs().max()) == float(last.temporal.abs().max()) == 0
    assert float(last.total.min()) > 0 and float(last.tv.min()) > 0
