"""Weight files in every layout: what comes of each, and what is refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import BackboneError, WeightsError
from pipeline.layers import LAYERS
from pipeline.method import Backbone, load_weights, vgg19_path, weights_digest
from pipeline.method.weight_files import read_weights

State = dict[str, torch.Tensor]
ROOT = Path(__file__).parents[2]


def state(names: str = "conv{}.", widths: tuple[int, ...] = (4, 5)) -> State:
    """Two small layers under one naming style."""
    generator = torch.Generator().manual_seed(0)
    found, channels = {}, 3
    spellings = {"conv{}.": ("1_1", "1_2"), "conv_{}.": ("1_1", "1_2"), "features.{}.": ("0", "2")}
    for label, width in zip(spellings.get(names, ("11", "12")), widths, strict=True):
        shape = (width, channels, 3, 3)
        found[f"{names.format(label)}weight"] = torch.randn(shape, generator=generator)
        found[f"{names.format(label)}bias"] = torch.randn(width, generator=generator)
        channels = width
    return found


def test_the_shipped_networks_digest_is_what_it_always_was() -> None:
    assert weights_digest("lite") == (
        "90f737c2b22b41f340bf0449d30ae750f544982dd7a2551e2d1ba7c652b8d2af"
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_digest_is_of_the_numbers_not_of_the_file(tmp_path: Path, dtype: torch.dtype) -> None:
    kept = {key: value.to(dtype) for key, value in state().items()}
    save_file(kept, tmp_path / "w.safetensors")
    torch.save(kept, tmp_path / "w.pth")
    digests = {weights_digest("lite", tmp_path / f"w.{s}") for s in ("safetensors", "pth")}
    loaded = load_weights("lite", tmp_path / "w.pth")
    assert digests == {loaded.digest} == {loaded.with_digest().digest}
    assert torch.equal(loaded.convs["conv1_1"][0], kept["conv1_1.weight"].float())


def test_saved_parameters_are_read_as_their_numbers(tmp_path: Path) -> None:
    torch.save({k: torch.nn.Parameter(v) for k, v in state().items()}, tmp_path / "p.pth")
    torch.save(state(), tmp_path / "w.pth")
    loaded = load_weights("lite", tmp_path / "p.pth")
    assert loaded.digest == weights_digest("lite", tmp_path / "w.pth")
    assert not loaded.convs["conv1_1"][0].requires_grad


def test_types_that_numpy_lacks_are_read_and_unused_layers_left_alone(tmp_path: Path) -> None:
    small = {k: v.to(torch.float8_e4m3fn) for k, v in state().items()}
    save_file(small, tmp_path / "small.safetensors")
    loaded = load_weights("lite", tmp_path / "small.safetensors")
    assert torch.equal(loaded.convs["conv1_2"][0], small["conv1_2.weight"].float())
    save_file(state(), tmp_path / "plain.safetensors")
    unused = {"classifier.0.weight": torch.ones(3).to(torch.float8_e4m3fn)}
    save_file(state() | unused, tmp_path / "more.safetensors")
    digests = {weights_digest("lite", tmp_path / f"{n}.safetensors") for n in ("plain", "more")}
    assert len(digests) == 1


def test_a_network_of_all_layers_is_read_to_its_end(tmp_path: Path) -> None:
    full, channels = {}, 3
    for layer in LAYERS:
        full[f"{layer}.weight"], full[f"{layer}.bias"] = (
            torch.ones(1, channels, 3, 3),
            torch.ones(1),
        )
        channels = 1
    save_file(full, tmp_path / "w.safetensors")
    assert tuple(read_weights("lite", tmp_path / "w.safetensors").convs) == LAYERS


def test_a_digest_of_safetensors_needs_no_torch(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w.safetensors")
    code = (
        "import sys; from pathlib import Path; from pipeline.method import weights_digest; "
        "weights_digest('lite'); weights_digest('lite', Path(sys.argv[1])); "
        "print('torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "w.safetensors")],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == "False"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"TORCH_HOME": "/somewhere/torch"},
        {"TORCH_HOME": "~/torch"},
        {"TORCH_HOME": ""},
        {"XDG_CACHE_HOME": "/elsewhere"},
        {"XDG_CACHE_HOME": ""},
    ],
)
def test_vgg19_lies_where_torch_keeps_it(variables: dict[str, str]) -> None:
    code = (
        "from pipeline.method import vgg19_path; path = vgg19_path(); import sys; "
        "assert 'torch' not in sys.modules; from pathlib import Path; import torch; "
        "assert path == Path(torch.hub.get_dir()) / 'checkpoints' / path.name, path"
    )
    kept = {k: v for k, v in os.environ.items() if k not in ("TORCH_HOME", "XDG_CACHE_HOME")}
    subprocess.run([sys.executable, "-c", code], env=kept | variables, cwd=ROOT, check=True)


@pytest.mark.parametrize("names", ["conv{}.", "conv_{}.", "conv{}_short.", "features.{}."])
def test_names_of_all_styles_are_one_network(tmp_path: Path, names: str) -> None:
    plain = names.replace("_short", "")
    given = state(plain if names != "conv{}_short." else "conv{}.".replace("{}", "{0}"))
    save_file(given, tmp_path / "w.safetensors")
    read = read_weights("lite", tmp_path / "w.safetensors")
    assert list(read.convs) == ["conv1_1", "conv1_2"]


def test_preprocessing_follows_the_names_the_file_says_or_its_own_first_layer(
    tmp_path: Path,
) -> None:
    file = tmp_path / "w.safetensors"
    save_file(state("features.{}."), file)
    assert read_weights("lite", file).input[0][0, 0, 0, 0] == np.float32(1 / np.float32(0.229))
    save_file(state(), file)
    caffe = read_weights("lite", file).input
    assert caffe[0][0, 2, 0, 0] == 255 and caffe[1][0] == np.float32(-103.939)  # blue comes first
    save_file(state(), file, {"preprocessing": "imagenet"})
    assert read_weights("lite", file).input[1][0] == np.float32(-0.485) / np.float32(0.229)
    named = tmp_path / "vgg19-d01eb7cb.pth"
    torch.save(state("features.{}."), named)
    assert read_weights("lite", named).input[0][0, 2, 0, 0] == 255
    first = {"conv0.weight": torch.ones(3, 3, 1, 1), "conv0.bias": torch.zeros(3)}
    save_file(state() | first, file)
    assert (read_weights("lite", file).input[0] == 1).all()


def broken(change: Callable[[State], object], **metadata: str) -> tuple[State, dict[str, str]]:
    given = state()
    change(given)
    return given, metadata


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (broken(lambda s: s.pop("conv1_1.bias")), "conv1_1 has no bias"),
        (broken(lambda s: s.pop("conv1_2.weight")), "conv1_2 has no weight"),
        (
            broken(lambda s: s["conv1_1.weight"].fill_(float("nan"))),
            "holds NaN or infinite weights",
        ),
        (broken(lambda s: s.clear()), "no VGG layer found"),
        (broken(lambda s: None, preprocessing="tf"), "preprocessing 'tf' is neither imagenet nor"),
        (
            broken(
                lambda s: s.update({"input.weight": torch.ones(1), "input.bias": torch.ones(1)})
            ),
            r"input.weight must be \(3, 3, 1, 1\)",
        ),
        (
            broken(lambda s: s.update({"input.weight": torch.ones(3, 3, 1, 1)})),
            r"input.bias must be \(3,\)",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    given: tuple[State, dict[str, str]], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "w.safetensors"
    save_file(given[0] or {"x": torch.ones(1)}, file, given[1])
    with pytest.raises(WeightsError, match=message):
        load_weights("lite", file)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("w.pth", b"<!DOCTYPE html>", "not a plain weight file"),
        ("w.safetensors", b"<!DOCTYPE html>", "damaged safetensors file"),
        ("w.pth", None, "holds a list, not a state dict"),
        ("gone.pth", b"", "no such weight file"),
    ],
)
def test_files_that_are_no_weights_are_refused(
    name: str, data: bytes | None, message: str, tmp_path: Path
) -> None:
    if data is None:
        torch.save([1, 2], tmp_path / name)
    elif name != "gone.pth":
        (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError, match=message):
        weights_digest("lite", tmp_path / name)


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(WeightsError, match="backbone 'vgg91' is unknown; known are vgg19, lite"):
        weights_digest("vgg91")


def test_torchvisions_file_is_read_where_it_lies_or_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.models

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("pipeline.method.weight_files.VGG19_WIDTHS", {"conv1_1": 4, "conv1_2": 5})
    given = state("features.{}.")

    class Downloads:
        IMAGENET1K_V1 = None

        @staticmethod
        def get_state_dict(**options: object) -> State:
            return given

    class Fails:
        @staticmethod
        def get_state_dict(**options: object) -> State:
            raise OSError("no network")

    Downloads.IMAGENET1K_V1 = Downloads  # type: ignore[assignment]
    monkeypatch.setattr(torchvision.models, "VGG19_Weights", Downloads)
    downloaded = weights_digest("vgg19")
    Downloads.IMAGENET1K_V1 = Fails  # type: ignore[assignment]
    with pytest.raises(WeightsError, match="could not be downloaded"):
        weights_digest("vgg19")
    vgg19_path().parent.mkdir(parents=True)
    torch.save(given, vgg19_path())
    assert weights_digest("vgg19") == downloaded


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(
        BackboneError, match=r"backbone lite .* has no conv5_4; its layers are conv1_1"
    ):
        Backbone(load_weights("lite"), ["conv1_1", "conv5_4"])


def test_metadata_of_a_trained_network_is_kept(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w.safetensors", {"format": json.dumps("nst backbone 1")})
    assert read_weights("lite", tmp_path / "w.safetensors").source.endswith("w.safetensors")
