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


def _colour(value: str) -> str:
    try:
        ImageColor.getrgb(value)
    except ValueError:
        raise ValueError("must be a CSS colour name, such as white, or #rrggbb") from None
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
    fit: Literal["long", "short", "exact"] = _setting(
        "long", "which side `size` means; exact scales and crops to WxH"
    )
    scale_start: int = _setting(
        128, "long side of the first, coarsest scale; 0 works at full size only", "px",
        ge=0, le=32768,
    )  # fmt: skip
    scale_factor: float = _setting(
        1.6, "largest ratio of one scale's side to the one before", gt=1, le=8
    )
    steps: int = _setting(300, "optimiser steps, all scales together", "steps", ge=1, le=1_000_000)
    step_falloff: float = _setting(
        0.7, "each scale's number of steps over that of the one before", gt=0, le=10
    )
    detail: float = _setting(
        1.0, "share of the content's detail that a coarse scale lacks, put back at the next one",
        ge=0, le=1,
    )  # fmt: skip
    carry: bool = _setting(False, "keep the optimiser's memory from one scale to the next")
    tolerance: float = _setting(
        0.0, "a scale ends early for a job whose loss falls by less than this share in 10 steps; "
        "0 never", ge=0, lt=1,
    )  # fmt: skip

    init: str = _setting("content", "first picture: content, noise, or a picture's file")
    init_noise: float = _setting(
        0.0, "deviation of the noise added to the first picture, 0 none, 1 full range",
        ge=0, le=1,
    )  # fmt: skip
    seed: int = _setting(0, "of every random draw of this job", ge=0, lt=2**63)

    loss: Literal["relative", "paper"] = _setting(
        "relative", "relative: each layer against its own target; paper: the 2016 sums"
    )
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

    optimiser: Literal["adam", "lbfgs"] = _setting("adam", "how the pixels are moved")
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
    corrections: int = _setting(
        20, "pairs of steps and gradients that L-BFGS keeps", "pairs", ge=1, le=1000
    )
    clamp: bool = _setting(True, "keep the pixels between 0 and 1 after each step")
    average: float = _setting(
        0.95, "decay of the average of the iterates that is the result; 0 takes the last",
        ge=0, lt=1,
    )  # fmt: skip

    pooling: Literal["avg", "max"] = _setting("avg", "pooling between the backbone's blocks")
    padding: Literal["replicate", "zeros", "reflect"] = _setting(
        "replicate", "what a convolution sees beyond the picture's edge"
    )
    normalised: bool = _setting(
        False, "rescale the backbone so that each filter's mean activation is 1"
    )

    precision: Literal["auto", "fp32", "bf16", "tf32"] = _setting(
        "auto", "of the convolutions: auto is bf16 where the hardware is faster with it, else fp32"
    )
    background: Annotated[str, AfterValidator(_colour)] = _setting(
        "white", "colour under transparent pictures, a CSS name or #rrggbb"
    )
    format: Literal["png", "jpg", "webp", "tiff"] = _setting("png", "of the written picture")
    quality: int = _setting(95, "of jpg and webp", ge=1, le=100)

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, data: Any) -> Any:
        """What is not given comes from the preset, and only then from the table above."""
        if not isinstance(data, Mapping):
            return data
        return {**PRESETS.get(str(data.get("preset", "default")), {}), **data}

    def problem(self) -> str | None:
        """What is wrong between settings that are each right, or None."""
        if (self.fit == "exact") != isinstance(self.size, str):
            wanted = "size: WxH" if self.fit == "exact" else "fit: exact"
            return f"size {self.size} with fit {self.fit} does not go; {wanted} is needed"
        return None

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that the losses need, in the network's order."""
        wanted = {*self.content_layers, *self.style_layers}
        return tuple(layer for layer in LAYERS if layer in wanted)

    def deciding_pixels(self) -> dict[str, Any]:
        """The settings that decide the output file, as plain values."""
        return self.model_dump(mode="json", exclude=_NOT_DECIDING)


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "preview": {
        "size": 256,
        "steps": 150,
        "scale_start": 96,
    },
    "gatys2016": {
        "scale_start": 0,
        "steps": 1000,
        "init": "noise",
        "loss": "paper",
        "content_weight": 1e-3,
        "style_weight": 1.0,
        "tv_weight": 0.0,
        "optimiser": "lbfgs",
        "learning_rate": 1.0,
        "learning_rate_end": 1.0,
        "warmup": 0,
        "corrections": 100,
        "clamp": False,
        "average": 0.0,
        "padding": "zeros",
        "normalised": True,
        "precision": "fp32",  # differences of gradients are what L-BFGS learns from
    },
}
PRESET_HELP = {
    "default": "strong strokes and colours, the content still plain to see; any backbone",
    "preview": "a small, quick look at the same",
    "gatys2016": "Gatys, Ecker, Bethge (CVPR 2016): normalised network, average pooling, L-BFGS "
    "from white noise, alpha/beta 1e-3 (for VGG-19; with lite, content_weight 1e-5 is its like)",
}
_NOT_DECIDING = {
    name
    for name, field in Settings.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and not field.json_schema_extra["pixels"]
}
