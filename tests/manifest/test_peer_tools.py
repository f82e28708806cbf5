"""Other tools' commands: how words are read, what numbers become, scripts."""

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands import show_imported
from pipeline.errors import ManifestError
from pipeline.manifest import Settings, import_command, import_script
from pipeline.manifest.peers.tools import TOOLS

WIDTHS = {"conv1_1": 64, "conv2_1": 128, "conv3_1": 256, "conv4_1": 512, "conv5_1": 512}
Picture = Callable[..., Path]


def imported(tool: str, command: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(import_command(tool, shlex.split(command)))
    return found


def settings_of(tool: str, command: str) -> Settings:
    return Settings.model_validate(imported(tool, command)["settings"])


# -- how words are read --


def test_of_an_option_given_twice_the_last_counts() -> None:
    text = import_command(
        "neural-style",
        ["-init", "image", "-init_image", "out1.png", "-seed", "1", "-init", "image", "-seed", "2"],
    )
    settings = yaml.safe_load(text)["settings"]
    assert (settings["init"], settings["seed"]) == ("out1.png", 2)
    assert "# -seed: stands there twice; the last counts" in text
    text = import_command("neural-style", ["-init", "random", "-init_image", "out1.png"])
    assert yaml.safe_load(text)["settings"]["init"] == "mean"
    assert "# -init_image out1.png: counts with -init image only" in text
    assert imported("style-transfer-pytorch", "a.jpg b.jpg c.jpg -sw 1 2 -sw 3 4")["style"] == [
        {"name": "blend", "blend": {"b.jpg": 3.0, "c.jpg": 4.0}}
    ]


@pytest.mark.parametrize(
    ("tool", "start"),
    [
        ("neural-style", "th neural_style.lua"),
        ("neural-style-pt", "CUDA_VISIBLE_DEVICES=0 python3.11 -u /opt/pt/neural_style.py"),
        ("neural-style-pt", "uv run neural-style"),
        ("neural-style-pt", "time nohup python neural_style.py"),
    ],
)  # fmt: skip
def test_what_starts_the_program_is_passed_over(tool: str, start: str) -> None:
    found = imported(tool, f"{start} -content_image x.jpg -seed 3")
    assert found["content"] == ["x.jpg"] and found["settings"]["seed"] == 3


def test_modules_are_started_by_python_m() -> None:
    found = imported("style-transfer-pytorch", "python -m style_transfer.cli a.jpg b.jpg")
    assert (found["content"], found["style"]) == (["a.jpg"], ["b.jpg"])
    found = imported("pastiche", "python -m pastiche -c a.jpg -s b.jpg -o o.png")
    assert (found["content"], found["output"]) == (["a.jpg"], "o")


@pytest.mark.parametrize(
    ("tool", "words", "said"),
    [
        ("neural-style", "stray.jpg -seed 1", "stray.jpg: belongs to no option"),
        ("neural-style", "-seed 1 2", "2: belongs to no option"),
        ("neural-style", "for f in '*.jpg;' do", "for: a shell's loops and"),
        ("neural-style", "-seed 1 ';' done", ";: is a shell's"),
        ("neural-style", "-content_image '$f'", "$f: is a shell's, and not read"),
        ("neural-style", "-seed 1 '|' tee log", "|: is a shell's"),
        ("neural-style", "-seed 1 '2>&1'", "2>&1: is a shell's"),
        ("neural-style", "-style_image no_such_folder", "nor a folder that is there"),
        ("neural-style", "-style_image a.jpg,b.jpg -style_blend_weights 0,0", "more than 0"),
        ("neural-style", "-style_image a.jpg,b.jpg -style_blend_weights 1,-1", "0 or more"),
        ("neural-style-tf", "--style_mask", "--style_mask: one mask a style is not offered"),
        ("neural-style-tf", "--video", "frames/%04d.png"),
        ("neural-style-tf", "--init_img_type blue", "'blue' is none of random, content"),
        ("pastiche", "--content a.jpg", "--styles: a style picture is needed"),
        ("pastiche", "-c a.jpg -s b.jpg --style-layers block9_relu1", "is no layer such"),
        ("pastiche", "--supplemental-device cpu", "--supplemental-device: needs values"),
        ("neural-style-transfer", "a.jpg b.jpg", "a result's prefix are needed"),
        ("neural-style-transfer", "a b c --content_loss_type 3", "'3' is none of 0, 1, 2"),
        ("pytorch-neural-style-transfer", "--model alexnet", "'alexnet' is none of vgg16"),
        ("style-transfer-pytorch", "a.jpg b.jpg -s x+", "'x' is no number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tool: str, words: str, said: str) -> None:
    with pytest.raises(ManifestError) as caught:
        import_command(tool, shlex.split(words))
    assert said in str(caught.value)


@given(
    tool=st.sampled_from(sorted(TOOLS)),
    words=st.lists(
        st.one_of(
            st.sampled_from(sorted({o for tool in TOOLS.values() for o in tool.options})),
            st.sampled_from(["a.jpg", "b.png,c.png", "1", "-1", "1e9", "=", "-x", "--", "nil", ""]),
            st.text(max_size=4),
        ),
        max_size=8,
    ),
)
def test_whatever_is_pasted_gives_a_manifest_or_one_error(tool: str, words: list[str]) -> None:
    try:
        data = yaml.safe_load(import_command(tool, words))
    except ManifestError as error:
        assert error.problems
    else:
        assert {"output", "content", "style", "backbone", "settings"} == data.keys()


# -- what options become --


def test_a_folder_of_styles_is_a_blend(tmp_path: Path, picture: Picture) -> None:
    picture("styles/b.png"), picture("styles/a.JPG"), (tmp_path / "styles/c.txt").touch()
    styles = tmp_path / "styles"
    text = import_command("neural-style-pt", ["-style_image", str(styles)])
    ((style,),) = [yaml.safe_load(text)["style"]]
    assert style["blend"] == {f"{styles}/a.JPG": 1.0, f"{styles}/b.png": 1.0}
    assert "a folder is a blend of its pictures" in text
    (tmp_path / "none").mkdir()
    with pytest.raises(ManifestError, match="no picture in this folder"):
        import_command("neural-style-pt", ["-style_image", str(tmp_path / "none")])


def test_flags_need_no_value() -> None:
    command = "-normalize_gradients -seed 4"
    settings = imported("neural-style-pt", command)["settings"]
    assert (settings["gradient_norm"], settings["seed"]) == (1, 4)
    assert imported("neural-style", "-normalize_gradients")["settings"]["gradient_norm"] == 1


def test_normalized_weights_are_over_the_targets_longest_side() -> None:
    settings = settings_of("neural-style-pt", "-normalize_weights -image_size 8192")
    assert settings.style_layers == {n: 1 / width for n, width in WIDTHS.items()}
    assert settings.content_layers == {"conv4_2": 1 / 1024}
    settings = settings_of("neural-style-pt", "-normalize_weights -style_layers relu2_1")
    assert settings.style_layers == {"conv2_1": 1 / 128}
    assert settings.content_layers == {"conv4_2": 1 / 512}


def test_styles_that_weigh_nothing_are_left_out() -> None:
    text = import_command(
        "neural-style", ["-style_image", "a.jpg,b.jpg,c.jpg", "-style_blend_weights", "1,0,3"]
    )
    assert yaml.safe_load(text)["style"][0]["blend"] == {"a.jpg": 1.0, "c.jpg": 3.0}
    assert "# b.jpg: weighs 0 and is left out" in text
    text = import_command(
        "neural-style", ["-style_image", "a.jpg,b.jpg", "-style_blend_weights", "0,1"]
    )
    assert yaml.safe_load(text)["style"] == ["b.jpg"]


@pytest.mark.parametrize(
    ("file", "backbone"),
    [
        ("models/nin_imagenet.pth", {"name": "vgg19", "weights": "caffe"}),
        ("VGG_ILSVRC_16_layers.caffemodel", {"name": "vgg16"}),
        ("VGG16_SOD_finetune.pth", {"name": "vgg16", "weights": "VGG16_SOD_finetune.pth",
                                    "preprocessing": "caffe"}),
    ],
)  # fmt: skip
def test_networks_by_their_files(file: str, backbone: dict[str, str]) -> None:
    text = import_command("neural-style-pt", ["-model_file", file])
    assert yaml.safe_load(text)["backbone"] == backbone
    assert (f"# {file}: " in text) == (len(backbone) < 3)


def test_the_newer_tools_lbfgs_is_as_it_is_there() -> None:
    settings = settings_of("style-transfer-pytorch", "a.jpg b.jpg --optimizer lbfgs -ss 0.5")
    assert (settings.optimizer, settings.learning_rate, settings.corrections) == ("lbfgs", 1, 10)
    assert not settings.clamp and not settings.carry


def test_the_newer_tool_writes_tiffs_of_16_bits() -> None:
    settings = settings_of("style-transfer-pytorch", "a.jpg b.jpg -o x.TIFF")
    assert (settings.format, settings.depth) == ("tiff", 16)
    assert settings_of("neural-style", "-output_image x.tiff").depth == 8


def test_a_size_with_a_plus_is_an_area(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture("wide.png", size=(160, 40)), picture("s.png")
    assert settings_of("style-transfer-pytorch", "wide.png s.png -s 512+").size == 1024
    text = import_command("style-transfer-pytorch", ["no.png", "s.png", "--end-scale", "512+"])
    assert yaml.safe_load(text)["settings"]["size"] == int(math.sqrt(4 / 3) * 512)
    assert "depends on the picture's shape; 4:3 is taken" in text


# -- the other tools' losses, by hand: of a sum of squares 1 at one layer --


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_neural_style_tfs_losses(
    kind: int, tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture("image_input/a.png", size=(640, 320))
    found = settings_of(
        "neural-style-tf",
        f"--content_img a.png --style_imgs b.jpg c.jpg --content_loss_function {kind} "
        "--content_weight 7 --style_weight 200 --style_layers relu2_1 relu3_1 "
        "--style_layer_weights 1 3 --tv_weight 0.01 --max_size 512",
    )
    positions, channels = 64 * 32, 512
    factor = {1: 1 / (2 * math.sqrt(positions * channels)), 2: 1 / (positions * channels), 3: 0.5}
    ours = found.content_weight * found.content_layers["conv4_2"] * 0.5  # `paper`
    assert ours == pytest.approx(7 * factor[kind])
    for layer, share in (("conv2_1", 0.25), ("conv3_1", 0.75)):
        theirs = 200 * share / 2 / 2  # over layers and styles; both have 1 / 4 N^2 M^2
        assert found.style_weight * found.style_layers[layer] == pytest.approx(theirs)
    assert (found.size, found.max_size, found.init, found.pooling) == (
        "original", 512, "content", "avg"
    )  # fmt: skip
    assert found.tv_weight == pytest.approx(0.01 * 255**2) and found.tv_loss == "mean_squares"


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_keras_tools_losses(kind: int) -> None:
    found = settings_of(
        "neural-style-transfer",
        f"python Network.py a.jpg b.jpg c.jpg out/x --image_size 320 --content_loss_type {kind} "
        "--style_weight 2 3 --style_scale 0.5 --content_weight 0.1 --num_iter 7 --model vgg19",
    )
    area = 320 * 320
    theirs = {0: 1.0, 1: 1 / (2 * math.sqrt(512 * area)), 2: 1 / (512 * area)}[kind] * 0.1
    assert found.content_weight * found.content_layers["conv5_2"] * 0.5 == pytest.approx(theirs)
    for block, (layer, width) in enumerate(WIDTHS.items()):
        positions = area / 4**block
        ours = found.style_weight * found.style_layers[layer] / (4 * width**2 * positions**2)
        assert ours == pytest.approx(0.5 * (2 + 3) / 5 / (4 * 9 * area**2))
    assert (found.steps, found.size, found.fit) == (140, "320x320", "stretch")
    more = imported("neural-style-transfer", "a.jpg b.jpg c.jpg x --preserve_color True")
    assert more["settings"]["color"] == "original_colors"
    assert more["style"][0]["blend"] == {"b.jpg": 0.5, "c.jpg": 0.5}


def test_pytorch_nsts_losses(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture("data/content-images/up.jpg", size=(30, 60))
    command = "python neural_style_transfer.py --content_img_name up.jpg --height 350 "
    found = settings_of(
        "pytorch-neural-style-transfer", command + "--optimizer adam --init_method random"
    )
    larger = 255 * 0.226  # features there over features here
    assert found.content_weight * found.content_layers["conv4_2"] == pytest.approx(1e5 * larger**2)
    for layer, width in WIDTHS.items():
        ours = found.style_weight * found.style_layers[layer] / width**4
        assert ours == pytest.approx(3e4 * larger**4 / 5 / width**2)
    assert (found.size, found.fit, found.steps, found.init) == (350, "long", 3000, "noise")
    assert found.learning_rate == pytest.approx(10 / 255)
    settings = settings_of(
        "pytorch-neural-style-transfer", command + "--init_method style --saving_freq -1"
    )
    assert settings.init == "data/style-images/vg_starry_night.jpg" and settings.save_every == 0
    vgg16 = imported("pytorch-neural-style-transfer", "--model vgg16 --saving_freq 20")
    assert vgg16["backbone"] == {"name": "vgg16", "weights": "torchvision"}
    assert vgg16["settings"]["save_every"] == 20
    assert [*vgg16["settings"]["style_layers"]] == ["conv1_2", "conv2_2", "conv3_3", "conv4_3"]


def test_pastiches_options(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture("a.png", size=(200, 100)), picture("b.png")
    found = settings_of("pastiche", "-c a.png -s b.png -o o.png")
    assert found.size == 2 * round(math.sqrt(250_000 / 2))
    assert found.content_weight * found.content_layers["conv4_2"] == pytest.approx(0.01)
    for layer, width in WIDTHS.items():
        ours = found.style_weight * found.style_layers[layer] / width**4
        assert ours == pytest.approx(10 / width**2 / width**2)
    found = settings_of(
        "pastiche",
        "-c a.png -s b.png c.png -o o.png --size 300 --style-weights 2 6 --tv-weight 3 "
        "--style-layers block1_relu1 block4_conv2 --style-layer-weights 5 --random-init "
        "--optimizer adam --preserve-color --workspace w --workspace-step 25",
    )
    assert (found.size, found.style_weight, found.init) == (300, 8, "mean")
    assert found.style_layers == {"conv1_1": 5 * 64**2, "conv4_2": 5 * 512**2}
    assert found.tv_weight == pytest.approx(3 * 0.5 * 255 / (3 * 300 * 150))
    assert (found.color, found.save_every) == ("preserve_histogram", 25)
    assert found.learning_rate == pytest.approx(1 / 255)


def test_neural_style_tfs_beginnings() -> None:
    files = "--content_img a.jpg --style_imgs b.jpg"
    found = settings_of("neural-style-tf", f"{files} --init_img_type random --noise_ratio 0.3")
    assert (found.init, found.init_noise) == ("content", 0.3)
    assert settings_of("neural-style-tf", f"{files} --init_img_type random").init == "mean"
    found = settings_of("neural-style-tf", f"{files} --init_img_type style --optimizer adam")
    assert found.init == "styles/b.jpg" and found.learning_rate == pytest.approx(1 / 255)


# -- scripts --

SCRIPT = """#!/bin/bash
set -e
STYLE=art/starry.jpg   # the painting
export SIZE=256
mkdir -p out
th neural_style.lua -content_image town.jpg -style_image $STYLE \\
  -image_size ${SIZE} -output_image out1.png
th neural_style.lua -content_image town.jpg -style_image "$STYLE" -image_size 512 \\
  -init image -init_image out1.png -output_image out2.jpg && echo done
"""


def test_a_scripts_commands_are_manifests_in_a_row() -> None:
    found = import_script("neural-style", SCRIPT, "big")
    assert list(found) == ["big-1.yaml", "big-2.yaml"]
    first, second = (yaml.safe_load(text) for text in found.values())
    assert first["style"] == ["art/starry.jpg"] and first["settings"]["size"] == 256
    assert first["output"] == {"path": "out1", "name": "{stem}"}
    assert second["settings"]["init"] == "out1/images/town.png"


def test_contents_and_styles_of_earlier_steps_are_found_too() -> None:
    text = "style_transfer a.jpg b.jpg -o x.png; style_transfer x.png x.png c.jpg -o x.png\n"
    _, second = (
        yaml.safe_load(t) for t in import_script("style-transfer-pytorch", text, "s").values()
    )
    assert second["content"] == ["x/images/a.png"] and second["output"]["path"] == "x-2"
    assert second["style"][0]["blend"] == {"x/images/a.png": 1.0, "c.jpg": 1.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("for f in *.jpg; do\nth neural_style.lua\ndone\n", "line 1: for: a shell's loops"),
        ("\nth neural_style.lua -content_image $1\n", "line 2: $1: the script does not say"),
        ("th neural_style.lua -seed x\n", "line 1: -seed: 'x' is no number"),
        ("convert a.jpg b.jpg\n", "line 1: convert: is no command of this tool"),
        ("cd pictures\n", "line 1: cd: is no command of this tool"),
        ("th neural_style.lua > log\n", "line 1: >: is a shell's"),
        ("th neural_style.lua 'a\n", "line 1: no closing quotation"),
        ("# nothing\n", "no command of neural-style in it"),
    ],
)
def test_what_is_wrong_in_a_script_is_said_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ManifestError) as caught:
        import_script("neural-style", text, "s")
    assert said in str(caught.value)


def test_the_command_writes_what_a_script_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "big.sh").write_text(SCRIPT)
    show_imported("neural-style", ["--", "big.sh"])
    assert "nst batch big-1.yaml && nst batch big-2.yaml" in capsys.readouterr().out
    assert yaml.safe_load((tmp_path / "big-2.yaml").read_text())["settings"]["init"]
    with pytest.raises(ManifestError, match=r"big-1\.yaml: is there already"):
        show_imported("neural-style", ["big.sh"])
    (tmp_path / "one.sh").write_text("th neural_style.lua -seed 5\n")
    show_imported("neural-style", ["one.sh"])
    assert yaml.safe_load(capsys.readouterr().out)["settings"]["seed"] == 5
    with pytest.raises(ManifestError, match=r"no\.sh: no such file"):
        show_imported("neural-style", ["no.sh"])
    (tmp_path / "odd.sh").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match=r"odd\.sh: cannot be read as text"):
        show_imported("neural-style", ["odd.sh"])
    (tmp_path / "bad.sh").write_text("ls\n")
    with pytest.raises(ManifestError, match=r"bad\.sh: line 1: ls: is no command"):
        show_imported("neural-style", ["bad.sh"])
