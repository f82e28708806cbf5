"""Which network a file holds: VGG-19, VGG-16, another; Caffe's or torchvision's."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import WeightsError
from pipeline.layers import LAYERS, LAYERS_OF
from pipeline.method import LITE_FILE, VGG19_WIDTHS, Backbone, inspect_weights, load_weights
from pipeline.method.weights.network import read_weights

ROOT = Path(__file__).parents[2]
State = dict[str, torch.Tensor]
VGG11 = (0, 3, 6, 8, 11, 13, 16, 18)
VGG13 = (0, 2, 5, 7, 10, 12, 15, 17, 20, 22)
VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG19 = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)


def whole(numbers: tuple[int, ...], layers: tuple[str, ...]) -> State:
    """Full widths, at the cost of no memory: each kernel is one number, seen many times."""
    found, channels = {}, 3
    for number, layer in zip(numbers, layers, strict=True):
        width = VGG19_WIDTHS[layer]
        kernel = torch.full((1, 1, 1, 1), 0.1).expand(width, channels, 3, 3)
        found[f"features.{number}.weight"] = kernel
        found[f"features.{number}.bias"] = torch.zeros(width)
        channels = width
    return found


def small(numbers: tuple[int, ...]) -> State:
    """The same numbers with one channel each."""
    found, channels = {}, 3
    for number in numbers:
        found[f"features.{number}.weight"] = torch.ones(1, channels, 3, 3)
        found[f"features.{number}.bias"] = torch.ones(1)
        channels = 1
    return found


def test_vgg16_is_a_backbone_of_its_own(tmp_path: Path) -> None:
    layers = LAYERS_OF["vgg16"]
    assert layers == tuple(name for name in LAYERS if name not in ("conv3_4", "conv4_4", "conv5_4"))
    torch.save(whole(VGG16, layers), tmp_path / "vgg16.pth")
    assert inspect_weights("vgg16", tmp_path / "vgg16.pth").layers == layers
    network = Backbone(load_weights("vgg16", tmp_path / "vgg16.pth"), ["conv1_1", "conv4_1"])
    assert network.chain == layers[:8]  # from conv3_3 to conv4_1
    assert network.channels == {"conv1_1": 64, "conv4_1": 512}


@pytest.mark.parametrize(
    ("backbone", "numbers", "message"),
    [
        ("vgg19", VGG16, "VGG-16, not VGG-19; write `backbone: {name: vgg16"),
        ("vgg16", VGG19, "VGG-19, not VGG-16; write `backbone: {name: vgg19"),
        ("vgg19", VGG13, "VGG-13, which is no backbone here"),
        ("vgg19", VGG11, "VGG-11, which is no backbone here"),
        ("vgg19", (1, 4, 9), "a network whose convolutions are numbered 1, 4, 9, which is no"),
        (
            "lite",
            VGG16,
            "VGG-16, not a small network such as lite; write `backbone: {name: vgg16, w",
        ),
    ],
)
def test_numbers_that_are_another_networks_are_named(
    backbone: str, numbers: tuple[int, ...], message: str, tmp_path: Path
) -> None:
    torch.save(small(numbers), tmp_path / "w.pth")
    with pytest.raises(WeightsError) as raised:
        inspect_weights(backbone, tmp_path / "w.pth")
    assert message in str(raised.value)


def named(layers: tuple[str, ...]) -> State:
    """Full widths under Caffe's names."""
    return {
        key.replace(f"features.{n}.", f"{layer}."): value
        for n, layer in enumerate(layers)
        for key, value in whole(tuple(range(len(layers))), layers).items()
        if key.startswith(f"features.{n}.")
    }


def test_layers_by_name_that_are_another_networks_are_told(tmp_path: Path) -> None:
    torch.save(named(LAYERS), tmp_path / "19.pth")
    with pytest.raises(WeightsError, match="VGG-19, not VGG-16, since it has conv3_4"):
        inspect_weights("vgg16", tmp_path / "19.pth")
    torch.save(named(LAYERS_OF["vgg16"]), tmp_path / "16.pth")
    with pytest.raises(WeightsError, match="VGG-16, not VGG-19, since it has conv5_3 and no conv3"):
        inspect_weights("vgg19", tmp_path / "16.pth")


@pytest.mark.parametrize(
    ("state", "there"),
    [
        (whole(VGG19, LAYERS), "19"),
        (named(LAYERS), "19"),
        (named(LAYERS[:13]), "19"),
        (whole(VGG16, LAYERS_OF["vgg16"]), "16"),
        (named(LAYERS_OF["vgg16"]), "16"),
    ],
)
def test_a_whole_vgg_is_no_small_network(state: State, there: str, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError) as raised:
        inspect_weights("lite", tmp_path / "w.pth")
    assert str(raised.value) == (
        f"{tmp_path}/w.pth: VGG-{there}, not a small network such as lite; write "
        f"`backbone: {{name: vgg{there}, weights: ...}}`"
    )


