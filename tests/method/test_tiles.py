"""Tiles give what the whole picture gives."""

import pytest
import torch
from torch import Tensor

from pipeline.errors import DeviceError
from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    Kinds,
    Padding,
    Pooling,
    Regions,
    StyleTransferLoss,
    features_of,
    job_weights,
    load_weights,
)
from pipeline.method.tiles import cut_tiles, losses_and_gradient, style_targets_of
from pipeline.slot import step_bytes
from pipeline.slot.memory import tile_side


def random_pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "kinds, pooling, padding",
    [
        (Kinds("relative"), "avg", "replicate"),
        pytest.param(Kinds("paper"), "max", "zeros", marks=pytest.mark.long),
        pytest.param(Kinds("relative", "wasserstein"), "avg", "reflect", marks=pytest.mark.long),
        pytest.param(
            Kinds("mean", "mean_std", "sum_squares"),
            "l2",
            "replicate_first",
            marks=pytest.mark.long,
        ),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_losses_and_gradient_are_those_of_the_whole_picture(
    kinds: Kinds, pooling: Pooling, padding: Padding, masked: bool
) -> None:
    jobs = [Settings(style_weight=weight) for weight in (1.0, 30.0)]
    layers = tuple(jobs[0].style_layers)
    backbone = Backbone(load_weights("lite"), jobs[0].layers, pooling, padding)
    images, contents = random_pictures(2, 211, 294), random_pictures(2, 211, 294, 1)
    styles = random_pictures(2, 150, 190, 2)
    guides = random_pictures(2, 211, 294, 3)[:, :2] if masked else None
    regions = Regions(guides, torch.tensor([[0.7, 0.3]] * 2)) if guides is not None else None
    own = random_pictures(2, 150, 190, 4)[:, :2] if masked else None
    targets = style_targets_of(backbone, styles, layers, kinds.style, 0, own)
    in_parts = style_targets_of(backbone, styles, layers, kinds.style, 64, own)
    for layer, values in targets.items():
        atol = 1e-5 * float(values.abs().max())
        torch.testing.assert_close(in_parts[layer], values, rtol=0, atol=atol)
    loss = StyleTransferLoss(
        kinds,
        features_of(backbone, contents, ("conv4_2",)),
        targets,
        job_weights(jobs, torch.device("cpu")),
        regions,
    )
    whole, gradient = losses_and_gradient(backbone, loss, images)
    tiled, in_tiles = losses_and_gradient(backbone, loss, images, 64)
    # Roots of covariances are taken of sums whose rounding is not that of the whole picture.
    loose = 50 if kinds.style == "wasserstein" else 1
    torch.testing.assert_close(tiled.total, whole.total, rtol=1e-5 * loose, atol=1e-6)
    torch.testing.assert_close(tiled.content, whole.content, rtol=1e-5, atol=1e-6)
    scale = float(gradient.abs().max())
    torch.testing.assert_close(in_tiles / scale, gradient / scale, rtol=0, atol=1e-4 * loose)
    # The loss written out, by autograd through the network.
    pixels = images.clone().requires_grad_()
    loss(pixels, backbone(pixels)).total.sum().backward()
    torch.testing.assert_close(gradient, pixels.grad)


def test_targets_are_those_of_the_whole_picture() -> None:
    backbone = Backbone(load_weights("lite"), ("conv1_1", "conv4_2", "conv5_1"))
    picture = random_pictures(1, 203, 331)
    whole = backbone(picture)
    for layer, features in features_of(backbone, picture, backbone.layers, 80).items():
        torch.testing.assert_close(features, whole[layer], rtol=1e-4, atol=1e-5)
        flat = whole[layer][0].flatten(1).double()
        gram = style_targets_of(backbone, picture, (layer,), "gram", 80)[layer][0, 0].double()
        torch.testing.assert_close(gram, flat @ flat.T / flat.shape[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind, power", [("sliced_wasserstein", 0.0), ("gram", 0.5)])
def test_what_does_not_add_up_over_tiles_is_refused(kind: str, power: float) -> None:
    layers = {"conv1_1": 1.0}
    job = Settings(style_layers=layers, content_layers=layers, gradient_norm=power)
    backbone, picture = Backbone(load_weights("lite"), job.layers), random_pictures(1, 48, 64)
    targets = style_targets_of(backbone, picture, ("conv1_1",), kind, 32)
    contents = features_of(backbone, picture, ("conv1_1",))
    weights = job_weights([job], torch.device("cpu"))
    loss = StyleTransferLoss(Kinds("relative", kind), contents, targets, weights)
    message = (
        "64 x 48 px is too large to be taken whole, and style_loss sliced_wasserstein and "
        "gradient_norm cannot go by tiles"
    )
    with pytest.raises(DeviceError, match=message):
        losses_and_gradient(backbone, loss, picture, 32)


@pytest.mark.parametrize("height, width, side", [(64, 64, 64), (211, 294, 64), (37, 500, 48)])
def test_tiles_cover_each_pixel_once(height: int, width: int, side: int) -> None:
    seen = torch.zeros(height, width)
    for tile in cut_tiles(height, width, side, 20, 16):
        top, left, bottom, right = tile.core
        assert tile.top <= top < bottom <= tile.bottom and tile.left <= left < right <= tile.right
        assert tile.top % 16 == 0 and tile.left % 16 == 0
        assert bottom - top < side + 16 and right - left < side + 16
        seen[top:bottom, left:right] += 1
    assert bool((seen == 1).all())


def test_the_deepest_feature_sees_no_further_than_the_halo() -> None:
    backbone = Backbone(load_weights("lite"), ("conv5_1",))
    pixels = torch.rand(1, 3, 352, 352, requires_grad=True)
    backbone(pixels)["conv5_1"][0, :, 11, 11].sum().backward()
    assert pixels.grad is not None
    seen = pixels.grad[0].abs().sum(0).nonzero()
    first, last = int(seen.min()), int(seen.max())
    assert 11 * 16 - backbone.halo <= first < 11 * 16 and last < 12 * 16 + backbone.halo


def test_tiles_are_as_large_as_memory_allows() -> None:
    backbone = Backbone(load_weights("lite"), Settings().layers)
    whole = step_bytes(backbone, 2048 * 2048)
    assert tile_side(backbone, 2048, 2048, whole) == 0
    sides = [tile_side(backbone, 2048, 2048, whole * share) for share in (0.9, 0.6, 0.4)]
    assert all(sides) and sides == sorted(sides, reverse=True)  # type: ignore[type-var]
    assert tile_side(backbone, 2048, 2048, whole * 0.05) is None


def test_nearest_neighbors_take_room_that_tiles_leave_them() -> None:
    backbone = Backbone(load_weights("lite"), Settings().layers)
    alone, both = (step_bytes(backbone, 2048 * 2048, neighbors=n) for n in (False, True))
    assert both > 1.1 * alone
    assert tile_side(backbone, 2048, 2048, both, neighbors=True) == 0
    assert tile_side(backbone, 2048, 2048, alone, neighbors=True)
    without = tile_side(backbone, 2048, 2048, 0.5 * alone)
    assert without and without > (tile_side(backbone, 2048, 2048, 0.5 * alone, neighbors=True) or 0)
