"""What a step computes in fewer passes gives what the plain formulas give."""

from dataclasses import replace

import pytest
import torch

from pipeline.layers import NEIGHBOR_LAYERS
from pipeline.method import Backbone, load_weights
from pipeline.method.losses import gram
from pipeline.method.losses.gram import gram_sum, moment_sum
from pipeline.method.losses.joined import joined_features
from pipeline.method.losses.neighbors import _Apart
from pipeline.method.losses.total_variation import TV_LOSSES
from pipeline.method.means import means

FEW = 8


def test_total_variations_gradient_is_that_of_the_formula() -> None:
    images = torch.rand(2, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(TV_LOSSES["mean_squares"], images)
    assert torch.autograd.gradcheck(TV_LOSSES["sum_squares"], images)


def test_the_neighbors_gradient_is_that_of_the_formula() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    a, b = torch.rand(2, 4, 1, 1).double(), torch.rand(2, 4, 1, 1).double()
    targets = torch.nn.functional.normalize(torch.rand(2, 4, 3, 3).double(), dim=1)
    drawn_to = targets.square().sum(1)

    def plain(x: torch.Tensor) -> torch.Tensor:
        own = a * x + b
        return (drawn_to - torch.cosine_similarity(own, targets)).sum((1, 2))

    found = _Apart.apply(x, a, b, targets, drawn_to)
    torch.testing.assert_close(found, plain(x))
    assert torch.autograd.gradcheck(lambda x: _Apart.apply(x, a, b, targets, drawn_to), x)


@pytest.mark.parametrize("sums", [gram_sum, moment_sum])
def test_bfloat16_features_are_summed_in_float32(sums: object) -> None:
    features = torch.rand(2, FEW, 4096).bfloat16()
    exact = features.double() @ features.double().mT
    found = sums(features)[..., :FEW]  # type: ignore[operator]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("sums", [gram_sum, moment_sum])
def test_their_gradient_is_float32s_but_for_its_rounding(sums: object) -> None:
    torch.manual_seed(0)
    narrow = torch.rand(2, FEW, 512).bfloat16().requires_grad_()
    wide = narrow.detach().float().requires_grad_()
    for features in (narrow, wide):
        found = sums(features)  # type: ignore[operator]
        (found * torch.arange(found.numel()).view_as(found)).sum().backward()
    assert narrow.grad is not None and wide.grad is not None
    assert narrow.grad.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.grad.float(), wide.grad, rtol=0.02, atol=1.0)


@pytest.mark.parametrize(
    ("channels", "positions", "parts"),
    [(64, 512 * 384, 64), (128, 256 * 192, 16), (512, 64 * 48, 1), (64, 1000, 1), (64, 4098, 2)],
)
def test_few_channels_of_many_positions_are_cut_in_parts(
    channels: int, positions: int, parts: int
) -> None:
    assert gram._parts(channels, positions) == parts


def test_the_parts_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, which the CPU is made to pass for."""
    flat = torch.rand(2, FEW, 4096)

    class Elsewhere(torch.Tensor):
        @property
        def device(self) -> torch.device:  # type: ignore[override]
            return torch.device("meta")

    found = gram._product(flat.as_subclass(Elsewhere)).as_subclass(torch.Tensor)
    assert gram._parts(FEW, 4096) == 4
    torch.testing.assert_close(found, flat @ flat.mT, rtol=1e-5, atol=1e-3)


def test_features_come_narrow_where_that_is_asked_for() -> None:
    network = Backbone(load_weights("lite"), NEIGHBOR_LAYERS, dtype=torch.bfloat16)
    images = torch.rand(1, 3, 64, 64)
    wide, narrow = network(images), network(images, narrow=True)
    for layer in NEIGHBOR_LAYERS:
        assert (wide[layer].dtype, narrow[layer].dtype) == (torch.float32, torch.bfloat16)
        assert torch.equal(wide[layer], narrow[layer].float())
    assert torch.equal(joined_features(wide), joined_features(narrow))


@pytest.mark.parametrize("size", [(8, 6), (7, 6), (8, 5)])
def test_halving_has_average_poolings_gradient(size: tuple[int, int]) -> None:
    images = torch.rand(2, FEW, *size).contiguous(memory_format=torch.channels_last)
    slopes = []
    for pool in (lambda x: means(x, 2), lambda x: torch.nn.functional.avg_pool2d(x, 2)):
        x = images.clone().requires_grad_()
        pooled = pool(x)
        pooled.backward(torch.arange(pooled.numel()).float().view_as(pooled))
        slopes.append((pooled.detach(), x.grad))
    assert torch.equal(slopes[0][0], slopes[1][0]) and torch.equal(slopes[0][1], slopes[1][1])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), None])
def test_the_inputs_transform_is_the_convolution(order: tuple[int, ...] | None) -> None:
    """Scaled, or exchanged as for Caffe's weights; and any other mixture of channels."""
    kernel = torch.eye(3)[list(order)] * 255 if order else torch.rand(3, 3)
    weights = replace(load_weights("lite"), input=(kernel[..., None, None], torch.rand(3)))
    network = Backbone(weights, ["conv1_1"])
    assert network.turns == (order is not None)
    images = torch.rand(2, 3, 5, 7).contiguous(memory_format=torch.channels_last)
    found = network._enter(images)
    assert found.is_contiguous(memory_format=torch.channels_last)
    wanted = torch.einsum("oc,bchw->bohw", kernel, images) + weights.input[1].view(-1, 1, 1)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-4)
