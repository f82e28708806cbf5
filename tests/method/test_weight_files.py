"""Weight files in every layout: what comes of each, and what is refused."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import BackboneError, WeightsError
from pipeline.layers import LAYERS
from pipeline.method import Backbone, load_weights, weights_digest
from pipeline.method.weights.network import read_weights

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


def test_the_networks_that_were_shipped_have_the_digests_that_they_always_had() -> None:
    """Job keys are made of them; the one before stays loadable."""
    old = ROOT / "benchmarks" / "lite-1.safetensors"
    assert weights_digest("lite", old) == (
        "90f737c2b22b41f340bf0449d30ae750f544982dd7a2551e2d1ba7c652b8d2af"
    )
    assert weights_digest("lite") == (
        "def537646f41aee4fbbc331613ccd0163b6a68809c5f30abcba0388329beda56"
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
    save_file(state("features.{}."), file)
    assert read_weights("lite", file, "caffe").input[0][0, 2, 0, 0] == 255  # the manifest wins
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
        (
            broken(lambda s: (s.pop("conv1_1.bias"), s.pop("conv1_1.weight"))),
            "conv1_1 is missing, but conv1_2 is there",
        ),
        (broken(lambda s: s.update({"conv1_1.weight": torch.tensor(1.0)})), "conv1_1 has weight"),
        (
            broken(lambda s: s.update({"head1_1.weight": torch.ones(5, 7)})),
            "the head of conv1_1 has weight",
        ),
        (
            broken(lambda s: s.update({"head1_1.weight": torch.full((2, 4, 1, 1), torch.nan)})),
            "the head of conv1_1 holds NaN",
        ),
        (broken(lambda s: None, **{"channels.conv1_1": "0"}), "its metadata says '0' channels"),
        (broken(lambda s: None, **{"channels.conv1_1": "64.0"}), "says '64.0' channels of conv1_1"),
        (
            broken(
                lambda s: s.update({"head1_1.weight": torch.ones(2, 4, 1, 1)}),
                **{"mean.conv1_1": "-1"},
            ),
            "mean activations that are no numbers > 0",
        ),
        (
            broken(
                lambda s: s.update({"head1_1.weight": torch.ones(2, 4, 1, 1)}),
                **{"mean.conv1_1": "much"},
            ),
            "mean activations that are no numbers > 0",
        ),
        (
            broken(
                lambda s: s.update(
                    {
                        "input.weight": torch.full((3, 3, 1, 1), torch.nan),
                        "input.bias": torch.ones(3),
                    }
                )
            ),
            "input holds NaN",
        ),
        (broken(lambda s: s.pop("conv1_2.weight")), "conv1_2 has no weight"),
        (
            broken(lambda s: s["conv1_1.weight"].fill_(float("nan"))),
            "holds NaN or infinite weights",
        ),
        (broken(lambda s: s["conv1_2.weight"].zero_()), "conv1_2 holds nothing but zeros"),
        (broken(lambda s: s.clear()), "no VGG layer found"),
        (
            broken(lambda s: None, preprocessing="tf"),
            "preprocessing 'tf' is neither caffe nor imagenet",
        ),
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


class Program:
    """A Python object in a pickle, which nobody must load."""


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("w.pth", b"<!DOCTYPE html><html>", "a web page, not weights"),
        ("w.safetensors", b"\n <html>", "a web page, not weights"),
        ("w.pth", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer.*git lfs pull"),
        ("w.mat", b"MATLAB 5.0 MAT-file", "a MATLAB file"),
        ("w.h5", b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        ("w.caffemodel", b"\n\x0fVGG_ILSVRC_19", "a Caffe model"),
        ("w.pth", b"", "an empty file"),
        ("w.pth", b"no pickle at all", "damaged or no weight file"),
        ("w.safetensors", b"no safetensors at all", "damaged safetensors file"),
        ("w.safetensors", b"\x20\0\0\0\0\0\0\0{broken", "damaged safetensors file"),
        ("w.pth", [1, 2], "holds a list, but a state dict"),
        ("w.pth", {"epoch": 3}, "holds a dict, but a state dict"),
        ("w.pth", {"model": Program()}, "holds Python objects.*never loaded"),
        ("gone.pth", None, "no such weight file"),
    ],
)
def test_files_that_are_no_weights_are_refused_in_our_own_words(
    name: str, data: object, message: str, tmp_path: Path
) -> None:
    if isinstance(data, bytes):
        (tmp_path / name).write_bytes(data)
    elif data is not None:
        torch.save(data, tmp_path / name)
    with pytest.raises(WeightsError, match=message) as raised:
        weights_digest("lite", tmp_path / name)
    assert str(raised.value).startswith(str(tmp_path / name))
    assert "weights_only" not in str(raised.value)  # torch's advice runs what the file holds


def test_a_file_is_what_its_bytes_say_whatever_its_name(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "renamed.pth")
    torch.save(state(), tmp_path / "renamed.safetensors")
    np.savez(tmp_path / "arrays.npz", **{key: value.numpy() for key, value in state().items()})
    names = ("renamed.pth", "renamed.safetensors", "arrays.npz")
    assert len({weights_digest("lite", tmp_path / name) for name in names}) == 1


def test_a_damaged_npz_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{key: value.numpy() for key, value in state().items()})
    data = bytearray((tmp_path / "w.npz").read_bytes())
    data[200:260] = bytes(60)
    (tmp_path / "w.npz").write_bytes(bytes(data))
    with pytest.raises(WeightsError, match=r"w\.npz: damaged"):
        weights_digest("lite", tmp_path / "w.npz")


@pytest.mark.parametrize(
    "saved",
    [
        lambda s: {"state_dict": s, "epoch": 3, "best": torch.tensor(0.7)},
        lambda s: s | {"classifier.0.weight": torch.ones(2).to_sparse()},
        lambda s: s | {"norm.running_mean": torch.ones(2)},
        lambda s: {"model": {"state_dict": s}},
        lambda s: {f"module.{key}": value for key, value in s.items()},
        lambda s: {f"_orig_mod.{key}": value for key, value in s.items()},
        lambda s: {"model_state_dict": {f"module.vgg.{key}": v for key, v in s.items()}},
    ],
)
def test_state_dicts_are_found_where_checkpoints_keep_them(
    saved: Callable[[State], object], tmp_path: Path
) -> None:
    torch.save(saved(state("features.{}.")), tmp_path / "w.pth")
    torch.save(state("features.{}."), tmp_path / "plain.pth")
    assert len({weights_digest("lite", tmp_path / name) for name in ("w.pth", "plain.pth")}) == 1


def keras(written: str, turned: bool) -> State:
    """The two layers as Keras has them: rows, columns, channels in, channels out."""
    parts = {"weight": ("W", "kernel"), "bias": ("b", "bias")}
    found = {}
    for key, value in state().items():
        layer, part = key.split(".")
        name, (letter, word) = f"block{layer[4]}_conv{layer[6]}", parts[part]
        kernel = value.dim() == 4 and turned
        array = value.permute(2, 3, 1, 0).contiguous() if kernel else value
        found[written.format(name=name, letter=letter, word=word)] = array
    return found


@pytest.mark.parametrize(
    "written",
    ["{name}_{letter}_1:0", "{name}/{word}:0", "{name}/{name}/{word}:0", "{name}.{word}"],
)
@pytest.mark.parametrize("turned", [True, False])
def test_keras_names_and_layout_are_read(tmp_path: Path, written: str, turned: bool) -> None:
    save_file(keras(written, turned), tmp_path / "keras.safetensors")
    save_file(state(), tmp_path / "w.safetensors")
    files = (tmp_path / "keras.safetensors", tmp_path / "w.safetensors")
    assert len({weights_digest("lite", file) for file in files}) == 1


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_are_told_and_never_a_traceback(seed: int, tmp_path: Path) -> None:
    """A hundred bytes of a good file turned to others, at a place drawn by chance."""
    file = tmp_path / ("w.npz", "w.pth", "w.safetensors")[seed % 3]
    if file.suffix == ".npz":
        np.savez_compressed(file, **{key: value.numpy() for key, value in state().items()})
    elif file.suffix == ".pth":
        torch.save(state(), file)
    else:
        save_file(state(), file)
    data, draw = bytearray(file.read_bytes()), np.random.default_rng(seed)
    start = int(draw.integers(0, len(data) - 100))
    data[start : start + 100] = draw.integers(0, 256, 100, np.uint8).tobytes()
    file.write_bytes(bytes(data))
    try:
        weights_digest("lite", file)
    except WeightsError as error:
        assert str(error).startswith(str(file))


@pytest.mark.parametrize("data", [b"\x80\x02.", b"PK\x05\x06" + bytes(18), b"PK\x03\x04"])
def test_a_file_that_only_begins_as_one_is_damaged(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(data)
    with pytest.raises(WeightsError, match=r"damaged or no weight file|no VGG layer"):
        weights_digest("lite", tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(4, 3, 3, 3).to_sparse(), "no dense tensor of numbers"),
        (torch.ones(4, 3, 3, 3, dtype=torch.complex64), "holds no numbers but complex64"),
    ],
)
def test_tensors_that_are_no_plain_numbers_are_refused(
    value: torch.Tensor, message: str, tmp_path: Path
) -> None:
    torch.save(state() | {"conv1_1.weight": value}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message):
        weights_digest("lite", tmp_path / "w.pth")


def test_what_is_no_array_in_an_npz_is_damage(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as file:
        file.writestr("conv1_1.weight.npy", b"no array at all, but long enough to be looked at")
    with pytest.raises(WeightsError, match="an array in it is none"):
        weights_digest("lite", tmp_path / "w.npz")


def test_words_in_an_npz_are_no_weights(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"conv1_1.weight": np.array(["a"])})
    with pytest.raises(WeightsError, match="holds no numbers"):
        weights_digest("lite", tmp_path / "w.npz")


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root reads all")
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").chmod(0)
    with pytest.raises(WeightsError, match="cannot be read"):
        weights_digest("lite", tmp_path / "w.safetensors")


def test_a_file_whose_reading_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *given: object) -> None:
        raise PermissionError(13, "Permission denied")

    save_file(state(), tmp_path / "w.safetensors")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(WeightsError, match=r"w\.safetensors: cannot be read \(Permission denied\)"):
        weights_digest("lite", tmp_path / "w.safetensors")


def test_a_folder_is_no_weight_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weight file"):
        weights_digest("lite", tmp_path)


def test_codes_beyond_their_table_are_told(tmp_path: Path) -> None:
    saved = {"W_q": torch.full((4, 3, 3, 3), 9, dtype=torch.uint8), "W_table": torch.ones(8)}
    torch.save({f"block1_conv1_{k}": v for k, v in saved.items()}, tmp_path / "w.bin")
    with pytest.raises(WeightsError, match="conv1_1 has codes beyond its table of 8 values"):
        weights_digest("lite", tmp_path / "w.bin")


def test_codes_are_looked_up_in_their_table(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    table = torch.randn(256, generator=draw)
    codes = torch.randint(0, 256, (4, 3, 3, 3), dtype=torch.uint8, generator=draw)
    names = ("W_q", "W_table", "b")
    saved = dict(zip(names, (codes, table, torch.ones(4)), strict=True))
    torch.save({f"block1_conv1_{k}": v for k, v in saved.items()}, tmp_path / "w.bin")
    kernel = read_weights("lite", tmp_path / "w.bin").convs["conv1_1"][0]
    assert np.array_equal(kernel, table[codes.long()].numpy())


def test_adains_normalised_network_is_read_with_its_own_first_layer(tmp_path: Path) -> None:
    """It is numbered with a 1x1 convolution first and a pad before each other one."""
    plain = state()
    numbered = {"2": "conv1_1", "5": "conv1_2"}
    saved = {
        f"{number}.{part}": plain[f"{layer}.{part}"]
        for number, layer in numbered.items()
        for part in ("weight", "bias")
    }
    first = {"0.weight": torch.full((3, 3, 1, 1), 2.0), "0.bias": torch.tensor([1.0, 2.0, 3.0])}
    torch.save(first | saved, tmp_path / "vgg_normalised.pth")
    read = read_weights("lite", tmp_path / "vgg_normalised.pth")
    assert (read.input[0] == 2).all() and read.input[1].tolist() == [1, 2, 3]
    assert np.array_equal(read.convs["conv1_2"][0], plain["conv1_2.weight"].numpy())


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(
        WeightsError, match="backbone 'vgg91' is unknown; known are vgg19, vgg16, lite"
    ):
        weights_digest("vgg91")


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(
        BackboneError,
        match=r"backbone lite .* has no conv5_4 \(nearest: conv5_1\); its layers are conv1_1",
    ):
        Backbone(load_weights("lite"), ["conv1_1", "conv5_4"])


def test_metadata_of_a_trained_network_is_kept(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w.safetensors", {"format": json.dumps("nst backbone 1")})
    assert read_weights("lite", tmp_path / "w.safetensors").source.endswith("w.safetensors")
