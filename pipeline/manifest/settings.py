"""Every setting: name, type, range, unit, default and one line of help; and the presets.

This is the one table that feeds the manifest, its JSON Schema, the command line and the README.
Knows nothing of files or devices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from PIL import ImageColor
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from pipeline.layers import LAYERS

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
LayerName = Literal[
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4",
    "conv4_1", "conv4_2", "conv4_3", "conv4_4", "conv5_1", "conv5_2", "conv5_3", "conv5_4",
]  # fmt: skip


def _layer_weights(value: object) -> object:
    """A list of layers means equal weights that sum to 1; a mapping is taken as it is."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, (list, tuple)):
        if len(set(map(str, value))) != len(value):
            raise ValueError("a layer is named twice")
        return {layer: 1 / len(value) for layer in value}
    return value


def _in_layer_order(value: dict[str, float]) -> dict[str, float]:
    return {layer: float(value[layer]) for layer in LAYERS if layer in value}


LayerWeights = Annotated[
    dict[LayerName, Annotated[float, Field(ge=0, allow_inf_nan=False)]],
    BeforeValidator(_layer_weights),
    Field(min_length=1),
    PlainSerializer(_in_layer_order),
]


def _size(value: object) -> object:
    """`512`, or `640x480` for `fit: exact`; range checked for both."""
    if isinstance(value, str) and re.fullmatch(r"\d+[xX]\d+", value.strip()):
        sides = [int(side) for side in value.strip().lower().split("x")]
        if all(16 <= side <= 32768 for side in sides):
            return f"{sides[0]}x{sides[1]}"
        raise ValueError("each side must be between 16 and 32768 px")
    if isinstance(value, bool):
        raise ValueError("must be a number of pixels, or WxH")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError("must be a number of pixels, or WxH") from None
    if not number.is_integer() or not 16 <= number <= 32768:
        raise ValueError("must be a whole number between 16 and 32768 px")
    return int(number)


def _steps(value: object) -> object:
    """`300`, or a list of each scale's own."""
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError("a list of steps needs at least one number")
        return tuple(_one_count(item) for item in value)
    return _one_count(value)


def _one_count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or int(value) != value:
        raise ValueError("must be a whole number, or a list of them")
    if not 1 <= value <= 1_000_000:
        raise ValueError("must be at least 1" if value < 1 else "must be at most 1,000,000")
    return int(value)


def _shares(value: object) -> object:
    """Weights of a blend's pictures; they are divided by their sum."""
    if value is None:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError("must be a list of weights, one for each of the blend's pictures")
    for weight in value:
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
            raise ValueError("weights must be numbers of at least 0")
    if not 0 < sum(value) < float("inf"):
        raise ValueError("weights must sum to more than 0")
    return tuple(float(weight) for weight in value)


def _color(value: str) -> str:
    try:
        ImageColor.getrgb(value)
    except ValueError:
        raise ValueError("must be a CSS color name, such as white, or #rrggbb") from None
    return value


