"""What decides a training's result: its parameters, the layers that count, the student's widths.

In: nothing. Out: values that everything here reads. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.layers import LAYERS

# The layers where student and teacher are compared, and where a picture's losses look.
TAPS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv4_2", "conv5_1")
# In training every layer of the teacher is a target, so that each one learns a shallow problem.
HINTS = LAYERS[: LAYERS.index("conv5_1") + 1]
STYLE_TAPS = tuple(tap for tap in TAPS if tap != "conv4_2")
# Channels of the student that is shipped, conv1_1 to conv5_1.
WIDTHS = (16, 24, 48, 48, 64, 96, 96, 96, 128, 160, 192, 192, 160)


Padding = Literal["zeros", "replicate", "reflect", "replicate_first"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training's result, apart from teacher and pictures.

    Attributes:
        steps: training steps.
        batch: pictures a step, fresh ones, dreams and others of before.
        fresh: crops a step that were never seen.
        dreams: pictures a step that are being optimized through the student.
        dream_steps: how many steps of that optimization lie between two looks of the teacher.
        replay: pictures of before that are kept with the teacher's features, for the rest of each
            batch: the teacher's features take several times as long as a step of the student.
        crop: side of a crop in pixels.
        learning_rate: Adam's (for heads and biases) at its highest; cosine decay to zero after a
            linear warm-up.
        kernel_rate: the same for the 3x3 kernels, which are trained by `Muon`.
        gram_weight: weight of the squared relative Gram error beside the feature error.
        seed: of the weights, the crops and the dreams.
        widths: channels of conv1_1, conv1_2, ... to conv5_1.
        padding: of teacher and student; see `Backbone`.
        precision: `fp32` or `bf16` (autocast of the convolutions).
    """

    steps: int = 26_000
    batch: int = 8
    fresh: int = 1
    dreams: int = 1
    dream_steps: int = 4
    replay: int = 512
    crop: int = 112
    learning_rate: float = 5e-3
    kernel_rate: float = 0.01
    gram_weight: float = 1.0
    seed: int = 0
    widths: tuple[int, ...] = WIDTHS
    padding: Padding = "replicate_first"
    precision: str = "fp32"


@dataclass(frozen=True)
class Progress:
    """One training step.

    Attributes:
        step: steps done so far, from 1.
        loss: the training loss of this step.
        errors: squared error over energy per tap, on this step's crops.
    """

    step: int
    loss: float
    errors: Mapping[str, float]
