"""TODO."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ManifestError
from pipeline.method import load_weights
from pipeline.schedule import find_slots
from pipeline.version import __version__


@dataclass(frozen=True)
class DistillOptions:
    """What `distill` trains, and how.

    Attributes:
        precision: `auto`, `fp32` or `bf16`.
        widths: the student's channels from conv1_1 to conv5_1, separated by commas; None for its
            own.
        checkpoint_every_s: seconds between checkpoints.
    """

    steps: int
    seed: int
    precision: str
    device: str
    batch: int
    crop: int
    widths: str | None
    checkpoint_every_s: float


def _parse_widths(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if len(words) != 13 or not all(word.strip().isdigit() and int(word) > 0 for word in words):
        raise ManifestError([f"--widths {text}: 13 channel counts are needed, conv1_1 to conv5_1"])
    return tuple(int(word) for word in words)


def train_student(
    teacher: str, images: Path, output: Path, options: DistillOptions, *, quiet: bool = False
) -> int:
    """Trains a student and writes it; a checkpoint beside it lets the same command go on."""
    from pipeline.distill import (
        WIDTHS,
        Recipe,
        Training,
        find_pictures,
        held_out_errors,
        save_student,
        split_pictures,
    )

    steps, seed = options.steps, options.seed
    training_set, held_out = split_pictures(find_pictures(images), seed)
    file = None if teacher == "vgg19" else Path(teacher)
    weights = load_weights("vgg19" if file is None else "lite", file)
    slot = find_slots(options.device)[0]
    recipe = Recipe(
        steps=steps,
        batch=options.batch,
        crop=options.crop,
        seed=seed,
        widths=_parse_widths(options.widths) if options.widths else WIDTHS,
        precision=_training_precision(options.precision, slot),
    )
    training = Training(recipe, weights, training_set, slot)
    checkpoint = output.with_suffix(".checkpoint")
    if checkpoint.exists():
        training.load_checkpoint(checkpoint)
        print(f"going on from step {training.step} of {steps} ({checkpoint})")
    saved = said = time.monotonic()
    for step in training.run():
        moment = time.monotonic()
        if not quiet and (moment - said > 5 or step.step in (1, steps)):
            said = moment
            errors = " ".join(f"{tap} {error:.3f}" for tap, error in step.errors.items())
            print(
                f"step {step.step}/{steps} loss {step.loss:.4f} errors {errors}",
                flush=True,
            )
        if moment - saved > options.checkpoint_every_s:
            saved = moment
            training.save_checkpoint(checkpoint)
    result = training.result()
    final = held_out_errors(result, weights, held_out)
    about = {
        "format": "nst backbone 1",
        "teacher_sha256": weights.digest,
        "recipe": recipe.__dict__,
        "held_out_errors": final,
        "pictures": len(training_set),
        "nst": __version__,
    }
    save_student(result, output, about)
    checkpoint.unlink(missing_ok=True)
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB")
    for tap, error in final.items():
        print(f"held-out error {tap}: {error:.4f}")
    return 0


def _training_precision(precision: str, device: str) -> str:
    """`auto` is bf16 where the hardware has it."""
    if precision != "auto":
        return precision
    import torch

    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "fp32"
