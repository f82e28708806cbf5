"""neural-style (Lua) and neural-style-pt: their options, and what hangs together in them.

neural_style.lua of github.com/jcjohnson/neural-style, neural_style.py of
github.com/ProGamerGov/neural-style-pt.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipeline.errors import ManifestError
from pipeline.layers import shrink_of
from pipeline.manifest.peers.translation import (
    CAFFE,
    ELSEWHERE,
    SHOWN,
    Option,
    Tool,
    Translation,
    chooses,
    flag,
    keeps,
    layers_of,
    note,
    notes,
    number,
    sets,
    takes,
)
from pipeline.manifest.presets import STYLE_LAYERS
from pipeline.pictures import is_image_name

_CHANNELS = (64, 128, 256, 512, 512)  # of VGG-19's blocks
_KNOWN = "the same network is taken, Caffe's VGG-19, from the extra vgg19"
_PT_SUFFIXES = (".jpg", ".jpeg", ".png", ".tiff")  # that neural-style-pt takes from a folder


def _styles(found: Translation, values: Sequence[str]) -> None:
    """Files; a folder's pictures are a blend, as neural-style-pt has it."""
    found.styles = []
    for word in values[0].split(","):
        folder = Path(word)
        if folder.is_dir():
            inside = sorted(p for p in folder.iterdir() if p.suffix.lower() in _PT_SUFFIXES)
            if not inside:
                raise ManifestError([f"{word}: no picture in this folder"])
            found.styles += [p.as_posix() for p in inside]
            found.notes.append(f"{word}: a folder is a blend of its pictures, as they are now")
        elif not is_image_name(folder) and not folder.is_file():
            raise ManifestError(
                [
                    f"{word!r} is no picture's name, nor a folder that is there; the pictures of a "
                    f"folder are named one by one, so import it where it lies"
                ]
            )
        else:
            found.styles.append(word)


def _blend_weights(found: Translation, values: Sequence[str]) -> None:
    if values[0] != "nil":
        found.weights = [float(number(part)) for part in values[0].split(",")]


def _layers(name: str) -> Option:
    def act(found: Translation, values: Sequence[str]) -> None:
        found.settings[name] = dict.fromkeys(layers_of(found, values[0].split(",")), 1.0)

    return Option(act)


def _init(found: Translation, values: Sequence[str]) -> None:
    if values[0] not in ("random", "image"):
        raise ManifestError([f"-init {values[0]!r} is none of random, image"])
    found.own["init"] = values[0]


def _normalize(found: Translation, values: Sequence[str]) -> None:
    found.settings["gradient_norm"] = number(values[0]) if values and values[0] else 1


def _model(found: Translation, values: Sequence[str]) -> None:
    """A network by its file's name: those that these tools' users have."""
    file = values[0]
    name = Path(file).name.lower()
    caffe = name.endswith(".caffemodel")
    if "nin" in name.replace("-", "_").split("_") or name.startswith("nin"):
        found.notes.append(f"{file}: another network, which is none here; Caffe's VGG-19 is taken")
        found.backbone = CAFFE
    elif "16" in name and caffe:
        found.notes.append(
            f"{file}: Caffe's own format is not read; the backbone vgg16 is taken, with the "
            f"weights that are at hand for it (`nst weights`)"
        )
        found.backbone = {"name": "vgg16"}
    elif "16" in name:
        found.backbone = {"name": "vgg16", "weights": file, "preprocessing": "caffe"}
    elif caffe:
        other = "another network, which is none here; Caffe's VGG-19 is taken (the extra vgg19)"
        known = _KNOWN if "19" in name else other
        found.notes.append(f"{file}: Caffe's own format is not read; {known}")
        found.backbone = CAFFE
    else:
        found.backbone = {"name": "vgg19", "weights": file}


def _colors(found: Translation, values: Sequence[str]) -> None:
    found.settings["color"] = "original_colors" if number(values[0]) else "style"


