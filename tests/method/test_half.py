"""Float16 within a network: what it would lose is kept."""

from typing import Literal

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    Padding,
    Pooling,
    ScaleInputs,
    batch_loss,
    load_weights,
    losses_and_gradient,
    style_targets,
)
from pipeline.method.half import SHRUNK, HalfPass

LAYERS = ("conv1_1", "conv3_1", "conv4_2")


def pictures(count: int, side: int = 64) -> Tensor:
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)


def gradients(network: Backbone, images: Tensor, weights: list[float]) -> Tensor:
    """Of each picture's features' weighed mean of squares."""
    pixels = images.clone().requires_grad_()
    squares = [values.square().mean((1, 2, 3)) for values in network(pixels).values()]
    total = (torch.stack(squares).sum(0) * torch.tensor(weights)).sum()
    (found,) = torch.autograd.grad(total, pixels)
    return found


def apart(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("pooling", ["avg", "max", "l2"])
@pytest.mark.parametrize("padding", ["zeros", "replicate_first"])
def test_features_are_float32s_but_for_rounding(pooling: Pooling, padding: Padding) -> None:
    weights, images = load_weights("lite"), pictures(2)
    wanted = Backbone(weights, LAYERS, pooling, padding, pooling_scale=2.0)(images)
    half = Backbone(weights, LAYERS, pooling, padding, torch.float16, pooling_scale=2.0)
    for layer, found in half(images).items():
        assert found.dtype == torch.float32
        assert apart(found, wanted[layer]) < 3e-3


def test_gradients_below_float16s_smallest_number_come_through() -> None:
    weights, images = load_weights("lite"), pictures(3)
    precise = Backbone(weights, LAYERS)
    half = Backbone(weights, LAYERS, dtype=torch.float16)
    scales = [1e3, 1e-13, 0.0]  # each picture by its own; float16 ends at 6e-8
    wanted, found = gradients(precise, images, scales), gradients(half, images, scales)
    assert wanted[1].any() and not wanted[1].half().any()
    assert apart(found[0], wanted[0]) < 0.04 and apart(found[1], wanted[1]) < 0.04
    assert not found[2].any()


def test_a_pictures_gradient_does_not_depend_on_its_neighbors() -> None:
    half = Backbone(load_weights("lite"), LAYERS, dtype=torch.float16)
    images = pictures(2)
    together = gradients(half, images, [1.0, 1e6])
    assert apart(together[:1], gradients(half, images[:1], [1.0])) < 1e-3


def test_what_is_not_finite_stays_so_and_spares_the_others() -> None:
    half = Backbone(load_weights("lite"), LAYERS, dtype=torch.float16)
    found = gradients(half, pictures(2), [float("inf"), 1.0])
    assert not found[0].isfinite().all() and found[1].isfinite().all() and found[1].any()


def test_the_way_in_and_out_is_the_identity_with_its_gradient() -> None:
    half = HalfPass()
    x = torch.tensor([[[[0.5, -3.0], [1e3, 2.0**-9]]]], requires_grad=True)
    entered = half.enter(x)
    assert entered.dtype == torch.float16 and torch.equal(entered.float(), x.detach() * SHRUNK)
    left = half.leave({"a": entered, "b": entered * 2, "unused": entered})
    assert torch.equal(left["a"], x) and torch.equal(left["b"], 2 * x)
    (found,) = torch.autograd.grad((left["a"] + left["b"]).sum() * 1e-20, x)
    assert torch.allclose(found, torch.full_like(x, 3e-20), rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("tile", [0, pytest.param(32, marks=pytest.mark.long)])
@pytest.mark.parametrize("loss", ["relative", "paper", "mean"])
def test_the_whole_objectives_gradient_is_float32s(
    loss: Literal["relative", "paper", "mean"], tile: int
) -> None:
    settings = Settings(loss=loss, style_loss="wasserstein", size=96)
    weights = load_weights("lite")
    precise = Backbone(weights, settings.layers)
    content, style, picture = pictures(3, 96)
    targets = style_targets(precise, style, tuple(settings.style_layers), settings.style_loss)
    given = ScaleInputs(
        content[None], torch.zeros(1, dtype=torch.long), {k: v[None] for k, v in targets.items()}
    )

    def step(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        network = Backbone(weights, settings.layers, dtype=dtype)
        whole = batch_loss(network, [settings], given)
        losses, gradient = losses_and_gradient(network, whole, picture[None], tile)
        return losses.total, gradient

    (total, wanted), (half, found) = step(torch.float32), step(torch.float16)
    assert torch.allclose(half, total, rtol=1e-3) and apart(found, wanted) < 0.05
