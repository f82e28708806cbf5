"""The step loop on a device that is not the CPU: nothing in it waits, copies, or is float64."""

import contextlib
from typing import Any

import pytest
import torch
from calls import DeviceWorld, Watch

from pipeline.manifest import Settings
from pipeline.manifest.presets import PRESETS
from pipeline.method import optimize
from pipeline.method.losses.content import CONTENT_LOSSES
from pipeline.method.losses.style import STATISTICS
from pipeline.method.losses.total_variation import TV_LOSSES
from pipeline.method.optimizers.table import OPTIMIZERS
from pipeline.slot.curves import Curves

TWO_SCALES = {"size": 96, "steps": [3, 3], "scale_start": 64, "scale_factor": 2.0, "warmup": 0}


def world(preset: str = "classic", extras: str = "", **changed: object) -> DeviceWorld:
    values: dict[str, Any] = {"preset": preset, **TWO_SCALES, "neighbor_every": 2, **changed}
    return DeviceWorld(Settings.model_validate(values), extras)


def assert_clean(where: DeviceWorld) -> None:
    watch = Watch()
    assert len(where.watched(watch)) == sum(scale.steps - 1 for scale in where.scales)
    assert not watch.wrong, "\n".join(dict.fromkeys(watch.wrong))


@pytest.mark.parametrize("style_loss", STATISTICS)
@pytest.mark.parametrize("loss", CONTENT_LOSSES)
def test_a_style_loss_asks_the_device_for_nothing(style_loss: str, loss: str) -> None:
    assert_clean(world(style_loss=style_loss, loss=loss))


@pytest.mark.parametrize("style_loss", [name for name in STATISTICS if STATISTICS[name].additive])
@pytest.mark.parametrize("extras", ["regions", "tiles", "regions tiles"])
def test_regions_and_tiles_ask_for_nothing(style_loss: str, extras: str) -> None:
    assert_clean(world(extras=extras, style_loss=style_loss, neighbor_weight=1.0))


@pytest.mark.parametrize("tv_loss", TV_LOSSES)
def test_total_variation_asks_for_nothing(tv_loss: str) -> None:
    assert_clean(world(tv_loss=tv_loss))


@pytest.mark.parametrize(
    ("extras", "changed"),
    [
        ("", {"neighbor_weight": 2.0}),
        ("", {"laplacian_weight": 2.0}),
        ("", {"gradient_norm": 0.5}),
        ("keep", {}),
        ("before", {}),
        ("bf16", {}),
        ("", {"warmup": 5, "average": 0.5}),
    ],
)
def test_the_other_losses_ask_for_nothing(extras: str, changed: dict[str, Any]) -> None:
    assert_clean(world(extras=extras, **changed))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("carry", [False, True])
def test_an_optimizer_asks_for_nothing(optimizer: str, clamp: bool, carry: bool) -> None:
    # More steps than pairs are kept.
    own = {"corrections": 2, "clamp": clamp, "carry": carry, "steps": [5, 2]}
    assert_clean(world(optimizer=optimizer, **own))


@pytest.mark.parametrize(
    ("padding", "pooling"),
    [("replicate", "avg"), ("reflect", "max"), ("replicate_first", "l2"), ("zeros", "avg")],
)
def test_all_convolutions_are_channels_last(padding: str, pooling: str) -> None:
    assert_clean(world(padding=padding, pooling=pooling))


def test_curves_are_kept_on_the_device() -> None:
    where, watch, curves = world(), Watch(), Curves([[], []])
    with watch:
        for step in optimize(where.backbone, [where.settings] * 2, where.scales, where.inputs):
            watch.on = True
            curves.add(step)
            watch.on = False
    assert len(curves.rows) == 6 and not watch.wrong


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: bool(x.sum() > 0),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x + torch.ones(3, 1),
        lambda x: x.to("cpu"),
        lambda x: x * torch.ones(3).to("meta"),
        lambda x: x.double(),
        lambda x: torch.nn.functional.conv2d(x[None], x[None]),
        lambda x: torch.linalg.eigh(x[0]),
    ],
)
def test_the_watch_notices(wrong: Any) -> None:
    watch = Watch()
    with watch:
        x = torch.rand(3, 3, 3).to("meta")
        watch.on = True
        # The meta device has no values, and torch may refuse two devices by itself.
        with contextlib.suppress(RuntimeError):
            wrong(x)
        watch.on = False
    assert watch.wrong


def test_jobs_that_settle_are_asked_for_once_in_ten_steps() -> None:
    where = world(tolerance=1e-9, steps=31, scale_start=0)
    where = DeviceWorld(where.settings, device="cpu")
    watch, waits = Watch("cpu"), []
    with watch:
        for step in optimize(where.backbone, [where.settings] * 2, where.scales, where.inputs):
            watch.on = False
            if "_local_scalar_dense" in watch.calls:
                waits.append(step.number)
            watch.calls.clear()
            watch.on = True
        watch.on = False
    assert waits == [10, 20, 30]


# Calls of one step of two jobs through `lite`, forward, backward and optimizer, views too. Steps at
# small sizes take a GPU as long as their calls take the CPU: a change that needs more says so here.
# The cut of the first layers' Gram matrices into parts takes some more. With `wasserstein` each
# layer has 13 iterations of 3 products, of which none can be left out; layers differ in size.
CALLS = {
    "default": 875,
    "fast": 829,
    "draft": 829,
    "preview": 875,
    "classic": 279,
    "gatys2016": 357,
    "neural-style": 353,
    "style-transfer-pytorch": 883,
    "tutorial": 254,
}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_step_makes_no_more_calls_than_it_did(preset: str) -> None:
    size = "96x80" if preset == "tutorial" else 96
    where = world(preset, size=size, init="content", neighbor_every=100)
    watch = Watch()
    assert max(where.watched(watch)) <= CALLS[preset]
    assert not watch.wrong, "\n".join(dict.fromkeys(watch.wrong))


def test_more_jobs_take_no_more_calls() -> None:
    counts = []
    for jobs in (2, 8):
        where = world("default", neighbor_every=100)
        where.jobs = jobs
        counts.append(where.watched(Watch()))
    assert counts[0] == counts[1]
