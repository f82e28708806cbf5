"""The names that others give to the parts of VGG's layers -> the paper's layers.

In: arrays by the names of a file. Out: kernels and biases by layer. New names go into `_NAMED`, a
network of another numbering into `NUMBERINGS`. Knows nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.errors import OtherBackboneError, WeightsError
from pipeline.layers import LAYERS, LAYERS_OF, block_of

Array = np.ndarray[Any, np.dtype[Any]]

# Where a model inside a model was saved, or a parallel one.
_PREFIX = re.compile(r"^(?:module|_orig_mod|model|net|network|backbone|encoder|vgg|vgg16|vgg19)\.")
_NUMBERED = re.compile(r"^(?:features\.)?(\d+)\.(weight|bias)$")
_NAMED = (
    # conv1_1.weight (Caffe), conv11.weight, conv11_aux.weight, head1_1.weight; conv1_1_w.
    re.compile(
        r"^(?P<kind>conv|head)_?(?P<block>\d)_?(?P<index>\d)(?P<aux>_aux)?[._](?P<part>\w+)$"
    ),
    # block1_conv1_W_1:0 (Keras 1), block1_conv1/kernel:0 (Keras 2), block1_conv1_W_q (codes).
    re.compile(
        r"^block(?P<block>\d)_conv(?P<index>\d)(?:/block\d_conv\d)?[._/](?P<part>\w+?)(?:_1)?(?::0)?$"
    ),
)
_PARTS = {
    "weight": "weight", "bias": "bias", "kernel": "weight", "w": "weight", "b": "bias",
    "w_q": "codes", "w_table": "table",
}  # fmt: skip


def _torchvision(layers: Iterable[str]) -> dict[int, str]:
    """Index of each convolution in `features`: convolution, ReLU, and a pool a block."""
    return {2 * place + block_of(name) - 1: name for place, name in enumerate(layers)}


# AdaIN's vgg_normalised: a 1x1 first, and a reflection pad before each convolution.
_ADAIN = {3 * place + block_of(name) + 1: name for place, name in enumerate(LAYERS)}
NUMBERINGS = {
    "vgg19": _torchvision(LAYERS),
    "vgg16": _torchvision(LAYERS_OF["vgg16"]),
}
_NORMALIZED = re.compile(r"^(?:features\.)?\d+\.running_mean$")
_OTHERS = {
    "VGG-11": {0, 3, 6, 8, 11, 13, 16, 18},
    "VGG-13": {0, 2, 5, 7, 10, 12, 15, 17, 20, 22},
}
# Names that tell other networks.
_FAMILIES = {
    r"^layer1\.0\.": "a ResNet",
    r"denseblock": "a DenseNet",
    r"\.squeeze\.": "a SqueezeNet",
    r"^(Mixed|Conv2d_1a|inception)": "an Inception network",
    r"blocks?\.\d+\.attn|encoder_layer": "a vision transformer",
    r"depthwise|features\.\d+\.conv\.|features\.\d+\.block\.": "a MobileNet or EfficientNet",
}


@dataclass
class Named:
    """A file's arrays by the paper's layers.

    Attributes:
        parts: by (`conv` or `head`, layer) the arrays `weight` and `bias`, float32, kernels as
            C_out x C_in x 3 x 3.
        first: a 1x1 convolution before all, if there is one: kernel and bias.
        numbered: whether convolutions were numbered, as torchvision's are.
    """

    parts: dict[tuple[str, str], dict[str, Array]] = field(default_factory=dict)
    first: tuple[Array, Array | None] | None = None
    numbered: bool = False


def plain_name(key: str) -> str:
    """A key without what stands before it where a model lay in another."""
    while (short := _PREFIX.sub("", key)) != key:
        key = short
    return key


def is_used(key: str) -> bool:
    """Whether a state dict's entry is or tells of a part of a network as it is used here."""
    key = plain_name(key)
    named = _named(key) is not None or _NUMBERED.match(key) or _NORMALIZED.match(key)
    return bool(named) or key.partition(".")[0] in ("input", "conv0") or _family(key) is not None


