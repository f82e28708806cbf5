"""style-transfer-pytorch: `style_transfer/cli.py` and `StyleTransfer.stylize` of
github.com/crowsonkb/style-transfer-pytorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath

from pipeline.errors import ManifestError
from pipeline.manifest.peers.translation import (
    ELSEWHERE,
    Option,
    Tool,
    Translation,
    chooses,
    keeps,
    notes,
    number,
    one_of,
    sets,
    takes,
)

_POOLING = {"max": ("max", 1.0), "average": ("avg", 2.0), "l2": ("l2", 1.56)}
_INITS = {
    "content": "content",
    "gray": "gray",
    "uniform": "uniform",
    "random": "uniform",
    "normal": "noise",
    "style_stats": "style_noise",
    "style_mean": "style_noise",
}
_WEB = "nst status --watch and the report show a run"


def _weights(found: Translation, values: Sequence[str]) -> None:
    found.weights = [float(number(value)) for value in values]


def _pooling(found: Translation, values: Sequence[str]) -> None:
    name, scale = one_of(_POOLING, values[0])
    found.settings["pooling"], found.settings["pooling_scale"] = name, scale


def _finish(found: Translation, plain: Sequence[str]) -> None:
    if len(plain) < 2:
        raise ManifestError(["a content and at least one style picture are needed"])
    found.content, found.styles = plain[0], list(plain[1:])
    settings, own = found.settings, found.own
    if "end_scale" in own:
        settings["size"] = _end_scale(found, own["end_scale"])
    if {"first_steps", "steps"} & own.keys():
        settings["steps"] = [int(own.get("first_steps", 1000)), int(own.get("steps", 500))]
    if settings.get("optimizer") == "lbfgs":  # torch's, anew at each scale, with no bounds
        settings |= {"learning_rate": 1.0, "corrections": 10, "clamp": False, "carry": False}
        if "step_size" in own:
            found.notes.append("--step-size: is adam's; L-BFGS has 1 there")
    elif "step_size" in own:
        settings["learning_rate"] = own["step_size"]
    if PurePath(found.output).suffix.lower() in (".tif", ".tiff"):
        settings["depth"] = 16


def _end_scale(found: Translation, text: str) -> float | int:
    """`512`; or `512+`, the long side with which a picture has the area of such a square."""
    if not text.endswith("+"):
        return number(text)
    side = number(text[:-1])
    width, height = found.shape(f"--end-scale {text}")
    return int(math.sqrt(max(width, height) / min(width, height)) * side)


_OPTIONS: dict[str, Option] = {
    "--output": takes("output"),
    "--style-weights": Option(_weights, 1, -1),
    **notes(ELSEWHERE, "--devices", "--device", most=-1),
    "--random-seed": sets("seed"),
    "--content-weight": sets("content_weight"),
    "--tv-weight": sets("tv_weight"),
    "--optimizer": chooses("optimizer", {"adam": "adam", "lbfgs": "lbfgs"}),
    "--min-scale": sets("scale_start"),
    "--end-scale": keeps("end_scale"),
    "--iterations": keeps("steps", number),
    "--initial-iterations": keeps("first_steps", number),
    "--save-every": sets("save_every"),
    "--step-size": keeps("step_size", number),
    "--avg-decay": sets("average"),
    "--init": chooses("init", _INITS),
    "--style-scale-fac": sets("style_scale"),
    **notes("one size at all scales is not offered; style_scale is in proportion", "--style-size"),
    "--pooling": Option(_pooling),
    **notes("the profile of the display is its own affair; profile: content keeps one", "--proof"),
    **notes(_WEB, "--web", least=0, most=0),
    **notes(_WEB, "--host", "--port"),
    **notes(_WEB, "--browser", least=0, most=-1),
}
_SHORT = {
    "-o": "--output",
    "-sw": "--style-weights",
    "--style-img-weights": "--style-weights",
    "-r": "--random-seed",
    "-cw": "--content-weight",
    "-tw": "--tv-weight",
    "-ms": "--min-scale",
    "-s": "--end-scale",
    "-i": "--iterations",
    "-ii": "--initial-iterations",
    "-ss": "--step-size",
    "-ad": "--avg-decay",
}
STYLE_TRANSFER_PYTORCH = Tool(
    "style-transfer-pytorch",
    _OPTIONS,
    _finish,
    ("style_transfer", "style-transfer-pytorch"),
    _SHORT,
    "a content and style pictures",
)