@pytest.mark.parametrize("backbone", ["vgg19", "vgg16"])
@pytest.mark.parametrize("file", [LITE_FILE, ROOT / "benchmarks" / "lite-1.safetensors"])
def test_a_small_network_is_no_vgg(backbone: str, file: Path) -> None:
    message = f"{file}: a small network such as lite, not VGG-{backbone[3:]}; write "
    with pytest.raises(WeightsError, match=re.escape(message)):
        inspect_weights(backbone, file)


def test_a_small_network_by_its_widths_alone_is_told_with_the_name_for_it(tmp_path: Path) -> None:
    torch.save(small((0, 2)), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="are needed for VGG-19; of a small network say lite"):
        inspect_weights("vgg19", tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("state", "what"),
    [
        ({"layer1.0.conv1.weight": torch.ones(1)}, "a ResNet"),
        ({"features.denseblock1.denselayer1.norm1.weight": torch.ones(1)}, "a DenseNet"),
        ({"features.3.squeeze.weight": torch.ones(1)}, "a SqueezeNet"),
        ({"Mixed_5b.branch1x1.conv.weight": torch.ones(1)}, "an Inception network"),
        ({"encoder_layer_0.mlp.weight": torch.ones(1)}, "a vision transformer"),
        ({"features.1.conv.0.weight": torch.ones(1)}, "a MobileNet or EfficientNet"),
        ({"features.0.weight": torch.ones(64, 3, 11, 11)}, "AlexNet or NIN"),
        (
            small((0, 3)) | {"features.1.running_mean": torch.zeros(1)},
            "VGG with batch normalization",
        ),
    ],
)
def test_other_networks_are_refused_by_name(state: State, what: str, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=f"{what}, which is no backbone here"):
        inspect_weights("vgg19", tmp_path / "w.pth")


@pytest.fixture(scope="module")
def first_layer() -> torch.Tensor:
    return torch.from_numpy(read_weights("vgg19", "caffe").convs["conv1_1"][0].copy())


def save_first(kernels: torch.Tensor, path: Path) -> Path:
    """One layer under torchvision's name."""
    bias = torch.zeros(len(kernels))
    save_file({"features.0.weight": kernels.contiguous(), "features.0.bias": bias}, path)
    return path


def test_caffes_weights_are_told_by_their_values_whatever_the_file_is_called(
    first_layer: torch.Tensor, tmp_path: Path
) -> None:
    file = tmp_path / "torchvision_vgg19.safetensors"
    kernel, bias = read_weights("lite", save_first(first_layer, file)).input
    assert kernel[0].ravel().tolist() == [0, 0, 255] and kernel[2].ravel().tolist() == [255, 0, 0]
    assert bias == pytest.approx([-103.939, -116.779, -123.68])
    half = first_layer.half().float()
    assert read_weights("lite", save_first(half, file)).input[0][0, 2, 0, 0] == 255


def test_caffes_weights_turned_to_rgb_or_scaled_get_the_input_that_they_want(
    first_layer: torch.Tensor, tmp_path: Path
) -> None:
    """The first layer's answer to a picture is the same, however its weights were kept."""
    file = tmp_path / "w.safetensors"
    picture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    answers = []
    for kernels in (first_layer, first_layer.flip(1), first_layer * 255, first_layer.flip(1) * 255):
        kernel, bias = map(torch.from_numpy, read_weights("lite", save_first(kernels, file)).input)
        seen = torch.nn.functional.conv2d(picture, kernel, bias)
        answers.append(torch.nn.functional.conv2d(seen, kernels))
    for answer in answers[1:]:
        torch.testing.assert_close(answer, answers[0], rtol=2e-3, atol=0.5)


def test_other_first_layers_are_torchvisions_or_caffes_by_their_names(tmp_path: Path) -> None:
    kernels = torch.randn(64, 3, 3, 3, generator=torch.Generator().manual_seed(3))
    read = read_weights("lite", save_first(kernels, tmp_path / "w.safetensors"))
    wanted = np.array([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    assert read.input[1] == pytest.approx(wanted)


def test_what_the_manifest_says_of_preprocessing_wins_but_for_caffes_own(
    first_layer: torch.Tensor, tmp_path: Path
) -> None:
    file = save_first(first_layer, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="want preprocessing caffe, not imagenet"):
        read_weights("lite", file, "imagenet")
    other = torch.randn(64, 3, 3, 3, generator=torch.Generator().manual_seed(3))
    save_first(other, file)
    assert read_weights("lite", file, "caffe").input[0][0, 2, 0, 0] == 255
    assert read_weights("lite", file, "imagenet").input[0][0, 0, 0, 0] == pytest.approx(1 / 0.229)


def test_a_small_networks_channels_are_those_that_its_file_says(tmp_path: Path) -> None:
    state = {"conv1_1.weight": torch.ones(2, 3, 3, 3), "conv1_1.bias": torch.zeros(2)}
    save_file(state, tmp_path / "own.safetensors")
    save_file(state, tmp_path / "said.safetensors", {"channels.conv1_1": "64"})
    own, said = (load_weights("lite", tmp_path / f"{n}.safetensors") for n in ("own", "said"))
    assert (own.channels["conv1_1"], said.channels["conv1_1"]) == (2, 64)
    assert own.digest != said.digest  # other losses, other pictures
