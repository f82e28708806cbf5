"""pastiche: pastiche.py of github.com/dstein64/pastiche.

Mean squared errors of features, weighed 0.01, and of Gram matrices over their positions, weighed
10 / N^2. Pixels span 0 to 255; total variation is half the mean absolute differences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.errors import ManifestError
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
    sets,
    take_styles,
    takes,
)

_CHANNELS = (64, 128, 256, 512, 512)
_STYLE = "styles grow with the canvas, so strokes keep their share of it (`style_scale`)"


def _finish(found: Translation, plain: Sequence[str]) -> None:
    own, settings = found.own, found.settings
    if not found.styles:
        raise ManifestError(["--styles: a style picture is needed"])
    found.backbone = CAFFE
    width, height = _canvas(found)
    settings["size"] = max(width, height)
    settings["init"] = "mean" if own.get("random") else own.get("init", "content")
    if own.get("random"):
        found.notes.append("--random-init: gray there, with noise of 1 in 255, left out")
    _weigh(found)
    weight = own.get("tv_weight", 0.0) * 0.5 * 255 / (3 * width * height)
    settings["tv_loss"], settings["tv_weight"] = "sum_absolute", weight
    if settings.get("optimizer") == "adam":
        settings["learning_rate"], settings["adam_decay"] = 1 / 255, 0.999
    if own.get("preserve_color"):
        settings["color"], settings["color_transfer"] = "preserve_histogram", "image_analogies"
    if own.get("workspace"):
        settings["save_every"] = own.get("workspace_step", 10)


def _canvas(found: Translation) -> tuple[int, int]:
    """Width and height that it would have: a longer side, or an area."""
    own = found.own
    width, height = found.shape("the picture's size")
    if "size" in own:
        side = max(width, height)
        return round(own["size"] * width / side), round(own["size"] * height / side)
    tall = round(math.sqrt(own.get("pixels", 500**2) * height / width))
    return round(width / height * tall), tall


def _weigh(found: Translation) -> None:
    """Weights of layers and losses; of too few weights the last counts for the rest."""
    own, settings = found.own, found.settings
    count = len(found.styles)
    weights = [*own.get("style_weights", [])]
    weights += [1 / count] * (1 if len(weights) < count else 0)
    weights = (weights + [1 / count] * count)[:count]
    if count > 1:
        found.weights = weights
    settings["style_weight"] = sum(weights)
    layers = layers_of(found, own.get("style_layers", RELU_LAYERS))
    given = own.get("style_layer_weights") or None
    each = _each(given, len(layers)) or [10 / _channels(layer) ** 2 for layer in layers]
    # A mean over N^2 there; `loss: mean` divides by N^4.
    settings["style_layers"] = {n: w * _channels(n) ** 2 for n, w in zip(layers, each, strict=True)}
    layers = layers_of(found, own.get("content_layers", ["relu4_2"]))
    each = _each(own.get("content_layer_weights"), len(layers)) or [0.01] * len(layers)
    settings["content_layers"] = dict(zip(layers, each, strict=True))
    settings["content_weight"] = own.get("content_weight", 1.0)


def _each(weights: Sequence[float] | None, count: int) -> list[float]:
    return [*weights, *[weights[-1]] * count][:count] if weights else []


def _channels(layer: str) -> int:
    return _CHANNELS[int(layer[4]) - 1]


def _number(text: str) -> float:
    return float(number(text))


_OPTIONS: dict[str, Option] = {
    "--content": takes("content"),
    "--styles": Option(take_styles, 1, -1),
    "--output": takes("output"),
    **notes(ELSEWHERE, "--device"),
    **notes("one picture is not split over devices; tiles make it fit one",
            "--supplemental-device", least=2, most=2),
    "--seed": sets("seed"),
    **notes("`nst batch --deterministic`", "--deterministic", least=0, most=0),
    "--pooling": chooses("pooling", {"max": "max", "avg": "avg"}),
    "--optimizer": chooses("optimizer", {"adam": "adam", "lbfgs": "lbfgs"}),
    "--num-steps": sets("steps"),
    "--content-layers": keeps("content_layers", most=-1),
    "--style-layers": keeps("style_layers", most=-1),
    "--content-layer-weights": keeps("content_layer_weights", _number, -1),
    "--style-layer-weights": keeps("style_layer_weights", _number, -1),
    "--content-weight": keeps("content_weight", _number),
    "--style-weights": keeps("style_weights", _number, -1),
    "--tv-weight": keeps("tv_weight", _number),
    **notes(SHOWN, "--no-verbose", least=0, most=0),
    **notes(SHOWN, "--info-step"),
    "--workspace": keeps("workspace"),
    **notes("`frames/` in the run folder", "--workspace-prefix"),
    "--workspace-step": keeps("workspace_step", number),
    "--random-init": flag("random"),
    "--init": keeps("init"),
    "--size-pixels": keeps("pixels", number),
    "--size": keeps("size", number),
    **notes(_STYLE, "--style-size-pixels", "--style-size"),
    "--preserve-color": flag("preserve_color"),
}  # fmt: skip
_SHORT = {"-c": "--content", "-s": "--styles", "-o": "--output", "-d": "--device"}
PASTICHE = Tool("neural-style", _OPTIONS, _finish, ("pastiche",), _SHORT)
