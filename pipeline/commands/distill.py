"""`nst distill`: trains a small backbone; the same command goes on where it stopped.

In: a teacher and a folder of pictures. Out: a weight file, and a checkpoint beside it until then.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.output import print_warnings
from pipeline.distill import (
    WIDTHS,
    Recipe,
    Training,
    find_pictures,
    held_out_errors,
    save_student,
    split_pictures,
)
from pipeline.errors import ManifestError, OtherBackboneError, WeightsError
from pipeline.manifest import nearest
from pipeline.method import Weights, inspect_weights, load_weights
from pipeline.schedule import find_slots
from pipeline.slot import has_fast_bf16
from pipeline.terminal import say
from pipeline.version import __version__

_PRECISIONS = ("auto", "fp32", "bf16")
_SAY_EVERY_S = 5.0


@dataclass(frozen=True)
class DistillOptions:
    """What `distill` trains, and how.

    Attributes:
        precision: `auto`, `fp32` or `bf16`.
        widths: the student's channels from conv1_1 to conv5_1, separated by commas; None for its
            own.
        checkpoint_every_s: seconds between checkpoints.
        start: a small network's file to begin with; None begins with chance.
        teacher_weights: of the teacher `vgg19`: `caffe`, `torchvision` or a file; None for the
            first that is there.
    """

    steps: int
    seed: int
    precision: str
    device: str
    batch: int
    crop: int
    widths: str | None
    checkpoint_every_s: float
    start: Path | None = None
    teacher_weights: Path | str | None = None


def _parse_widths(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if len(words) != 13 or not all(word.strip().isdigit() and int(word) > 0 for word in words):
        raise ManifestError([f"--widths {text}: 13 channel counts are needed, conv1_1 to conv5_1"])
    return tuple(int(word) for word in words)


def train_student(
    teacher: str,
    folders: Sequence[Path],
    output: Path,
    options: DistillOptions,
    *,
    quiet: bool = False,
) -> int:
    """Trains a student and writes it; a checkpoint beside it lets the same command go on.

    Args:
        teacher: `vgg19`, or a weight file.
        folders: of pictures; each is drawn from as often as the others.

    Raises:
        ImageError: no pictures in one of `folders`.
        ManifestError: an unknown precision, or widths that are no 13 whole numbers.
        RunFolderError: the checkpoint belongs to another training.
        WeightsError: the teacher, or what the student is to begin with, is missing or damaged.
    """
    widths = _parse_widths(options.widths) if options.widths else WIDTHS
    parted = [split_pictures(find_pictures(folder), options.seed) for folder in folders]
    training_set = [kept for kept, _ in parted]
    held_out = [path for _, out in parted for path in out]
    taught_by = _find_teacher(teacher, options.teacher_weights)
    weights = taught_by.weights
    if not quiet:
        say(f"teacher: {taught_by.about}; network's digest {weights.digest[:16]}...")
    start = load_weights("lite", options.start) if options.start else None
    found = find_slots(options.device)
    slot = found.slots[0]
    print_warnings(found.left_out)
    recipe = Recipe(
        steps=options.steps,
        batch=options.batch,
        crop=options.crop,
        seed=options.seed,
        widths=widths,
        precision=_training_precision(options.precision, slot),
    )
    training = Training(recipe, weights, training_set, start, slot)
    checkpoint = output.with_suffix(".checkpoint")
    _train(training, checkpoint, options.checkpoint_every_s, quiet=quiet)
    result = training.result()
    final = held_out_errors(result, weights, held_out)
    about = {
        "format": "nst backbone 1",
        "teacher": weights.name,
        "teacher_weights": taught_by.source,
        "teacher_sha256": weights.digest,
        "recipe": recipe.__dict__,
        "held_out_errors": final,
        "start_sha256": start.digest if start else "",
        "pictures": sum(map(len, training_set)),
        "nst": __version__,
    }
    save_student(result, output, about)
    checkpoint.unlink(missing_ok=True)
    say(f"{output}: {output.stat().st_size / 1e6:.2f} MB")
    for tap, error in final.items():
        say(f"held-out error {tap}: {error:.4f}")
    return 0


@dataclass(frozen=True)
class _Teacher:
    """A teacher's weights, and what they are: their source in a word, and in a line."""

    weights: Weights
    source: str
    about: str


def _find_teacher(teacher: str, choice: Path | str | None) -> _Teacher:
    """`vgg19` with the weights that are chosen, or what a file holds: a small network or a VGG.

    Raises:
        WeightsError: missing or damaged, or weights chosen for a teacher that is a file.
    """
    if teacher == "vgg19":
        known = inspect_weights("vgg19", choice)
        weights = load_weights("vgg19", known.choice)
        source = Path(known.choice).name if isinstance(known.choice, Path) else str(known.choice)
        return _Teacher(weights, source, known.about)
    if choice is not None:
        raise WeightsError(
            f"--teacher-weights {choice}: goes with --teacher vgg19; --teacher {teacher} is a file"
        )
    file = Path(teacher)
    try:
        weights = load_weights("lite", file)
    except OtherBackboneError as error:
        weights = load_weights(error.there, file)
    return _Teacher(weights, file.name, f"the file {file}, {weights.name}")


def _train(training: Training, checkpoint: Path, every_s: float, *, quiet: bool) -> None:
    """Trains to the end, from the checkpoint if there is one; keeps one on the way."""
    steps = training.recipe.steps
    if checkpoint.exists():
        training.load_checkpoint(checkpoint)
        say(f"going on from step {training.step} of {steps} ({checkpoint})")
    saved = said = time.monotonic()
    for step in training.run():
        moment = time.monotonic()
        if not quiet and (moment - said > _SAY_EVERY_S or step.step in (1, steps)):
            said = moment
            errors = " ".join(f"{tap} {error:.3f}" for tap, error in step.errors.items())
            say(f"step {step.step}/{steps} loss {step.loss:.4f} errors {errors}", flush=True)
        if moment - saved > every_s:
            saved = moment
            training.save_checkpoint(checkpoint)


def _training_precision(precision: str, device: str) -> str:
    """`auto` is bf16 on a GPU that does not only emulate it."""
    if precision not in _PRECISIONS:
        raise ManifestError([f"--precision {precision}: unknown" + nearest(precision, _PRECISIONS)])
    if precision != "auto":
        return precision
    return "bf16" if device.startswith("cuda") and has_fast_bf16(device) else "fp32"
