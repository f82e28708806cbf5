"""Every setting: name, type, range, unit, default and one line of help.

This is the one table that feeds the manifest, its JSON Schema, the command line and the README. It
is cut into parts, each of which adds its rows to the ones before; `Settings` is all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from pipeline.manifest.fields import (
    ColorName,
    LayerWeights,
    NamedBackbone,
    Shares,
    Size,
    SizeStep,
    Steps,
)
from pipeline.manifest.presets import STYLE_LAYERS
from pipeline.manifest.schema import Frozen

INITS = ("content", "content_matched", "gray", "mean", "noise", "uniform", "style_noise")


def setting(
    default: object,
    help: str,
    unit: str = "",
    pixels: bool = True,
    extra: Mapping[str, Any] | None = None,
    **limits: Any,
) -> Any:
    """One setting's field.

    Args:
        pixels: whether it decides the pixels, and so the job key.
        extra: for the JSON Schema, what a validator of our own checks.
    """
    schema: dict[str, Any] = {"unit": unit, "pixels": pixels, **(extra or {})}
    return Field(default, description=help, json_schema_extra=schema, **limits)


class Sizes(Frozen):
    """The sizes at which a picture is optimized, and the steps at each."""

    preset: str = setting("default", "the preset that the others start from", pixels=False)
    strength: Literal["subtle", "medium", "strong", "extreme"] | None = setting(
        None, "how much of the style: a level of `content_weight` and `neighbor_content`, which "
        "win where they are given", pixels=False,
    )  # fmt: skip
    stroke: Literal["fine", "medium", "large"] | None = setting(
        None, "how large its strokes: a level of `style_scale`, which wins where it is given",
        pixels=False,
    )  # fmt: skip

    size: Size = setting(
        512, "the picture's side that `fit` names; WxH with `fit: exact`; `original` is each "
        "picture's own", "px",
        extra={"minimum": 16, "maximum": 32768},
    )  # fmt: skip
    fit: Literal["long", "short", "exact", "stretch"] = setting(
        "long", "which side `size` means; exact scales and crops to WxH, stretch only scales"
    )
    size_step: SizeStep = setting(
        1, "sides are multiples of it where `fit` leaves the aspect ratio free, by scaling and "
        "cropping at most half of it, so that pictures of mixed sizes share batches; auto is 16 "
        "where `size` is a number of 128 or more, but for clips, else 1", "px",
        extra={"minimum": 1, "maximum": 256},
    )  # fmt: skip
    max_size: int = setting(
        0, "longer side at most, of `size: original`; 0 is no limit", "px", ge=0, le=32768
    )
    scale_start: int = setting(
        128, "long side of the first, coarsest scale; 0 works at full size only", "px",
        ge=0, le=32768,
    )  # fmt: skip
    scale_factor: float = setting(
        1.6, "largest ratio of one scale's side to the one before", gt=1, le=8
    )
    steps: Steps = setting(
        300, "optimizer steps, all scales together; or a list of each scale's, the last for all "
        "that follow", "steps", extra={"minimum": 1, "maximum": 1_000_000},
    )  # fmt: skip
    step_falloff: float = setting(
        0.7, "each scale's number of steps over that of the one before", gt=0, le=10
    )
    detail: float = setting(
        1.0, "share of the content's detail that a coarse scale lacks, put back at the next one",
        ge=0, le=1,
    )  # fmt: skip
    carry: bool = setting(False, "keep the optimizer's memory from one scale to the next")
    clip_steps: Steps = setting(
        30, "steps of a clip's frames after the first, at the full size alone; or a list of each "
        "scale's, for as many of the last scales", "steps",
        extra={"minimum": 1, "maximum": 1_000_000},
    )  # fmt: skip
    flow: Literal["dis", "raft"] = setting(
        "dis", "of frames of clips: how motion is found, by OpenCV's DIS, or by torchvision's RAFT "
        "if its weights are in torch's cache"
    )  # fmt: skip
    tolerance: float = setting(
        0.0, "a scale ends early for a job whose loss falls by less than this share in 10 steps; "
        "0 never", ge=0, lt=1,
    )  # fmt: skip


class Beginning(Sizes):
    """The picture that a job begins with."""

    init: str = setting(
        "content", "first picture: content, content_matched (its colors moved to the style's), "
        "gray, mean (ImageNet's mean color), noise (normal), "
        "uniform (noise), style_noise (of the style's mean and deviation), or a picture's file"
    )  # fmt: skip
    init_noise: float = setting(
        0.0, "share of normal noise mixed into the first picture; 1 is nothing but noise",
        ge=0, le=1,
    )  # fmt: skip
    seed: int = setting(0, "of every random draw of this job", ge=0, lt=2**63)


class Compared(Beginning):
    """What pictures are compared by, and how much each part weighs."""

    loss: Literal["relative", "paper", "mean"] = setting(
        "relative", "relative: each layer against its own target; paper: the 2016 sums; mean: mean "
        "squared errors, as most tools have them"
    )  # fmt: skip
    style_loss: Literal["gram", "mean_std", "wasserstein", "sliced_wasserstein"] = setting(
        "gram", "what is compared of a style layer: Gram matrices, channels' means and deviations, "
        "Gaussians' distance, or sorted projections"
    )  # fmt: skip
    tv_loss: Literal["mean_squares", "sum_squares", "sum_absolute", "nine_point"] = setting(
        "mean_squares", "what total variation does with the differences of neighboring pixels; "
        "nine_point: mean squares, diagonals too"
    )  # fmt: skip
    gradient_norm: float = setting(
        0.0, "power of its L1 norm by which each layer's gradient is divided; 0 never, 1 wholly",
        ge=0, le=1,
    )  # fmt: skip
    content_weight: float = setting(1.0, "weight of the content loss (alpha)", ge=0, le=1e15)
    laplacian_weight: float = setting(
        0.0, "weight of the Laplacian loss within the content loss: outlines stay straight",
        ge=0, le=1e15,
    )  # fmt: skip
    style_weight: float = setting(3.0, "weight of the style loss (beta)", ge=0, le=1e15)
    neighbor_weight: float = setting(
        0.0, "weight of the nearest-neighbor term: each position like the style's most similar one",
        ge=0, le=1e15,
    )  # fmt: skip
    neighbor_every: int = setting(
        20, "steps after which the nearest neighbors are sought anew", "steps", ge=1, le=1_000_000
    )
    neighbor_content: float = setting(
        0.3, "the content's share in what they are sought by", ge=0, le=1
    )
    neighbor_salience: float = setting(
        0.0, "power of how much a place of the content stands out, with which its share falls to "
        "that; 0 for all places alike, 2 keeps flat areas flat", ge=0, le=100,
    )  # fmt: skip
    tv_weight: float = setting(1.0, "weight of total variation; smooths", ge=0, le=1e15)
    temporal_weight: float = setting(
        100.0, "of frames of clips: weight of what has changed since the frame before", ge=0,
        le=1e15,
    )  # fmt: skip
    content_layers: LayerWeights = setting(
        {"conv4_2": 1.0}, "layers of the content loss, a list or {layer: weight}"
    )
    style_layers: LayerWeights = setting(
        dict.fromkeys(STYLE_LAYERS, 0.2),
        "layers of the style loss, a list or {layer: weight}",
    )


class Styled(Compared):
    """How the style picture and its colors are taken."""

    style_scale: float = setting(
        1.0, "the style picture's size over the canvas's; larger gives larger strokes",
        ge=0.05, le=8,
    )  # fmt: skip
    blend: Shares = setting(
        None, "weights of a blended style's pictures, instead of those in `style`"
    )
    color: Literal["style", "preserve_luminance", "preserve_histogram", "original_colors"] = (
        setting(
            "style", "style: the style's; preserve_luminance: only brightness is stylized; "
            "preserve_histogram: the style is given the content's colors first; "
            "original_colors: the content's chroma is put back at the end"
        )
    )  # fmt: skip
    color_transfer: Literal["cholesky", "image_analogies"] = setting(
        "image_analogies", "how preserve_histogram matches colors"
    )


class Moved(Styled):
    """How the pixels are moved."""

    optimizer: Literal["adam", "lbfgs"] = setting("adam", "how the pixels are moved")
    learning_rate: float = setting(
        0.05, "step length at the first scale; pixels span 0 to 1", gt=0, le=100
    )
    warmup: int = setting(
        20, "steps over which the learning rate rises from zero at the beginning", "steps",
        ge=0, le=1_000_000,
    )  # fmt: skip
    learning_rate_falloff: float = setting(
        0.7, "each scale's learning rate over that of the one before", gt=0, le=1
    )
    learning_rate_end: float = setting(
        0.1, "learning rate at a scale's last step over that at its first", gt=0, le=1
    )
    adam_decay: float = setting(0.99, "decay of Adam's mean of squared gradients", ge=0, lt=1)
    corrections: int = setting(
        20, "pairs of steps and gradients that L-BFGS keeps", "pairs", ge=1, le=1000
    )
    clamp: bool = setting(True, "keep the pixels between 0 and 1 after each step")
    average: float | None = setting(
        None, "decay of the average of the iterates that is the result, instead of what "
        "`average_share` gives; 0 takes the last", ge=0, lt=1,
    )  # fmt: skip
    average_share: float = setting(
        0.2, "share of a scale's last steps over which the average reaches; 0 takes the last",
        ge=0, le=1,
    )  # fmt: skip


class Network(Moved):
    """The network that pictures go through."""

    backbone: NamedBackbone = setting(
        None, "network instead of the manifest's `backbone`, written as there: a pair's own, or "
        "swept, which compares networks", pixels=False,
    )  # fmt: skip
    pooling: Literal["avg", "max", "l2"] = setting(
        "avg", "pooling between the backbone's blocks; l2 is the root of the mean square"
    )
    pooling_scale: float = setting(
        1.0, "factor on what pooling gives; in VGG-19 avg wants 2, l2 1.56 to be as strong as max",
        gt=0, le=10,
    )  # fmt: skip
    padding: Literal["replicate", "zeros", "reflect", "replicate_first"] = setting(
        "replicate_first", "what a convolution sees beyond the picture's edge; replicate_first: "
        "zeros, but at the first layer"
    )  # fmt: skip
    normalized: bool = setting(
        False, "rescale the backbone so that each filter's mean activation is 1"
    )

    precision: Literal["auto", "fp32", "bf16", "fp16", "tf32"] = setting(
        "auto",
        "of the convolutions: auto is bf16 where the hardware is faster with it, fp16 on "
        "GPUs that have that alone (Volta, Turing), else fp32",
    )


class Written(Network):
    """The file that is written, and what is kept along the way."""

    mask_edge: int = setting(
        4, "width of the soft edge between what a mask has stylized and what it leaves as it is, "
        "within the former", "px", ge=0, le=64,
    )  # fmt: skip
    background: ColorName = setting(
        "white", "color under transparent pictures, a CSS name or #rrggbb"
    )
    decoding: Literal["whole", "reduced"] = setting(
        "whole", "of content pictures: all pixels, or of large ones no more than are needed, which "
        "takes a seventh of the time and ends within some levels of 255"
    )  # fmt: skip
    alpha: Literal["flatten", "keep"] = setting(
        "flatten", "transparency of the content: laid on `background`, or kept in the written "
        "picture as well (png, webp and tiff)",
    )  # fmt: skip
    format: Literal["png", "jpg", "webp", "tiff"] = setting("png", "of the written picture")
    quality: int = setting(95, "of jpg and webp", ge=1, le=100)
    depth: Literal[8, 16] = setting(8, "bits a channel; 16 for png and tiff", "bits")
    profile: Literal["srgb", "content"] = setting(
        "srgb", "color profile of the written picture: sRGB, or the content picture's own"
    )
    exif: bool = setting(False, "keep the content picture's EXIF data")
    save_every: int = setting(
        0, "steps between pictures of the way there, kept in `frames/`; 0 keeps none", "steps",
        ge=0, le=1_000_000,
    )  # fmt: skip
    fps: float | None = setting(
        None, "frames a second of a clip's video; without it the source's, or 25 for pictures",
        "1/s", pixels=False, ge=0.1, le=1000,
    )  # fmt: skip
    animation: Literal["none", "webp", "gif"] = setting(
        "none", "an animation of the way there, kept in `animations/`"
    )
