"""What 8-bit weights cost: the benchmark's figures, on made-up weights of few values."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from students import write_teacher
from torch import Tensor

from pipeline.method import VGG19_WIDTHS, Backbone, Weights, extra_path, load_weights

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import eight_bits

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def exact(tmp_path: Path) -> Weights:
    return load_weights("lite", write_teacher(tmp_path / "exact.safetensors"))


def of_values(weights: Weights, count: int) -> Weights:
    """Each kernel's numbers rounded to the nearest of so many quantiles of them."""

    def coded(kernel: Tensor) -> Tensor:
        table = kernel.flatten().quantile(torch.linspace(0, 1, count))
        return table[(kernel.flatten()[:, None] - table).abs().argmin(1)].view_as(kernel)

    convs = {layer: (coded(kernel), bias) for layer, (kernel, bias) in weights.convs.items()}
    return replace(weights, convs=convs).with_digest()


def test_the_same_network_costs_nothing(exact: Weights) -> None:
    cost = eight_bits.cost_of(exact, exact, eight_bits.make_pictures(2, 32))
    assert {*cost.weights.values(), *cost.features.values(), cost.style} == {0.0}
    assert tuple(cost.weights) == tuple(cost.features) == tuple(exact.convs)


def test_256_values_a_layer_cost_what_the_formulas_say(exact: Weights) -> None:
    coded, pictures = of_values(exact, 256), eight_bits.make_pictures(3, 48)
    cost = eight_bits.cost_of(coded, exact, pictures)
    layers = tuple(exact.convs)
    with torch.no_grad():
        ours, theirs = (Backbone(w, layers, "avg", "zeros")(pictures) for w in (coded, exact))
    for layer in layers:
        a, b = ours[layer].double(), theirs[layer].double()
        assert cost.features[layer] == pytest.approx(
            float(((a - b) ** 2).sum() / (b**2).sum()) ** 0.5
        )
        a, b = (
            w.convs[layer][0].double() for w in (coded, exact)
        )  # Caffe's input scales all alike
        wanted = float(((a - b) ** 2).sum() / (b**2).sum()) ** 0.5
        assert cost.weights[layer] == pytest.approx(wanted, rel=1e-5)

    def loss(features: dict[str, Tensor], index: int) -> float:
        total = 0.0
        for layer in eight_bits.STYLE_LAYERS:
            a, b = (features[layer][i].double().flatten(1) for i in (index, (index + 1) % 3))
            apart = (a @ a.T - b @ b.T) / a.shape[1]
            total += float((apart**2).sum()) / (4 * len(a) ** 2)
        return total

    errors = [abs(loss(ours, i) - loss(theirs, i)) / loss(theirs, i) for i in range(3)]
    assert cost.style == pytest.approx(sum(errors) / 3, rel=1e-3)
    coarse = eight_bits.cost_of(of_values(exact, 16), exact, pictures)
    assert all(coarse.weights[layer] > 2 * cost.weights[layer] for layer in layers[1:])
    assert coarse.features["conv5_1"] > 2 * cost.features["conv5_1"] > 0


def test_colors_in_the_other_order_are_no_error(exact: Weights) -> None:
    kernel, bias = exact.convs["conv1_1"]
    turned = replace(
        exact,
        convs={**exact.convs, "conv1_1": (kernel.flip(1), bias)},
        input=(exact.input[0].flip(0), exact.input[1].flip(0)),
    )
    cost = eight_bits.cost_of(turned, exact, eight_bits.make_pictures(2, 32))
    assert cost.weights["conv1_1"] == 0 and cost.features["conv5_1"] < 1e-5


@pytest.mark.parametrize("words", [[], ["--exact", "gone.pth"]])
def test_without_exact_weights_one_line_says_why(words: list[str], capsys: Capture) -> None:
    assert eight_bits.main(words) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "--exact FILE (torchvision's VGG-19 is another training: not comparable)" in line


def test_another_training_is_not_compared(tmp_path: Path, capsys: Capture) -> None:
    kernels, bias = torch.randn(64, 3, 3, 3), torch.zeros(64)
    assert VGG19_WIDTHS["conv1_1"] == 64
    state = {"features.0.weight": kernels, "features.0.bias": bias}
    save_file(state, tmp_path / "vgg19.safetensors")
    assert eight_bits.main(["--exact", str(tmp_path / "vgg19.safetensors")]) == 0
    assert "another training than Caffe's: not comparable" in capsys.readouterr().out


def test_figures_are_printed_for_each_layer(capsys: Capture) -> None:
    codes = extra_path()  # against themselves: no error, but the whole way
    assert eight_bits.main(["--exact", str(codes), "--pictures", "2", "--side", "32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(VGG19_WIDTHS) and lines[-1] == "style loss 0.000%"
