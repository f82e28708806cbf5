"""The types of settings whose values are more than a number or a word.

In: values as people write them. Out: values of one form. Knows no defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from pipeline.layers import LAYERS, layer_named
from pipeline.manifest.networks import plain_backbone

LayerName = Literal[
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4",
    "conv4_1", "conv4_2", "conv4_3", "conv4_4", "conv5_1", "conv5_2", "conv5_3", "conv5_4",
]  # fmt: skip


def _layer_weights(value: object) -> object:
    """A list of layers means equal weights that sum to 1; a mapping is taken as it is.

    Names may be spelled as others do: `relu4_2`, `r42`, `block4_conv2`.
    """
    if isinstance(value, str):
        value = [value]
    if isinstance(value, (list, tuple)):
        named = [_layer_name(layer) for layer in value]
        if len(set(named)) != len(named):
            raise ValueError("a layer is named twice")
        return {layer: 1 / len(named) for layer in named}
    if isinstance(value, Mapping):
        found = {_layer_name(layer): weight for layer, weight in value.items()}
        if len(found) != len(value):
            raise ValueError("a layer is named twice")
        return found
    return value


def _layer_name(written: object) -> str:
    """The layer that is meant, or what was written, for the message that it is none."""
    return layer_named(str(written)) or str(written)


def _in_layer_order(value: dict[str, float]) -> dict[str, float]:
    return {layer: float(value[layer]) for layer in LAYERS if layer in value}


LayerWeights = Annotated[
    dict[LayerName, Annotated[float, Field(ge=0, allow_inf_nan=False)]],
    BeforeValidator(_layer_weights),
    Field(min_length=1),
    PlainSerializer(_in_layer_order),
]


# As `size`: each content picture's own.
ORIGINAL = "original"


def _size(value: object) -> object:
    """`512`, `original`, or `640x480` for `fit: exact`; range checked."""
    if isinstance(value, str) and value.strip().lower() == ORIGINAL:
        return ORIGINAL
    if isinstance(value, str) and re.fullmatch(r"\d+[xX]\d+", value.strip()):
        sides = [int(side) for side in value.strip().lower().split("x")]
        if all(16 <= side <= 32768 for side in sides):
            return f"{sides[0]}x{sides[1]}"
        raise ValueError("each side must be between 16 and 32768 px")
    if isinstance(value, bool):
        raise ValueError("must be a number of pixels, WxH, or original")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError("must be a number of pixels, WxH, or original") from None
    if not number.is_integer() or not 16 <= number <= 32768:
        raise ValueError("must be a whole number between 16 and 32768 px")
    return int(number)


# As `size_step`: by the size.
AUTO = "auto"


def _size_step(value: object) -> object:
    """`16`, or `auto`; range checked."""
    if isinstance(value, str) and value.strip().lower() == AUTO:
        return AUTO
    whole = isinstance(value, (int, float)) and not isinstance(value, bool) and value % 1 == 0
    if not whole or not 1 <= value <= 256:  # type: ignore[operator]
        raise ValueError("must be auto or a whole number between 1 and 256 px")
    return int(value)  # type: ignore[call-overload]


def _steps(value: object) -> object:
    """`300`, or a list of each scale's own."""
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError("a list of steps needs at least one number")
        return tuple(_one_count(item) for item in value)
    return _one_count(value)


def _one_count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1 != 0:
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


def _color_name(value: str) -> str:
    from PIL import ImageColor  # here alone: most settings name no color, and it takes a while

    try:
        ImageColor.getrgb(value)
    except ValueError:
        raise ValueError("must be a CSS color name, such as white, or #rrggbb") from None
    return value


NamedBackbone = Annotated[str | dict[str, str] | None, BeforeValidator(plain_backbone)]
Size = Annotated[int | str, BeforeValidator(_size)]
SizeStep = Annotated[int | Literal["auto"], BeforeValidator(_size_step)]
Steps = Annotated[int | tuple[int, ...], BeforeValidator(_steps)]
Shares = Annotated[tuple[float, ...] | None, BeforeValidator(_shares)]
ColorName = Annotated[str, AfterValidator(_color_name)]