def _setting(
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


class Settings(BaseModel):
    """Every parameter of one job, resolved."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: str = _setting("default", "the preset that the others start from", pixels=False)

    size: Annotated[int | str, BeforeValidator(_size)] = _setting(
        512, "the picture's side that `fit` names; WxH with `fit: exact`", "px",
        extra={"minimum": 16, "maximum": 32768},
    )  # fmt: skip
    fit: Literal["long", "short", "exact", "stretch"] = _setting(
        "long", "which side `size` means; exact scales and crops to WxH, stretch only scales"
    )
    scale_start: int = _setting(
        128, "long side of the first, coarsest scale; 0 works at full size only", "px",
        ge=0, le=32768,
    )  # fmt: skip
    scale_factor: float = _setting(
        1.6, "largest ratio of one scale's side to the one before", gt=1, le=8
    )
    steps: Annotated[int | tuple[int, ...], BeforeValidator(_steps)] = _setting(
        300, "optimizer steps, all scales together; or a list of each scale's, the last for all "
        "that follow", "steps", extra={"minimum": 1, "maximum": 1_000_000},
    )  # fmt: skip
    step_falloff: float = _setting(
        0.7, "each scale's number of steps over that of the one before", gt=0, le=10
    )
    detail: float = _setting(
        1.0, "share of the content's detail that a coarse scale lacks, put back at the next one",
        ge=0, le=1,
    )  # fmt: skip
    carry: bool = _setting(False, "keep the optimizer's memory from one scale to the next")
    tolerance: float = _setting(
        0.0, "a scale ends early for a job whose loss falls by less than this share in 10 steps; "
        "0 never", ge=0, lt=1,
    )  # fmt: skip

    init: str = _setting(
        "content", "first picture: content, gray, mean (ImageNet's mean color), noise (normal), "
        "uniform (noise), style_noise (of the style's mean and deviation), or a picture's file"
    )  # fmt: skip
    init_noise: float = _setting(
        0.0, "share of normal noise mixed into the first picture; 1 is nothing but noise",
        ge=0, le=1,
    )  # fmt: skip
    seed: int = _setting(0, "of every random draw of this job", ge=0, lt=2**63)

    loss: Literal["relative", "paper", "mean"] = _setting(
        "relative", "relative: each layer against its own target; paper: the 2016 sums; mean: mean "
        "squared errors, as most tools have them"
    )  # fmt: skip
    style_loss: Literal["gram", "mean_std", "wasserstein", "sliced_wasserstein"] = _setting(
        "gram", "what is compared of a style layer: Gram matrices, channels' means and deviations, "
        "Gaussians' distance, or sorted projections"
    )  # fmt: skip
    tv_loss: Literal["mean_squares", "sum_squares", "sum_absolute"] = _setting(
        "mean_squares", "what total variation does with the differences of neighboring pixels"
    )
    gradient_norm: float = _setting(
        0.0, "power of its L1 norm by which each layer's gradient is divided; 0 never, 1 wholly",
        ge=0, le=1,
    )  # fmt: skip
    content_weight: float = _setting(1.0, "weight of the content loss (alpha)", ge=0, le=1e15)
    style_weight: float = _setting(3.0, "weight of the style loss (beta)", ge=0, le=1e15)
    tv_weight: float = _setting(1.0, "weight of total variation; smooths", ge=0, le=1e15)
    content_layers: LayerWeights = _setting(
        {"conv4_2": 1.0}, "layers of the content loss, a list or {layer: weight}"
    )
    style_layers: LayerWeights = _setting(
        dict.fromkeys(STYLE_LAYERS, 0.2),
        "layers of the style loss, a list or {layer: weight}",
    )

    style_scale: float = _setting(
        1.0, "the style picture's size over the canvas's; larger gives larger strokes",
        ge=0.05, le=8,
    )  # fmt: skip
    blend: Annotated[tuple[float, ...] | None, BeforeValidator(_shares)] = _setting(
        None, "weights of a blended style's pictures, instead of those in `style`"
    )
    color: Literal["style", "preserve_luminance", "preserve_histogram", "original_colors"] = (
        _setting(
            "style", "style: the style's; preserve_luminance: only brightness is stylized; "
            "preserve_histogram: the style is given the content's colors first; "
            "original_colors: the content's chroma is put back at the end"
        )
    )  # fmt: skip
    color_transfer: Literal["cholesky", "image_analogies"] = _setting(
        "image_analogies", "how preserve_histogram matches colors"
    )

    optimizer: Literal["adam", "lbfgs"] = _setting("adam", "how the pixels are moved")
    learning_rate: float = _setting(
        0.05, "step length at the first scale; pixels span 0 to 1", gt=0, le=100
    )
    warmup: int = _setting(
        20, "steps over which the learning rate rises from zero at the beginning", "steps",
        ge=0, le=1_000_000,
    )  # fmt: skip
    learning_rate_falloff: float = _setting(
        0.7, "each scale's learning rate over that of the one before", gt=0, le=1
    )
    learning_rate_end: float = _setting(
        0.1, "learning rate at a scale's last step over that at its first", gt=0, le=1
    )
    adam_decay: float = _setting(0.99, "decay of Adam's mean of squared gradients", ge=0, lt=1)
    corrections: int = _setting(
        20, "pairs of steps and gradients that L-BFGS keeps", "pairs", ge=1, le=1000
    )
    clamp: bool = _setting(True, "keep the pixels between 0 and 1 after each step")
    average: float = _setting(
        0.95, "decay of the average of the iterates that is the result; 0 takes the last",
        ge=0, lt=1,
    )  # fmt: skip

    pooling: Literal["avg", "max", "l2"] = _setting(
        "avg", "pooling between the backbone's blocks; l2 is the root of the mean square"
    )
    pooling_scale: float = _setting(
        1.0, "factor on what pooling gives; in VGG-19 avg wants 2, l2 1.56 to be as strong as max",
        gt=0, le=10,
    )  # fmt: skip
    padding: Literal["replicate", "zeros", "reflect", "replicate_first"] = _setting(
        "replicate", "what a convolution sees beyond the picture's edge; replicate_first: zeros, "
        "but at the first layer"
    )  # fmt: skip
    normalized: bool = _setting(
        False, "rescale the backbone so that each filter's mean activation is 1"
    )

    precision: Literal["auto", "fp32", "bf16", "tf32"] = _setting(
        "auto", "of the convolutions: auto is bf16 where the hardware is faster with it, else fp32"
    )
    background: Annotated[str, AfterValidator(_color)] = _setting(
        "white", "color under transparent pictures, a CSS name or #rrggbb"
    )
    format: Literal["png", "jpg", "webp", "tiff"] = _setting("png", "of the written picture")
    quality: int = _setting(95, "of jpg and webp", ge=1, le=100)
    depth: Literal[8, 16] = _setting(8, "bits a channel; 16 for png and tiff", "bits")
    profile: Literal["srgb", "content"] = _setting(
        "srgb", "color profile of the written picture: sRGB, or the content picture's own"
    )
    exif: bool = _setting(False, "keep the content picture's EXIF data")
    save_every: int = _setting(
        0, "steps between pictures of the way there, kept in `frames/`; 0 keeps none", "steps",
        ge=0, le=1_000_000,
    )  # fmt: skip
    animation: Literal["none", "webp", "gif"] = _setting(
        "none", "an animation of the way there, kept in `animations/`"
    )

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, data: Any) -> Any:
        """What is not given comes from the preset, and only then from the table above."""
        if not isinstance(data, Mapping):
            return data
        return {**PRESETS.get(str(data.get("preset", "default")), {}), **data}

    def problem(self) -> str | None:
        """What is wrong between settings that are each right, or None."""
        both = self.fit in ("exact", "stretch")
        if both != isinstance(self.size, str):
            wanted = "size: WxH" if both else "fit: exact"
            return f"size {self.size} with fit {self.fit} does not go; {wanted} is needed"
        if self.depth == 16 and self.format not in ("png", "tiff"):
            return f"depth 16 with format {self.format} does not go; png or tiff is needed"
        if self.depth == 16 and self.profile == "content":
            return "depth 16 with profile content does not go; profile srgb is needed"
        if self.depth == 16 and self.format == "tiff" and self.exif:
            return "exif with depth 16 and format tiff does not go; format png is needed"
        return None

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that the losses need, in the network's order."""
        wanted = {*self.content_layers, *self.style_layers}
        return tuple(layer for layer in LAYERS if layer in wanted)

    def deciding_pixels(self) -> dict[str, Any]:
        """The settings that decide the output file, as plain values."""
        return self.model_dump(mode="json", exclude=_NOT_DECIDING)


INITS = ("content", "gray", "mean", "noise", "uniform", "style_noise")
# One optimizer run at one size and rate, as the older tools do.
_PLAIN: dict[str, Any] = {
    "scale_start": 0,
    "detail": 0.0,
    "warmup": 0,
    "learning_rate_falloff": 1.0,
    "learning_rate_end": 1.0,
    "clamp": False,
    "average": 0.0,
    "padding": "zeros",
    "precision": "fp32",  # differences of gradients are what L-BFGS learns from
}
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "preview": {
        "size": 256,
        "steps": 150,
        "scale_start": 96,
    },
    # Gatys, Ecker, Bethge, CVPR 2016: sections 2 and 3. Its L-BFGS is scipy's or Torch's by
    # implementation; number of steps and corrections are not in the paper.
    "gatys2016": _PLAIN
    | {
        "steps": 1000,
        "init": "noise",
        "loss": "paper",
        "content_weight": 1e-3,
        "style_weight": 1.0,
        "tv_weight": 0.0,
        "optimizer": "lbfgs",
        "learning_rate": 1.0,
        "corrections": 100,
        "normalized": True,
    },
    # neural_style.lua of github.com/jcjohnson/neural-style at 053a6e3 (options, ContentLoss,
    # GramMatrix, StyleLoss, TVLoss, `init == 'random'`); neural-style-pt has the same but for total
    # variation's absolute differences. Pixels there span 0 to 255: its TVLoss, half the sum of
    # squares, weighs 255^2 / 2 as much here.
    "neural-style": _PLAIN
    | {
        "size": 512,
        "steps": 1000,
        "init": "mean",
        "loss": "mean",
        "content_weight": 5.0,
        "style_weight": 100.0,
        "tv_weight": 1e-3 * 255**2 / 2,
        "tv_loss": "sum_squares",
        "content_layers": {"conv4_2": 1.0},
        "style_layers": dict.fromkeys(STYLE_LAYERS, 1.0),
        "optimizer": "lbfgs",
        "learning_rate": 1.0,
        "corrections": 100,
        "pooling": "max",
    },
    # style_transfer.py of github.com/crowsonkb/style-transfer-pytorch: the defaults of `stylize`,
    # StyleLossW2, ContentLossMSE, TVLoss, `gen_scales`, `scale_adam`.
    "style-transfer-pytorch": {
        "size": 512,
        "scale_start": 128,
        "scale_factor": 2**0.5,
        "steps": (1000, 500),
        "detail": 0.0,
        "carry": True,
        "loss": "mean",
        "style_loss": "wasserstein",
        "content_weight": 0.015,
        "style_weight": 1.0,
        "tv_weight": 2.0,
        "content_layers": {"conv4_2": 1.0},
        "style_layers": {
            layer: weight / 341
            for layer, weight in zip(STYLE_LAYERS, (256, 64, 16, 4, 1), strict=True)
        },
        "optimizer": "adam",
        "learning_rate": 0.02,
        "learning_rate_falloff": 1.0,
        "learning_rate_end": 1.0,
        "warmup": 0,
        "average": 0.99,
        "pooling": "max",
        "padding": "replicate_first",
        "precision": "fp32",
    },
    # What the common PyTorch tutorials share: Adam on pixels of 0 to 255 with learning rate 1 (so
    # 1/255 here), both pictures squeezed to a square, Gram matrices over c h w, alpha 1, beta 1e6.
    "tutorial": _PLAIN
    | {
        "size": "512x512",
        "fit": "stretch",
        "steps": 500,
        "init": "content",
        "loss": "mean",
        "content_weight": 1.0,
        "style_weight": 1e6,
        "tv_weight": 0.0,
        "content_layers": {"conv4_2": 1.0},
        "style_layers": dict.fromkeys(STYLE_LAYERS, 1.0),
        "optimizer": "adam",
        "learning_rate": 1 / 255,
        "adam_decay": 0.999,
        "pooling": "max",
    },
}
PRESET_HELP = {
    "default": "strong strokes and colors, the content still plain to see; any backbone",
    "preview": "a small, quick look at the same",
    "gatys2016": "Gatys, Ecker, Bethge (CVPR 2016): normalized network, average pooling, L-BFGS "
    "from white noise, alpha/beta 1e-3 (for VGG-19; with lite, content_weight 1e-5 is its like)",
    "neural-style": "the defaults of neural-style and neural-style-pt: L-BFGS from gray, max "
    "pooling, mean squared errors, 1000 steps (for Caffe's VGG-19 weights; with lite, style_weight "
    "1e4 and tv_weight 1e-3 are their like)",
    "style-transfer-pytorch": "the defaults of style-transfer-pytorch, for torchvision's VGG-19: "
    "Wasserstein style loss, Adam over scales of sqrt(2)",
    "tutorial": "the common PyTorch tutorial: Adam at one size from the content picture, 512 x 512 "
    "whatever its shape",
}
# Presets whose weights are for the features of one network, which lite's are far smaller than.
NOT_FOR_LITE = {
    "gatys2016": "content_weight 1e-5",
    "neural-style": "style_weight 1e4 and tv_weight 1e-3",
}
_NOT_DECIDING = {
    name
    for name, field in Settings.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and not field.json_schema_extra["pixels"]
}