def _finish(absolute: bool, found: Translation, plain: Sequence[str]) -> None:
    """What hangs together.

    Args:
        absolute: neural-style-pt, whose total variation is of absolute differences.
    """
    settings, own = found.settings, found.own
    if own.get("init") == "image":
        settings["init"] = own.get("init_image") or "content"
    elif own.get("init_image"):
        found.notes.append(f"-init_image {own['init_image']}: counts with -init image only")
    if "init" in own:
        settings.setdefault("init", "mean")
    if settings.get("optimizer") == "adam":  # its pixels span 0 to 255
        rate = own.get("learning_rate", 1.0 if absolute else 10.0)
        settings["learning_rate"], settings["adam_decay"] = rate / 255, 0.999
    elif "learning_rate" in own:
        found.notes.append("-learning_rate: is adam's; L-BFGS has none there")
    if settings.get("corrections") == 0:  # Torch's own number
        settings["corrections"] = 100
    if settings.get("save_every") == 0:
        del settings["save_every"]
    if settings.get("seed", 0) < 0:
        del settings["seed"]
        found.notes.append("-seed -1: every picture has a seed here, 0 if nothing is said")
    if absolute:
        weight = settings.get("tv_weight", 1e-3 * 255**2 / 2) / (255**2 / 2)
        settings["tv_weight"], settings["tv_loss"] = weight * 255, "sum_absolute"
    if own.get("normalize_weights"):
        _divide_weights(found)
    if found.backbone == "vgg19":
        found.backbone = CAFFE
        found.notes.append(f"weights: {_KNOWN}")


def _divide_weights(found: Translation) -> None:
    """-normalize_weights: each layer's weight over the longest side of its target, which for Grams
    is its number of channels, for features the most of channels, height and width."""
    settings = found.settings
    size = int(settings.get("size", 512))
    styles = settings.get("style_layers") or dict.fromkeys(STYLE_LAYERS, 1.0)
    settings["style_layers"] = {n: w / _channels(n) for n, w in styles.items()}
    contents = settings.get("content_layers") or {"conv4_2": 1.0}
    settings["content_layers"] = {
        n: w / max(_channels(n), size // shrink_of(n)) for n, w in contents.items()
    }


def _channels(layer: str) -> int:
    return _CHANNELS[int(layer[4]) - 1]


_SPLIT = "one picture is never split over GPUs; large ones go by tiles"
_TORCH = "torch chooses"
_OPTIONS: dict[str, Option] = {
    "-style_image": Option(_styles),
    "-style_blend_weights": Option(_blend_weights),
    "-content_image": takes("content"),
    "-image_size": sets("size"),
    **notes(ELSEWHERE, "-gpu"),
    **notes(_SPLIT, "-multigpu_strategy", "-multidevice_strategy"),
    "-content_weight": sets("content_weight"),
    "-style_weight": sets("style_weight"),
    "-tv_weight": sets("tv_weight", 255**2 / 2),
    "-num_iterations": sets("steps"),
    "-normalize_gradients": Option(_normalize, 0, 1),
    "-normalize_weights": flag("normalize_weights"),
    "-init": Option(_init),
    "-init_image": keeps("init_image"),
    "-optimizer": chooses("optimizer", {"lbfgs": "lbfgs", "adam": "adam"}),
    "-learning_rate": keeps("learning_rate", number),
    "-lbfgs_num_correction": sets("corrections"),
    **notes(SHOWN, "-print_iter"),
    "-save_iter": sets("save_every"),
    "-output_image": takes("output"),
    "-style_scale": sets("style_scale"),
    "-original_colors": Option(_colors),
    "-pooling": chooses("pooling", {"max": "max", "avg": "avg"}),
    **notes("the network's shape is known", "-proto_file"),
    "-model_file": Option(_model),
    "-disable_check": note("-disable_check", "weight files are always checked", 0, 0),
    **notes(_TORCH, "-backend"),
    "-cudnn_autotune": note("-cudnn_autotune", _TORCH, 0, 0),
    "-seed": sets("seed"),
    "-content_layers": _layers("content_layers"),
    "-style_layers": _layers("style_layers"),
}
_PROGRAMS = ("neural-style", "neural_style", "neural-style-pt")
NEURAL_STYLE = Tool("neural-style", _OPTIONS, partial(_finish, False), _PROGRAMS)
NEURAL_STYLE_PT = Tool("neural-style", _OPTIONS, partial(_finish, True), _PROGRAMS)
