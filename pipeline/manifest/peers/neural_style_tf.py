"""neural-style-tf: neural_style.py of github.com/cysmith/neural-style-tf.

Its style loss is the paper's (1 / 4 N^2 M^2), divided by the number of layers and of styles;
weights of layers sum to 1. Its content loss has three factors K on sum (F - P)^2, of which two
depend on the picture's size. Total variation is of mean squares. Pixels span 0 to 255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from pipeline.layers import shrink_of
from pipeline.manifest.peers.translation import (
    CAFFE,
    ELSEWHERE,
    RELU_LAYERS,
    SHOWN,
    Option,
    Tool,
    Translation,
    chooses,
    flag,
    keeps,
    layers_of,
    notes,
    number,
    one_of,
    refuses,
    sets,
    take_styles,
)

_CHANNELS = (64, 128, 256, 512, 512)
_MASKS = (
    "one mask a style is not offered; paint one map of flat colors, and name each color's style: "
    "`masks: {content: ...}`, `regions:`"
)
_VIDEO = "a video's frames are named as `content: [frames/%04d.png]`, or the video itself"
_COLORS = ("yuv", "ycrcb", "luv", "lab")


def _finish(found: Translation, plain: Sequence[str]) -> None:
    own, settings = found.own, found.settings
    found.content = _below(own.get("content_dir", "./image_input"), found.content)
    styles = found.styles or ["style.jpg"]
    found.styles = [_below(own.get("style_dir", "./styles"), style) for style in styles]
    name = own.get("name", "result")
    found.output = str(PurePosixPath(own.get("output_dir", "./image_output")) / f"{name}.png")
    found.backbone = CAFFE
    most = int(own.get("max_size", 512))
    settings |= {"size": "original", "max_size": most}
    settings.setdefault("pooling", "avg")
    settings["loss"], settings["tv_loss"] = "paper", "mean_squares"
    settings["tv_weight"] = settings.get("tv_weight", 1e-3 * 255**2)
    settings.setdefault("corrections", 10)  # SciPy's
    _weigh(found, most)
    _begin(found)
    if settings.get("optimizer") == "adam":
        settings["learning_rate"] = own.get("learning_rate", 1.0) / 255
        settings["adam_decay"] = 0.999
    if own.get("original_colors"):
        settings["color"] = "original_colors"
    if own.get("color_space", "yuv") != "yuv":
        found.notes.append("--color_convert_type: brightness and chroma are split as in YUV")
    found.notes.append("styles: squeezed to the content's shape there, here they keep their own")


def _below(folder: str, name: str) -> str:
    return str(PurePosixPath(folder) / name)


def _weigh(found: Translation, most: int) -> None:
    """Weights of layers and losses."""
    own, settings = found.own, found.settings
    weights = own.get("style_weights", [1.0])
    if len(found.styles) > 1:
        found.weights = weights if len(weights) > 1 else [1.0] * len(found.styles)
    layers = layers_of(found, own.get("style_layers", RELU_LAYERS))
    shares = _shares(own.get("style_layer_weights", [1.0] * len(layers)), layers)
    settings["style_layers"] = {n: w / len(layers) for n, w in shares.items()}
    settings["style_weight"] = own.get("style_weight", 1e4) / len(found.styles)
    layers = layers_of(found, own.get("content_layers", ["conv4_2"]))
    shares = _shares(own.get("content_layer_weights", [1.0] * len(layers)), layers)
    kind = own.get("content_loss", 1)
    settings["content_layers"] = {
        n: 2 * _factor(found, kind, n, most) * w / len(layers) for n, w in shares.items()
    }
    settings["content_weight"] = own.get("content_weight", 5.0)


def _shares(weights: Sequence[float], layers: Sequence[str]) -> dict[str, float]:
    """Each layer's share; those tools take as many as both lists have."""
    total = sum(weights)
    return {n: w / total for n, w in zip(layers, weights, strict=False) if w}


def _factor(found: Translation, kind: int, layer: str, most: int) -> float:
    """K of the content loss K sum (F - P)^2."""
    if kind == 3:
        return 0.5
    width, height = found.shape("the content loss")
    scale = min(1.0, most / max(width, height)) if max(width, height) > 16 else most / width
    side = shrink_of(layer)
    positions = (width * scale // side) * (height * scale // side)
    values = _CHANNELS[int(layer[4]) - 1] * max(positions, 1)
    return 1 / values if kind == 2 else 0.5 / math.sqrt(values)


def _begin(found: Translation) -> None:
    """The first picture."""
    own, settings = found.own, found.settings
    kind, ratio = own.get("init", "content"), own.get("noise_ratio", 1.0)
    if kind == "style":
        settings["init"] = found.styles[0]
    elif kind == "random" and ratio >= 1:
        settings["init"] = "mean"
        found.notes.append("--init_img_type random: gray there, with noise of 20 in 255, left out")
    elif kind == "random":
        settings |= {"init": "content", "init_noise": ratio}
        found.notes.append("--noise_ratio: noise is uniform and gray there, here it is normal")
    else:
        settings["init"] = "content"


def _words(text: str) -> int:
    return int(one_of({"1": 1, "2": 2, "3": 3}, text))


def _color_space(text: str) -> str:
    return str(one_of({name: name for name in _COLORS}, text))


def _numbers(name: str) -> Option:
    return keeps(name, lambda text: float(number(text)), -1)


_CHOICES: dict[str, Any] = {name: name for name in ("random", "content", "style")}
_OPTIONS: dict[str, Option] = {
    **notes(SHOWN, "--verbose", least=0, most=0),
    "--img_name": keeps("name"),
    "--style_imgs": Option(take_styles, 1, -1),
    "--style_imgs_weights": _numbers("style_weights"),
    "--content_img": Option(lambda found, values: setattr(found, "content", values[0])),
    "--style_imgs_dir": keeps("style_dir"),
    "--content_img_dir": keeps("content_dir"),
    "--init_img_type": keeps("init", lambda text: one_of(_CHOICES, text)),
    "--max_size": keeps("max_size", number),
    "--content_weight": keeps("content_weight", number),
    "--style_weight": keeps("style_weight", number),
    "--tv_weight": sets("tv_weight", 255**2),
    "--content_loss_function": keeps("content_loss", _words),
    "--content_layers": keeps("content_layers", most=-1),
    "--style_layers": keeps("style_layers", most=-1),
    "--content_layer_weights": _numbers("content_layer_weights"),
    "--style_layer_weights": _numbers("style_layer_weights"),
    "--original_colors": flag("original_colors"),
    "--color_convert_type": keeps("color_space", _color_space),
    "--style_mask": refuses(_MASKS, 0),
    "--style_mask_imgs": refuses(_MASKS),
    "--noise_ratio": keeps("noise_ratio", number),
    "--seed": sets("seed"),
    **notes("the network is Caffe's VGG-19, from the extra vgg19", "--model_weights"),
    "--pooling_type": chooses("pooling", {"avg": "avg", "max": "max"}),
    **notes(ELSEWHERE, "--device"),
    "--img_output_dir": keeps("output_dir"),
    "--optimizer": chooses("optimizer", {"lbfgs": "lbfgs", "adam": "adam"}),
    "--learning_rate": keeps("learning_rate", number),
    "--max_iterations": sets("steps"),
    **notes(SHOWN, "--print_iterations"),
    "--video": refuses(_VIDEO, 0),
}
NEURAL_STYLE_TF = Tool("neural-style", _OPTIONS, _finish, ("neural-style-tf",))
