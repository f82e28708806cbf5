"""Other tools' command lines as manifests.

In: the words of a command. Out: the manifest that does the same, as YAML, with a comment for each
option that has no place in a manifest. Runs nothing and reads no picture.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import yaml

from pipeline.errors import ManifestError
from pipeline.layers import layer_named
from pipeline.manifest.check import settings_problems


@dataclass
class _Translation:
    """What was understood of a command so far."""

    preset: str
    content: str = "content.jpg"
    styles: list[str] = field(default_factory=list)
    weights: list[float] | None = None
    output: str = "out.png"
    backbone: Any = "vgg19"
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


Act = Callable[[_Translation, str], None]


@dataclass(frozen=True)
class _Option:
    """One option of another tool.

    Attributes:
        act: takes the value into the translation.
        count: values that follow it: 0, 1, or -1 for all up to the next option.
    """

    act: Act
    count: int = 1


def _number(text: str) -> float | int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ManifestError([f"{text!r} is no number"])
    return int(value) if value.is_integer() and "e" not in text.lower() else value


def _sets(name: str, factor: float = 1.0) -> _Option:
    def act(found: _Translation, text: str) -> None:
        value = _number(text)
        found.settings[name] = value if factor == 1 else value * factor

    return _Option(act)


def _chooses(name: str, values: Mapping[str, Any]) -> _Option:
    def act(found: _Translation, text: str) -> None:
        if text not in values:
            raise ManifestError([f"{text!r} is none of {', '.join(values)}"])
        found.settings[name] = values[text]

    return _Option(act)


def _note(why: str, count: int = 1) -> _Option:
    """An option without a setting; the manifest says what there is instead."""
    return _Option(lambda found, text: found.notes.append(f"{text}: {why}"), count)


def _takes(name: str) -> _Option:
    return _Option(lambda found, text: setattr(found, name, text))


def _style_list(found: _Translation, text: str) -> None:
    found.styles = text.split(",")


def _blend_weights(found: _Translation, text: str) -> None:
    if text != "nil":
        found.weights = [float(_number(part)) for part in text.split(",")]


def _layers(name: str, weight: float = 1.0) -> _Option:
    """`relu4_2`; what the older tools take before the ReLU (`conv4_2`) is taken after it here."""

    def act(found: _Translation, text: str) -> None:
        layers = {}
        for part in text.split(","):
            layer = layer_named(part)
            if layer is None:
                raise ManifestError([f"{part!r} is no layer such as relu4_2"])
            layers[layer] = weight
            if part.strip().startswith("conv"):
                found.notes.append(f"{part}: taken after its ReLU, not before")
        found.settings[name] = layers

    return _Option(act)


def _neural_init(found: _Translation, text: str) -> None:
    if text not in ("random", "image"):
        raise ManifestError([f"-init {text!r} is none of random, image"])
    found.settings["init"] = "mean" if text == "random" else "content"


def _init_image(found: _Translation, text: str) -> None:
    if text:
        found.settings["init"] = text


def _adam_rate(found: _Translation, text: str) -> None:
    found.settings["learning_rate"] = float(_number(text))


def _normalize(found: _Translation, text: str) -> None:
    found.settings["gradient_norm"] = _number(text) if text else 1


# What stands for these tools' own weight file.
_CAFFE = "the same network is taken, Caffe's VGG-19, from the extra vgg19"


def _model(found: _Translation, text: str) -> None:
    if text.endswith(".caffemodel"):
        other = "another network, which is none here; Caffe's VGG-19 is taken (the extra vgg19)"
        known = _CAFFE if "19" in text else other
        found.notes.append(f"{text}: Caffe's own format is not read; {known}")
        found.backbone = {"name": "vgg19", "weights": "caffe"}
    elif "vgg16" in text.lower():
        found.backbone = {"name": "vgg16", "weights": text, "preprocessing": "caffe"}
    else:
        found.backbone = {"name": "vgg19", "weights": text}


def _colors(found: _Translation, text: str) -> None:
    found.settings["color"] = "original_colors" if _number(text) else "style"


_ELSEWHERE = "chosen with `nst batch --devices`"
_NEURAL_STYLE: dict[str, _Option] = {
    "-style_image": _Option(_style_list),
    "-style_blend_weights": _Option(_blend_weights),
    "-content_image": _takes("content"),
    "-image_size": _sets("size"),
    "-gpu": _note(_ELSEWHERE),
    "-multigpu_strategy": _note("one picture is never split over GPUs; large ones go by tiles"),
    "-multidevice_strategy": _note("one picture is never split over GPUs; large ones go by tiles"),
    "-content_weight": _sets("content_weight"),
    "-style_weight": _sets("style_weight"),
    "-tv_weight": _sets("tv_weight", 255**2 / 2),
    "-num_iterations": _sets("steps"),
    "-normalize_gradients": _Option(_normalize),
    "-init": _Option(_neural_init),
    "-init_image": _Option(_init_image),
    "-optimizer": _chooses("optimizer", {"lbfgs": "lbfgs", "adam": "adam"}),
    "-learning_rate": _Option(_adam_rate),
    "-lbfgs_num_correction": _sets("corrections"),
    "-print_iter": _note("progress is always shown, and losses are in the record"),
    "-save_iter": _sets("save_every"),
    "-output_image": _takes("output"),
    "-style_scale": _sets("style_scale"),
    "-original_colors": _Option(_colors),
    "-pooling": _chooses("pooling", {"max": "max", "avg": "avg"}),
    "-proto_file": _note("the network's shape is known"),
    "-model_file": _Option(_model),
    "-disable_check": _note("weight files are always checked", 0),
    "-backend": _note("torch chooses"),
    "-cudnn_autotune": _note("torch chooses", 0),
    "-seed": _sets("seed"),
    "-content_layers": _layers("content_layers"),
    "-style_layers": _layers("style_layers"),
}


def _style_weights(found: _Translation, text: str) -> None:
    found.weights = [*(found.weights or []), float(_number(text))]


def _scale_steps(first: bool) -> _Option:
    def act(found: _Translation, text: str) -> None:
        before = found.settings.get("steps", [1000, 500])
        value = int(_number(text))
        found.settings["steps"] = [value, before[1]] if first else [before[0], value]

    return _Option(act)


_POOLING_SCALES = {"max": 1.0, "average": 2.0, "l2": 1.56}


def _pooling(found: _Translation, text: str) -> None:
    if text not in _POOLING_SCALES:
        raise ManifestError([f"{text!r} is none of {', '.join(_POOLING_SCALES)}"])
    found.settings["pooling"] = "avg" if text == "average" else text
    found.settings["pooling_scale"] = _POOLING_SCALES[text]


def _devices(count: int) -> _Option:
    return _note(_ELSEWHERE, count)


_INITS = {
    "content": "content",
    "gray": "gray",
    "uniform": "uniform",
    "random": "uniform",
    "normal": "noise",
    "style_stats": "style_noise",
    "style_mean": "style_noise",
}
_STYLE_TRANSFER_PYTORCH: dict[str, _Option] = {
    "--output": _takes("output"),
    "--style-weights": _Option(_style_weights, -1),
    "--devices": _devices(-1),
    "--random-seed": _sets("seed"),
    "--content-weight": _sets("content_weight"),
    "--tv-weight": _sets("tv_weight"),
    "--optimizer": _chooses("optimizer", {"adam": "adam", "lbfgs": "lbfgs"}),
    "--min-scale": _sets("scale_start"),
    "--end-scale": _sets("size"),
    "--iterations": _scale_steps(first=False),
    "--initial-iterations": _scale_steps(first=True),
    "--save-every": _sets("save_every"),
    "--step-size": _sets("learning_rate"),
    "--avg-decay": _sets("average"),
    "--init": _chooses("init", _INITS),
    "--style-scale-fac": _sets("style_scale"),
    "--style-size": _note("one size at all scales is not offered; style_scale is in proportion"),
    "--pooling": _Option(_pooling),
    "--proof": _note("the profile of the display is its own affair; profile: content keeps one"),
    "--web": _note("nst status --watch and the report show a run", 0),
    "--host": _note("nst status --watch and the report show a run"),
    "--port": _note("nst status --watch and the report show a run"),
    "--browser": _note("nst status --watch and the report show a run", -1),
}
_SHORT = {
    "-o": "--output",
    "-sw": "--style-weights",
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
TOOLS: dict[str, dict[str, _Option]] = {
    "neural-style": _NEURAL_STYLE,
    "neural-style-pt": _NEURAL_STYLE,
    "style-transfer-pytorch": _STYLE_TRANSFER_PYTORCH,
}


def import_command(tool: str, words: Sequence[str]) -> str:
    """The manifest that does what another tool's command does, as YAML.

    Args:
        tool: one of `TOOLS`.
        words: the command's words; the program's own name may stand first.

    Raises:
        ManifestError: an unknown tool or option, or a value that is wrong.
    """
    if tool not in TOOLS:
        raise ManifestError([f"{tool!r}: unknown; known are {', '.join(TOOLS)}"])
    preset = "style-transfer-pytorch" if tool == "style-transfer-pytorch" else "neural-style"
    found = _Translation(preset)
    plain = _parse(TOOLS[tool], list(words), found)
    if preset == "style-transfer-pytorch":
        _positional(found, [word for word in plain if word not in ("style_transfer", tool)])
    else:
        _after_neural_style(found, tool)
    return _written(found, tool)


def _parse(options: Mapping[str, _Option], words: list[str], found: _Translation) -> list[str]:
    """Takes all options into the translation; the words that belong to none."""
    plain = []
    while words:
        word = words.pop(0)
        name, equals, joined = word.partition("=")
        name = _SHORT.get(name, name) if options is _STYLE_TRANSFER_PYTORCH else name
        if not name.startswith("-"):
            plain.append(word)
            continue
        if name not in options:
            close = difflib.get_close_matches(name, options, 1, 0.6)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ManifestError([f"{name}: unknown option{hint}"])
        option = options[name]
        if equals:
            words.insert(0, joined)
        values = _values(option, name, words)
        try:
            for value in values:
                option.act(found, value if option.count else name)
        except ManifestError as error:
            raise ManifestError([f"{name}: {error}"]) from error
        if found.notes and values and found.notes[-1].startswith(f"{values[-1]}: "):
            rest = found.notes[-1].removeprefix(f"{values[-1]}: ")
            shown = " ".join([name, *values]) if option.count else name
            found.notes = [*found.notes[: -len(values)], f"{shown}: {rest}"]
    return plain


def _values(option: _Option, name: str, words: list[str]) -> list[str]:
    """The values that belong to an option, taken from the words."""
    if option.count == 0:
        return [name]
    values: list[str] = []
    while words and (option.count < 0 or len(values) < option.count):
        if words[0].startswith("-") and not re.fullmatch(r"-[\d.][\d.e+-]*", words[0]):
            break
        values.append(words.pop(0))
    if not values:
        raise ManifestError([f"{name}: needs a value"])
    return values


def _positional(found: _Translation, plain: list[str]) -> None:
    if len(plain) < 2:
        raise ManifestError(["a content and at least one style picture are needed"])
    found.content, found.styles = plain[0], plain[1:]


def _after_neural_style(found: _Translation, tool: str) -> None:
    """What hangs together in neural-style's options."""
    settings = found.settings
    adam = settings.get("optimizer") == "adam"
    if adam:  # its pixels span 0 to 255
        rate = settings.get("learning_rate", 10.0 if tool == "neural-style" else 1.0)
        settings["learning_rate"] = rate / 255
        settings["adam_decay"] = 0.999
    elif "learning_rate" in settings:
        del settings["learning_rate"]
        found.notes.append("-learning_rate: is adam's; L-BFGS has none there")
    if settings.get("corrections") == 0:  # Torch's own number
        settings["corrections"] = 100
    if settings.get("save_every") == 0:
        del settings["save_every"]
    if settings.get("seed", 0) < 0:
        del settings["seed"]
        found.notes.append("-seed -1: every picture has a seed here, 0 if nothing is said")
    if tool == "neural-style-pt":  # total variation there is of absolute differences
        weight = settings.get("tv_weight", 1e-3 * 255**2 / 2) / (255**2 / 2)
        settings["tv_weight"], settings["tv_loss"] = weight * 255, "sum_absolute"
    if found.backbone == "vgg19":
        found.backbone = {"name": "vgg19", "weights": "caffe"}
        found.notes.append(f"weights: {_CAFFE}")


_FORMATS = {".jpg": "jpg", ".jpeg": "jpg", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff"}


def _written(found: _Translation, tool: str) -> str:
    output = PurePath(found.output)
    suffix = output.suffix.lower()
    if suffix in _FORMATS:
        found.settings["format"] = _FORMATS[suffix]
    style: Any = found.styles or ["style.jpg"]
    if len(style) > 1:
        weights = found.weights or [1.0] * len(style)
        if len(weights) != len(style):
            raise ManifestError([f"{len(style)} styles, but {len(weights)} weights for them"])
        style = [{"name": "blend", "blend": dict(zip(style, weights, strict=True))}]
    data: dict[str, Any] = {
        "output": str(output.with_suffix("")),
        "content": [found.content],
        "style": style,
        "backbone": found.backbone,
        "settings": {"preset": found.preset, **found.settings},
    }
    problems = settings_problems(data["settings"])
    if problems:
        raise ManifestError([f"{'.'.join(map(str, at))}: {text}" for at, text in problems])
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    notes = "".join(f"# {note}\n" for note in found.notes)
    return f"# made from a command of {tool}\n{notes}{text}"