def name_parts(state: Mapping[str, Array], backbone: str, source: str) -> Named:
    """The arrays of `state` by layer.

    Raises:
        WeightsError: they are another network's than `backbone`.
    """
    plain = {plain_name(key): array for key, array in state.items()}
    for key, array in plain.items():
        if array.dtype.kind not in "fiub":
            raise WeightsError(f"{source}: {key} holds no numbers but {array.dtype}")
    _refuse_others(plain, source)
    found = Named(first=_first(plain))
    numbers = {
        int(match[1]) for key, array in plain.items()
        if (match := _NUMBERED.match(key)) and match[2] == "weight" and array.shape[2:] == (3, 3)
    }  # fmt: skip
    numbering = _numbering(numbers, found.first is not None, backbone, source) if numbers else {}
    found.numbered = bool(numbers)
    for key, array in plain.items():
        match = _NUMBERED.match(key)
        if match and int(match[1]) in numbering:
            part = found.parts.setdefault(("conv", numbering[int(match[1])]), {})
            part[match[2]] = array.astype(np.float32)
        elif named := _named(key):
            kind, layer, name = named
            found.parts.setdefault((kind, layer), {})[name] = array
    for place, arrays in found.parts.items():
        found.parts[place] = _plain(arrays, f"{source}: {place[1]}")
    return found


def _named(key: str) -> tuple[str, str, str] | None:
    for pattern in _NAMED:
        match = pattern.match(key)
        part = match and _PARTS.get(match["part"].lower())
        if match and part:
            groups = match.groupdict()
            head = groups.get("aux") or groups.get("kind") == "head"
            layer = f"conv{match['block']}_{match['index']}"
            return ("head" if head else "conv", layer, part) if layer in LAYERS else None
    return None


def _plain(arrays: Mapping[str, Array], where: str) -> dict[str, Array]:
    """Weight and bias as float32: codes looked up in their table, Keras' kernels turned.

    Raises:
        WeightsError: codes that the table does not have.
    """
    found = {part: array for part, array in arrays.items() if part in ("weight", "bias")}
    if "codes" in arrays and "table" in arrays:
        table, codes = arrays["table"].ravel(), arrays["codes"].astype(np.int64)
        if codes.size and not 0 <= codes.min() <= codes.max() < len(table):
            raise WeightsError(f"{where} has codes beyond its table of {len(table)} values")
        found["weight"] = table[codes]
    kernel = found.get("weight")
    if kernel is not None and kernel.ndim == 4 and kernel.shape[:2] == (3, 3) != kernel.shape[2:]:
        found["weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    return {part: array.astype(np.float32) for part, array in found.items()}


def _first(state: Mapping[str, Array]) -> tuple[Array, Array | None] | None:
    for key in ("input", "conv0", "0", "features.0"):
        kernel = state.get(f"{key}.weight")
        if kernel is not None and (key in ("input", "conv0") or kernel.shape == (3, 3, 1, 1)):
            bias = state.get(f"{key}.bias")
            return kernel.astype(np.float32), None if bias is None else bias.astype(np.float32)
    return None


def _numbering(numbers: set[int], padded: bool, backbone: str, source: str) -> dict[int, str]:
    """Which layer each number is.

    Raises:
        WeightsError: the numbers are another network's.
    """
    if padded and numbers <= set(_ADAIN):
        return _ADAIN
    wanted = NUMBERINGS["vgg16" if backbone == "vgg16" else "vgg19"]
    if numbers <= set(wanted):
        return wanted
    for name, numbering in NUMBERINGS.items():
        if numbers <= set(numbering):
            raise other_backbone(source, name, backbone)
    other = next((name for name, known in _OTHERS.items() if numbers <= known), None)
    raise WeightsError(
        f"{source}: {other or 'a network whose convolutions are numbered ' + _some(numbers)}, "
        f"which is no backbone here; VGG-19 and VGG-16 are"
    )


def other_backbone(source: str, there: str, wanted: str, why: str = "") -> WeightsError:
    """What is said of a file of one backbone under the name of another."""
    names = {"lite": "a small network such as lite", "vgg19": "VGG-19", "vgg16": "VGG-16"}
    return OtherBackboneError(
        f"{source}: {names[there]}, not {names[wanted]}{why}; write `backbone: {{name: {there}, "
        f"weights: ...}}`",
        there,
    )


def _some(numbers: set[int]) -> str:
    shown = sorted(numbers)
    return ", ".join(map(str, shown[:6])) + (", ..." if len(shown) > 6 else "")


def _family(key: str) -> str | None:
    return next((name for pattern, name in _FAMILIES.items() if re.search(pattern, key)), None)


def _refuse_others(state: Mapping[str, Array], source: str) -> None:
    other = next(filter(None, map(_family, state)), None)
    if other is None and any(_NORMALIZED.match(key) for key in state):
        other = "VGG with batch normalization"
    sizes = [state[key].shape[2:] for key in ("features.0.weight", "0.weight") if key in state]
    if other is None and any(size in ((11, 11), (7, 7)) for size in sizes):
        other = "AlexNet or NIN"
    if other:
        raise WeightsError(
            f"{source}: {other}, which is no backbone here; VGG-19 and VGG-16 (without batch "
            f"normalization) are"
        )
