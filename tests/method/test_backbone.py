import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.errors import BackboneError, DeviceError, WeightsError
from pipeline.method import VGG19_WIDTHS, Backbone, load_weights, mean_activations, normalize
from pipeline.method.losses.gram import gram_sum
from pipeline.slot import use_precision


def torchvision_state(widths: tuple[int, ...] = (4, 4)) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state, channels = {}, 3
    for index, width in zip((0, 2), widths, strict=True):
        state[f"features.{index}.weight"] = torch.randn(width, channels, 3, 3) * 0.3
        state[f"features.{index}.bias"] = torch.randn(width) * 0.1
        channels = width
    return state


def test_features_are_those_after_the_relu(tmp_path: Path) -> None:
    state = torchvision_state()
    save_file(state, tmp_path / "w.safetensors")
    weights = load_weights("lite", tmp_path / "w.safetensors")
    images = torch.rand(2, 3, 16, 20)
    reference = nn.functional.conv2d(
        (images - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1),
        state["features.0.weight"],
        state["features.0.bias"],
        padding=1,
    ).relu()
    features = Backbone(weights, ["conv1_1"], padding="zeros")(images)["conv1_1"]
    torch.testing.assert_close(features, reference, rtol=1e-4, atol=1e-5)


def test_pickled_and_safetensors_files_have_one_digest(tmp_path: Path) -> None:
    torch.save(torchvision_state(), tmp_path / "w.pth")
    save_file(torchvision_state(), tmp_path / "w.safetensors")
    digests = {load_weights("lite", tmp_path / f"w.{s}").digest for s in ("pth", "safetensors")}
    assert len(digests) == 1


