"""Neural-Style-Transfer: Network.py of github.com/titu1994/Neural-Style-Transfer.

Pictures are squeezed to a square. Gram matrices are not divided; their squared differences are, by
36 times the square of the canvas's pixels. Content is a sum of squares with one of three factors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pipeline.errors import ManifestError
from pipeline.manifest.peers.translation import (
    CAFFE,
    SHOWN,
    Option,
    Tool,
    Translation,
    chooses,
    keeps,
    layers_of,
    notes,
    number,
    one_of,
    refuses,
)
from pipeline.manifest.presets import STYLE_LAYERS

_CHANNELS = (64, 128, 256, 512, 512)
_EVALUATIONS = 20  # of each of its iterations
# Its total variation has a power of 1.25 of squared differences; this is that power's share for
# differences of 5% between neighbors.
_POWER = (2 * 0.05**2) ** 0.25
_MASKS = "one mask a style is not offered; paint one map of flat colors: `masks`, `regions`"


def _finish(found: Translation, plain: Sequence[str]) -> None:
    if len(plain) < 3:
        raise ManifestError(["a content picture, style pictures and a result's prefix are needed"])
    own, settings = found.own, found.settings
    found.content, found.styles = plain[0], list(plain[1:-1])
    found.output = f"{plain[-1]}.png"
    side = int(own.get("size", 400))
    settings |= {"size": f"{side}x{side}", "fit": "stretch", "loss": "paper"}
    found.notes.append("--image_size: a square there, stretched to the picture's shape at the end")
    if own.get("model", "vgg16") == "vgg19":
        found.backbone = CAFFE
    else:
        found.backbone = {"name": "vgg16"}
        found.notes.append("--model: Caffe's VGG-16 there; here the weights that are at hand")
    settings["steps"] = own.get("iterations", 10) * _EVALUATIONS
    settings["corrections"] = 10  # SciPy's
    settings.setdefault("init", "content")
    _weigh(found, side)
    if own.get("preserve_color"):
        settings["color"] = "original_colors"


def _weigh(found: Translation, side: int) -> None:
    """Weights of layers and losses."""
    own, settings = found.own, found.settings
    weights = own.get("style_weights", [1.0])
    if len(weights) != len(found.styles):
        weights = [sum(weights) / len(found.styles)] * len(found.styles)
    if len(weights) > 1:
        found.weights = weights
    settings["style_weight"] = sum(weights) * own.get("style_scale", 1.0)
    # sum (G - A)^2 / 36 S^2, with M = S / 4^(block - 1) positions; `loss: paper` is 1 / 4 N^2.
    settings["style_layers"] = {
        layer: _CHANNELS[block] ** 2 / (9 * 16**block) / len(STYLE_LAYERS)
        for block, layer in enumerate(STYLE_LAYERS)
    }
    (layer,) = layers_of(found, [own.get("content_layer", "conv5_2").replace("conv", "relu")])
    settings["content_layers"] = {layer: 1.0}
    values = _CHANNELS[int(layer[4]) - 1] * side**2
    factor = {0: 1.0, 1: 0.5 / math.sqrt(values), 2: 1 / values}[own.get("content_type", 0)]
    settings["content_weight"] = 2 * factor * own.get("content_weight", 0.025)
    settings["tv_loss"] = "sum_squares"
    settings["tv_weight"] = own.get("tv_weight", 8.5e-5) * 255**2.5 * _POWER
    found.notes.append("--total_variation_weight: a power of 1.25 there, here of 1")


def _yes(text: str) -> bool:
    return text.lower() in ("true", "yes", "t", "1")


_KINDS: dict[str, Any] = {"0": 0, "1": 1, "2": 2}
_MODELS: dict[str, Any] = {"vgg16": "vgg16", "vgg19": "vgg19"}
_INITS = {"content": "content", "noise": "uniform", "gray": "gray"}
_SHAPE = "pictures keep the content's shape; another size is `size`"
_OPTIONS: dict[str, Option] = {
    "--style_masks": refuses(_MASKS),
    "--color_mask": refuses("colors are kept everywhere or nowhere (`color: original_colors`)"),
    "--image_size": keeps("size", number),
    "--content_weight": keeps("content_weight", number),
    "--style_weight": keeps("style_weights", lambda text: float(number(text)), -1),
    "--style_scale": keeps("style_scale", number),
    "--total_variation_weight": keeps("tv_weight", number),
    "--num_iter": keeps("iterations", number),
    "--model": keeps("model", lambda text: one_of(_MODELS, text)),
    "--content_loss_type": keeps("content_type", lambda text: one_of(_KINDS, text)),
    **notes(_SHAPE, "--rescale_image", "--rescale_method", "--maintain_aspect_ratio"),
    "--content_layer": keeps("content_layer"),
    "--init_image": chooses("init", _INITS),
    "--pool_type": chooses("pooling", {"ave": "avg", "max": "max"}),
    "--preserve_color": keeps("preserve_color", _yes),
    **notes(f"`tolerance` ends a job early; {SHOWN}", "--min_improvement"),
}
KERAS_NST = Tool(
    "neural-style",
    _OPTIONS,
    _finish,
    ("Network.py", "neural-style-transfer"),
    takes="a content, style pictures and a prefix",
)
