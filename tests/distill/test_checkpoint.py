"""The file from which a killed training goes on."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from students import RECIPE, WIDTHS
from worlds import until

from pipeline.commands import DistillOptions, train_student
from pipeline.distill import Training
from pipeline.distill.checkpoint import fingerprint, read_checkpoint, write_checkpoint
from pipeline.distill.recipe import TAPS
from pipeline.errors import RunFolderError
from pipeline.method import Weights, load_weights

ROOT = Path(__file__).parents[2]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    tensors = {"a.b": torch.arange(6.0).view(2, 3).T, "c": torch.tensor([1, 2])}
    write_checkpoint(tmp_path / "c", tensors, 7, "made of")
    step, found = read_checkpoint(tmp_path / "c", "made of", "cpu")
    assert step == 7 and found.keys() == tensors.keys()
    assert all(torch.equal(found[key], value) for key, value in tensors.items())


def test_a_checkpoint_that_is_damaged_or_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"damaged")
    for name in ("c", "none"):
        with pytest.raises(RunFolderError, match=f"{name}: damaged checkpoint"):
            read_checkpoint(tmp_path / name, "made of", "cpu")


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c", {"a": torch.zeros(1)}, 7, "made of")
    with pytest.raises(RunFolderError, match="another training"):
        read_checkpoint(tmp_path / "c", "other", "cpu")


def test_recipe_teacher_and_pictures_make_a_training_another_but_not_their_folder() -> None:
    pictures = [[Path("here/a.png"), Path("here/b.png")]]
    one = fingerprint(RECIPE, "teacher", pictures)
    assert one == fingerprint(replace(RECIPE), "teacher", [[Path("a.png"), Path("b.png")]])
    others = [
        fingerprint(replace(RECIPE, seed=1), "teacher", pictures),
        fingerprint(RECIPE, "other", pictures),
        fingerprint(RECIPE, "teacher", [pictures[0][:1]]),
        fingerprint(RECIPE, "teacher", [pictures[0][::-1]]),
    ]
    assert len({one, *others}) == 5


def test_a_training_refuses_the_checkpoint_of_another(
    teacher: Weights, photos: list[Path], tmp_path: Path
) -> None:
    Training(RECIPE, teacher, [photos]).save_checkpoint(tmp_path / "c")
    other = Training(replace(RECIPE, seed=1), teacher, [photos])
    with pytest.raises(RunFolderError, match="another training"):
        other.load_checkpoint(tmp_path / "c")
    assert other.step == 0


def test_the_command_goes_on_after_a_kill(
    teacher: Weights, photos: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, widths = tmp_path / "student.safetensors", ",".join(map(str, WIDTHS))
    file = tmp_path / "teacher.safetensors"
    command = [
        sys.executable, "-m", "cli", "distill", "--teacher", str(file),
        "--images", str(photos[0].parent), "--out", str(out), "--device", "cpu",
        "--steps", "20", "--checkpoint-every", "0", "--batch", "2", "--crop", "32",
        "--widths", widths,
    ]  # fmt: skip
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    checkpoint = out.with_suffix(".checkpoint")
    until(checkpoint.exists, 90)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists() and not out.exists()
    options = DistillOptions(20, 0, "auto", "cpu", 2, 32, widths, 0.0)
    assert train_student(str(file), [photos[0].parent], out, options) == 0
    assert "going on from step" in capfd.readouterr().out
    assert not checkpoint.exists()
    assert load_weights("lite", out).heads.keys() == set(TAPS)
