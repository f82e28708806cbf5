"""`nst distill`: what is wrong is told before training; the way is said."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gpus
import pytest
from safetensors import safe_open

from pipeline.commands import DistillOptions, train_student
from pipeline.commands.distill import _find_teacher, _Teacher, _training_precision
from pipeline.errors import ImageError, ManifestError, WeightsError
from pipeline.method import LITE_FILE, extra_path, load_weights, weights_digest

OPTIONS = DistillOptions(2, 0, "auto", "cpu", 2, 32, None, 0.0)


def test_a_student_is_trained_written_and_told(
    tmp_path: Path, picture: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        picture(f"photos/{number}.png", number)
    out = tmp_path / "small.safetensors"
    few = DistillOptions(2, 0, "auto", "cpu", 2, 32, ",".join(["8"] * 13), 0.0)
    assert train_student(str(LITE_FILE), [tmp_path / "photos"], out, few) == 0
    said = capsys.readouterr().out
    assert "step 1/2" in said and "step 2/2" in said and "held-out error conv5_1" in said
    assert load_weights("lite", out).convs["conv1_1"][0].shape == (8, 3, 3, 3)
    assert not out.with_suffix(".checkpoint").exists()


@pytest.mark.parametrize(("count", "said"), [(0, "0 pictures found"), (1, "1 picture found")])
def test_a_folder_of_too_few_pictures_is_refused(
    count: int, said: str, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for number in range(count):
        picture(f"{number}.png", number)
    with pytest.raises(ImageError, match=f"{said}, at least 2 are needed"):
        train_student(str(LITE_FILE), [tmp_path], tmp_path / "x", OPTIONS)


@pytest.mark.parametrize("widths", ["8", "8," * 12 + "x", "8," * 12 + "0"])
def test_widths_are_13_numbers(widths: str, tmp_path: Path) -> None:
    options = DistillOptions(2, 0, "auto", "cpu", 2, 32, widths, 0.0)
    with pytest.raises(ManifestError, match="13 channel counts are needed"):
        train_student(str(LITE_FILE), [tmp_path], tmp_path / "x", options)


def test_precision_is_one_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ManifestError, match="--precision bf61: unknown; did you mean 'bf16'"):
        _training_precision("bf61", "cpu")
    assert _training_precision("bf16", "cpu") == "bf16"
    assert _training_precision("auto", "cpu") == "fp32"
    gpus.install(monkeypatch, gpus.RTX_4090, gpus.T4)
    assert _training_precision("auto", "cuda:0") == "bf16"
    assert _training_precision("auto", "cuda:1") == "fp32"  # torch emulates bfloat16 there


def test_a_teachers_file_is_whatever_backbone_it_holds() -> None:
    caffes = extra_path()
    assert caffes is not None
    found = _find_teacher(str(caffes), None)
    digest = weights_digest("vgg19", "caffe")
    assert (found.weights.name, found.weights.digest) == ("vgg19", digest)
    assert found.source == caffes.name and found.about == f"the file {caffes}, vgg19"
    assert _find_teacher(str(LITE_FILE), None).weights.name == "lite"
    with pytest.raises(WeightsError, match=r"--teacher-weights caffe: goes with --teacher vgg19; "):
        _find_teacher(str(LITE_FILE), "caffe")


def test_a_teacher_is_taken_from_where_it_was_chosen(tmp_path: Path) -> None:
    caffes = extra_path()
    assert caffes is not None
    chosen = _find_teacher("vgg19", "caffe")
    assert chosen.source == "caffe" and "Simonyan and Zisserman" in chosen.about
    own = _find_teacher("vgg19", caffes)
    assert (own.source, own.weights.digest) == (caffes.name, chosen.weights.digest)


def test_the_student_and_the_command_say_who_the_teacher_was(
    tmp_path: Path,
    picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(3):
        picture(f"photos/{number}.png", number)
    lite = load_weights("lite")
    known = _Teacher(replace(lite, name="vgg19"), "caffe", "Caffe's VGG-19")
    asked = []

    def find(*given: object) -> _Teacher:
        asked.append(given)
        return known

    monkeypatch.setattr("pipeline.commands.distill._find_teacher", find)
    few = replace(OPTIONS, widths=",".join(["8"] * 13), teacher_weights="caffe")
    train_student("vgg19", [tmp_path / "photos"], tmp_path / "x.safetensors", few)
    said = capsys.readouterr().out
    assert asked == [("vgg19", "caffe")]
    assert f"teacher: Caffe's VGG-19; network's digest {lite.digest[:16]}...\n" in said
    with safe_open(tmp_path / "x.safetensors", "numpy") as file:
        about = file.metadata()
    kept = [json.loads(about[f"teacher{part}"]) for part in ("", "_weights", "_sha256")]
    assert kept == ["vgg19", "caffe", lite.digest]