def test_wrong_shape_is_refused_with_layer_and_shape(tmp_path: Path) -> None:
    save_file(torchvision_state(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"conv1_1 has weight \(4, 3, 3, 3\)"):
        load_weights("vgg19", tmp_path / "w.safetensors")


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(b"not weights")
        with pytest.raises(WeightsError, match=name):
            load_weights("lite", tmp_path / name)


def test_names_and_widths_are_vgg19s() -> None:
    torchvision = pytest.importorskip("torchvision")
    convs = [m for m in torchvision.models.vgg19().features if isinstance(m, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == list(VGG19_WIDTHS.values())


def test_lite_ships_with_the_package_and_stops_at_conv5_1() -> None:
    weights = load_weights("lite")
    assert list(weights.convs)[-1] == "conv5_1"
    with pytest.raises(BackboneError, match="conv5_3"):
        Backbone(weights, ["conv5_3"])


def test_normalized_filters_have_mean_one_and_the_function_is_kept() -> None:
    weights = dataclasses.replace(load_weights("lite"), means={})
    images = torch.rand(3, 3, 40, 40)
    changed = normalize(weights, mean_activations(weights, [images], padding="zeros"))
    after = mean_activations(changed, [images], padding="zeros")
    firing = after["conv3_1"] > 0.5
    torch.testing.assert_close(
        after["conv3_1"][firing], torch.ones(int(firing.sum())), rtol=1e-3, atol=1e-3
    )
    layers = ["conv1_1", "conv4_2", "conv5_1"]
    before, now = Backbone(weights, layers)(images), Backbone(changed, layers)(images)
    for layer in layers:
        size = float(before[layer].abs().max())
        torch.testing.assert_close(now[layer] / size, before[layer] / size, rtol=0, atol=1e-4)


def test_pooling_is_what_it_says_times_its_scale() -> None:
    weights = load_weights("lite")
    image = torch.rand(1, 3, 32, 48)
    plain = dataclasses.replace(weights, heads={})
    before = Backbone(plain, ["conv1_2"])(image)["conv1_2"]
    blocks = before.double().unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    means = {
        "avg": blocks.mean(4),
        "max": blocks.amax(4),
        "l2": (blocks.square().mean(4) + 1e-8).sqrt(),
    }
    kernel, bias = (tensor.double() for tensor in weights.convs["conv2_1"])
    for pooling, pooled in means.items():
        padded = torch.nn.functional.pad(1.5 * pooled, (1, 1, 1, 1), mode="replicate")
        expected = torch.nn.functional.conv2d(padded, kernel, bias).relu()
        network = Backbone(plain, ["conv2_1"], pooling, pooling_scale=1.5)  # type: ignore[arg-type]
        found = network(image)["conv2_1"].double()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_l2_pooling_has_a_gradient_where_nothing_fires() -> None:
    network = Backbone(load_weights("lite"), ["conv2_1"], "l2")
    pixels = torch.zeros(1, 3, 32, 32, requires_grad=True)
    network(pixels)["conv2_1"].sum().backward()
    assert pixels.grad is not None and bool(torch.isfinite(pixels.grad).all())


def test_replicate_first_pads_the_first_layer_only() -> None:
    weights = dataclasses.replace(load_weights("lite"), heads={})
    image = torch.rand(1, 3, 32, 32)
    first = Backbone(weights, ["conv1_1"], padding="replicate_first")(image)["conv1_1"]
    replicated = Backbone(weights, ["conv1_1"], padding="replicate")(image)["conv1_1"]
    assert torch.equal(first, replicated)
    second = Backbone(weights, ["conv1_2"], padding="replicate_first")(image)["conv1_2"]
    kernel, bias = weights.convs["conv1_2"]
    expected = torch.nn.functional.conv2d(replicated, kernel, bias, padding=1).relu()
    torch.testing.assert_close(second, expected)


def test_compiled_it_gives_the_same_features_and_gradient() -> None:
    network = Backbone(load_weights("lite"), ["conv1_1", "conv3_1"])
    compiled = torch.compile(network, backend="eager", dynamic=False)
    image = torch.rand(1, 3, 40, 56)
    gradients = []
    for one in (network, compiled):
        pixels = image.clone().requires_grad_()
        features = one(pixels)
        loss = sum(values.square().sum() for values in features.values())
        gradients.append(torch.autograd.grad(loss, pixels)[0])
    off = (gradients[1] - gradients[0]).norm() / gradients[0].norm()
    assert float(off) < 1e-5


def test_bf16_features_are_close_and_handed_out_as_float32() -> None:
    weights = load_weights("lite")
    images = torch.rand(1, 3, 64, 48)
    layers = ["conv1_1", "conv3_1", "conv5_1"]
    exact = Backbone(weights, layers)(images)
    rough = Backbone(weights, layers, dtype=torch.bfloat16)(images)
    for layer, features in exact.items():
        assert rough[layer].dtype == torch.float32
        error = (rough[layer] - features).norm() / features.norm()
        assert 0 < float(error) < 0.02


def test_precision_auto_is_what_the_device_has_and_tf32_is_a_gpus() -> None:
    assert use_precision("auto", "cpu") in ("bf16", "fp32")
    assert use_precision("bf16", "cpu") == "bf16"
    with pytest.raises(DeviceError, match="tf32"):
        use_precision("tf32", "cpu")


def test_gram_of_bfloat16_features_is_that_of_double_precision() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 16, 33, 31).bfloat16().float()
    flat = features.double().flatten(2)
    exact = flat @ flat.transpose(1, 2)
    try:
        use_precision("bf16", "cpu")
        found = gram_sum(features.flatten(2))
    finally:
        use_precision("fp32", "cpu")
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-2)


def test_a_picture_too_small_for_the_deepest_layer_is_refused() -> None:
    network = Backbone(load_weights("lite"), ["conv1_1", "conv4_1"])
    assert network.smallest_side == 16
    with pytest.raises(BackboneError, match="a picture of 15 x 40 px is too small for conv4_1"):
        network(torch.rand(1, 3, 40, 15))


def test_what_a_compiler_sees_of_replicate_padding_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, image = Backbone(load_weights("lite"), ["conv2_1"]), torch.rand(1, 3, 20, 24)
    plain = network(image)["conv2_1"]
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert float((network(image)["conv2_1"] - plain).norm() / plain.norm()) < 1e-6
