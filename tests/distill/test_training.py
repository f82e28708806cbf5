"""Distilling: kill, resume, and use of what comes out."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.distill import Recipe, Training, find_pictures, held_out_errors, save_student
from pipeline.distill.training import TAPS
from pipeline.errors import ImageError, RunFolderError
from pipeline.layers import LAYERS
from pipeline.method import Backbone, Weights, load_weights

WIDTHS = (4, 4, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8, 8)
RECIPE = Recipe(steps=4, batch=2, dreams=1, crop=32, widths=WIDTHS)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def teacher_file(tmp_path: Path) -> Path:
    """A small random network down to conv5_1, under Caffe's names."""
    torch.manual_seed(0)
    state, channels = {}, 3
    for layer, width in zip(LAYERS, WIDTHS, strict=False):
        state[f"{layer}.weight"] = torch.randn(width, channels, 3, 3) * (2 / 9 / channels) ** 0.5
        state[f"{layer}.bias"] = torch.rand(width) * 0.1
        channels = width
    save_file(state, tmp_path / "teacher.safetensors")
    return tmp_path / "teacher.safetensors"


@pytest.fixture
def photos(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    for seed in range(4):
        picture(f"photos/{seed}.png", seed)
    return tmp_path / "photos"


def trained(teacher: Weights, photos: Path, stop_at: int | None, checkpoint: Path) -> Weights:
    """Trains to the end; with `stop_at` by way of a checkpoint and a new beginning."""
    training = Training(RECIPE, teacher, find_pictures(photos))
    if stop_at is not None:
        for step in training.run():
            if step.step == stop_at:
                training.save_checkpoint(checkpoint)
                break
        training = Training(RECIPE, teacher, find_pictures(photos))
        training.load_checkpoint(checkpoint)
        assert training.step == stop_at
    for _ in training.run():
        pass
    return training.result()


def test_a_resumed_training_ends_as_one_that_was_never_stopped(
    teacher_file: Path, photos: Path, tmp_path: Path
) -> None:
    teacher = load_weights("lite", teacher_file)
    straight = trained(teacher, photos, None, tmp_path / "c")
    resumed = trained(teacher, photos, 2, tmp_path / "c")
    for layer, (weight, _) in straight.convs.items():
        torch.testing.assert_close(resumed.convs[layer][0], weight, rtol=2e-3, atol=2e-3)


def test_filters_of_the_result_have_mean_activation_one(teacher_file: Path, photos: Path) -> None:
    from pipeline.method import mean_activations
    from pipeline.pictures import read_image, to_tensor

    pictures = find_pictures(photos)
    training = Training(RECIPE, load_weights("lite", teacher_file), pictures)
    weights = training.result()
    samples = [to_tensor(read_image(path)) for path in pictures]
    means = mean_activations(weights, samples, padding="replicate")["conv3_1"]
    alive = means[means > 0]
    torch.testing.assert_close(alive, torch.ones_like(alive), rtol=0.02, atol=0.02)


def test_a_student_file_loads_and_knows_its_taps(
    teacher_file: Path, photos: Path, tmp_path: Path
) -> None:
    teacher = load_weights("lite", teacher_file)
    training = Training(RECIPE, teacher, find_pictures(photos))
    save_student(training.result(), tmp_path / "out.safetensors", {"note": "test"})
    student = load_weights("lite", tmp_path / "out.safetensors")
    assert student.digest == training.result().digest
    features = Backbone(student, TAPS)(torch.rand(1, 3, 48, 48))
    assert all(bool(torch.isfinite(f).all()) for f in features.values())
    errors = held_out_errors(student, teacher, find_pictures(photos))
    assert set(errors) == set(TAPS) and all(0 <= e <= 1 for e in errors.values())


def test_a_teacher_is_its_own_perfect_student(teacher_file: Path, photos: Path) -> None:
    teacher = load_weights("lite", teacher_file)
    assert max(held_out_errors(teacher, teacher, find_pictures(photos)).values()) < 1e-4


def test_a_checkpoint_of_another_training_is_refused(
    teacher_file: Path, photos: Path, tmp_path: Path
) -> None:
    teacher = load_weights("lite", teacher_file)
    Training(RECIPE, teacher, find_pictures(photos)).save_checkpoint(tmp_path / "c")
    other = Training(Recipe(**{**RECIPE.__dict__, "seed": 1}), teacher, find_pictures(photos))
    with pytest.raises(RunFolderError, match="another training"):
        other.load_checkpoint(tmp_path / "c")
    (tmp_path / "c").write_bytes(b"damaged")
    with pytest.raises(RunFolderError, match="damaged checkpoint"):
        other.load_checkpoint(tmp_path / "c")


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="0 pictures found"):
        find_pictures(tmp_path / "empty")
    with pytest.raises(ImageError, match="no such folder"):
        find_pictures(tmp_path / "nowhere")


def test_the_command_goes_on_after_a_kill(teacher_file: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "student.safetensors"
    command = [
        sys.executable, "-m", "cli", "distill", "--teacher", str(teacher_file),
        "--images", str(photos), "--out", str(out), "--device", "cpu",
        "--steps", "6", "--checkpoint-every", "0", "--batch", "2", "--crop", "32",
        "--widths", ",".join(map(str, WIDTHS)),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment)
    checkpoint = out.with_suffix(".checkpoint")
    deadline = time.monotonic() + 90
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists() and not out.exists()
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "going on from step" in ended.stdout
    assert not checkpoint.exists()
    assert load_weights("lite", out).heads.keys() == set(TAPS)
