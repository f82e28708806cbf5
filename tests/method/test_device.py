"""The step loop on a device that is not the CPU: nothing in it waits, copies, or is float64."""

from typing import Any

import pytest
import torch
from device_world import (
    Seen,
    copies_at_once,
    watched,
    watched_beginning,
    watched_between,
    watched_lapse,
)
from fake_device import aside
from lapses import SAID

from pipeline.manifest import Settings
from pipeline.manifest.presets import PRESETS
from pipeline.method.losses.content import CONTENT_LOSSES
from pipeline.method.losses.style import STATISTICS
from pipeline.method.losses.total_variation import TV_LOSSES
from pipeline.method.optimizers.table import OPTIMIZERS

TWO_SCALES = {"size": 96, "steps": [2, 2], "scale_start": 64, "scale_factor": 2.0, "warmup": 0}


def settings(preset: str = "classic", **changed: object) -> Settings:
    values: dict[str, Any] = {"preset": preset, **TWO_SCALES, "neighbor_every": 1, **changed}
    return Settings.model_validate(values)


def assert_clean(extras: str = "", **changed: object) -> None:
    wanted = settings(**changed)  # type: ignore[arg-type]
    seen = aside(watched, wanted, extras)
    assert len(seen.counts) == sum(wanted.steps) - 2  # type: ignore[arg-type]
    assert not seen.wrong, "\n".join(seen.wrong)


@pytest.mark.parametrize("style_loss", STATISTICS)
@pytest.mark.parametrize("loss", CONTENT_LOSSES)
def test_a_style_loss_asks_the_device_for_nothing(style_loss: str, loss: str) -> None:
    assert_clean(style_loss=style_loss, loss=loss)


@pytest.mark.parametrize("style_loss", [name for name in STATISTICS if STATISTICS[name].additive])
@pytest.mark.parametrize("extras", ["regions", "tiles", "regions tiles"])
def test_regions_and_tiles_ask_for_nothing(style_loss: str, extras: str) -> None:
    assert_clean(extras, style_loss=style_loss, neighbor_weight=1.0)


@pytest.mark.parametrize("tv_loss", TV_LOSSES)
def test_total_variation_asks_for_nothing(tv_loss: str) -> None:
    assert_clean(tv_loss=tv_loss)


@pytest.mark.parametrize(
    ("extras", "changed"),
    [
        ("", {"neighbor_weight": 2.0}),
        ("", {"laplacian_weight": 2.0}),
        ("", {"gradient_norm": 0.5}),
        ("keep", {}),
        ("before", {}),
        ("bf16", {}),
        ("fp16", {}),
        ("fp16", {"gradient_norm": 0.5}),
        ("bf16", {"neighbor_weight": 2.0}),
        ("", {"warmup": 5, "average": 0.5}),
    ],
)
def test_the_other_losses_ask_for_nothing(extras: str, changed: dict[str, Any]) -> None:
    assert_clean(extras, **changed)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("carry", [False, True])
def test_an_optimizer_asks_for_nothing(optimizer: str, clamp: bool, carry: bool) -> None:
    # More steps than pairs are kept.
    own = {"corrections": 2, "clamp": clamp, "carry": carry, "steps": [5, 2]}
    assert_clean(optimizer=optimizer, **own)


@pytest.mark.parametrize(
    ("padding", "pooling"),
    [("replicate", "avg"), ("reflect", "max"), ("replicate_first", "l2"), ("zeros", "avg")],
)
def test_all_convolutions_are_channels_last(padding: str, pooling: str) -> None:
    assert_clean(padding=padding, pooling=pooling)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("style_loss", STATISTICS)
def test_narrow_networks_ask_for_nothing(style_loss: str, precision: str) -> None:
    assert_clean(precision, style_loss=style_loss, padding="reflect")


def test_jobs_that_settle_are_asked_for_once_in_ten_steps() -> None:
    seen = aside(watched, settings(tolerance=1e-9, steps=31, scale_start=0))
    assert seen.waits == seen.steps == [10, 20, 30]
    assert all(each.startswith("_local_scalar_dense: waits") for each in seen.wrong)


def test_without_those_that_have_settled_steps_go_on_as_before() -> None:
    """One more has at each ten of the steps."""
    own = {"steps": 31, "scale_start": 0, "neighbor_weight": 1.0, "neighbor_every": 40}
    seen = aside(watched, settings(tolerance=1e-9, **own), "", 4, False)
    assert seen.steps == [10, 20, 30] and seen.counts[10] > seen.counts[0]


def test_what_a_slot_keeps_of_steps_stays_on_the_device() -> None:
    seen = aside(watched_between, settings(), False)
    assert len(seen.counts) == 4 and min(seen.counts) > 0 and not seen.wrong


def test_news_wait_for_one_value() -> None:
    """The batch's mean loss; of the last step there are none."""
    seen = aside(watched_between, settings(), True)
    assert seen.waits == [1, 2, 3]
    assert all(each.startswith("_local_scalar_dense: waits") for each in seen.wrong)


def test_content_pictures_to_begin_with_stay_on_the_device() -> None:
    assert not aside(watched_beginning, settings(init="content")).wrong


def test_what_is_of_one_size_is_copied_at_once() -> None:
    """The jobs' weights, and the losses of all steps: each copy waits."""
    assert aside(copies_at_once, settings()) == (1, 1)


@pytest.mark.parametrize(("said", "name"), [(said, name) for said in SAID for name in SAID[said]])
def test_the_watch_notices(said: str, name: str) -> None:
    seen: Seen = aside(watched_lapse, name)
    assert any(said in each for each in seen.wrong) if said else not seen.wrong


def test_the_watch_notices_in_each_step_but_a_scales_first() -> None:
    seen = aside(watched_lapse, "item", True)
    assert seen.waits == [2, 4] and "device_world" not in seen.wrong[0]


def test_the_device_is_not_of_this_process() -> None:
    """Torch would take it for this machine's own."""
    aside(watched_lapse, "scalar")
    assert torch._C._get_privateuse1_backend_name() == "privateuseone"
    assert not hasattr(torch, "pretend")


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
    own = {"size": size, "steps": [3, 3], "init": "content", "neighbor_every": 100}
    seen = aside(watched, settings(preset, **own))
    assert max(seen.counts) <= CALLS[preset]
    assert not seen.wrong, "\n".join(seen.wrong)


def test_more_jobs_take_no_more_calls() -> None:
    wanted = settings("default", neighbor_every=100)
    few, many = (aside(watched, wanted, "", jobs).counts for jobs in (2, 8))
    assert few == many
