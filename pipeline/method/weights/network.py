"""A network's arrays, checked and brought to one form, with their digest.

In: a backbone's name and where its weights are to come from. Out: `Arrays`, float32 numpy arrays
under the paper's layer names. Must not load torch but for what torch pickled.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import WeightsError
from pipeline.layers import BLOCKS, LAYERS, LAYERS_OF
from pipeline.method.weights.formats import read_file
from pipeline.method.weights.known import source_of
from pipeline.method.weights.names import Named, is_used, name_parts, other_backbone
from pipeline.method.weights.preprocessing import input_transform
from pipeline.method.weights.sources import Source

Array = np.ndarray[Any, np.dtype[np.float32]]
Pair = tuple[Array, Array]

VGG19_WIDTHS = dict(
    zip(
        LAYERS,
        (w for w, n in zip((64, 128, 256, 512, 512), BLOCKS, strict=True) for _ in range(n)),
        strict=True,
    )
)


@dataclass(frozen=True)
class Arrays:
    """A network's weights as arrays.

    Attributes:
        name: the backbone's name.
        convs: per layer the 3x3 kernel C_out x C_in x 3 x 3 and the bias C_out.
        heads: per layer an optional 1x1 projection K x C x 1 x 1 and bias K.
        input: 1x1 kernel 3 x 3 x 1 x 1 and bias 3, from RGB in [0, 1] to the first convolution's.
        source: where the weights came from, for messages.
        channels: per layer the number of channels N of the losses' formulas: of a small network
            those of the one that it stands in for.
        means: of a small network, per layer by what the normalized variant of the one that it
            stands in for makes features smaller: about its mean activation.
    """

    name: str
    convs: Mapping[str, Pair]
    heads: Mapping[str, Pair]
    input: Pair
    source: str
    channels: Mapping[str, int] = field(default_factory=dict)
    means: Mapping[str, float] = field(default_factory=dict)

    def digest(self) -> str:
        """See `digest_of`."""
        return digest_of(self.input, self.convs, self.heads, self.channels, self.means)


def digest_of(
    first: Pair,
    convs: Mapping[str, Pair],
    heads: Mapping[str, Pair],
    channels: Mapping[str, int],
    means: Mapping[str, float],
) -> str:
    """SHA-256 over all of a network's numbers, whatever the format of the file; 64 hex digits.

    It is part of every job key and of every cached target's.
    """
    sha = hashlib.sha256()
    parts = {"input": first}
    parts |= {f"conv {name}": pair for name, pair in convs.items()}
    parts |= {f"head {name}": pair for name, pair in heads.items()}
    for name in sorted(parts):
        for array in parts[name]:
            sha.update(f"{name} {array.shape}".encode())
            sha.update(np.ascontiguousarray(array, dtype=np.float32).tobytes())
    for layer in sorted(channels):
        if channels[layer] != len(heads.get(layer, convs[layer])[0]):
            sha.update(f"channels {layer} {channels[layer]}".encode())
    for layer in sorted(means):
        sha.update(f"mean {layer} {means[layer]!r}".encode())
    return sha.hexdigest()


def read_weights(
    name: str,
    choice: Path | str | None = None,
    preprocessing: str | None = None,
    cache: Path | None = None,
) -> Arrays:
    """Reads the weights of backbone `name`.

    Args:
        name: `vgg19` or `vgg16` (their exact widths are demanded) or `lite` (any widths: the shape
            is read from the file, so a network made by `nst distill` fits).
        choice: a file, or one of `WEIGHT_SOURCES`; None for the first that is there. Files may hold
            torchvision's names (`features.0.weight`), Caffe's (`conv1_1.weight`), Keras'
            (`block1_conv1_W_1:0`), AdaIN's numbers or the short ones (`conv11.weight`), below
            `state_dict` or `module.` or not.
        preprocessing: `caffe` or `imagenet`; None tells it by the file.
        cache: as in `find_source`.

    Raises:
        WeightsError: unknown name, missing or damaged file, missing layer, wrong shape, another
            network, a preprocessing that known weights do not want, no network to fetch it from.
    """
    return read_source(source_of(name, choice, preprocessing, cache), preprocessing)


def read_source(source: Source, preprocessing: str | None) -> Arrays:
    """Reads the weights of a source.

    Raises:
        WeightsError: as `read_weights`.
    """
    name, origin = source.backbone, str(source.file)
    state, metadata = read_file(source.file, is_used)
    named = name_parts(state, name, origin)
    _refuse_other_kind(named, name, metadata, origin)
    convs = _chain(named, name, origin)
    given = preprocessing or metadata.get("preprocessing")
    heads = {
        layer: _head(parts, len(convs[layer][1]), f"{origin}: the head of {layer}")
        for (kind, layer), parts in named.parts.items()
        if kind == "head" and layer in convs and "weight" in parts
    }
    first = _first(named, origin)
    if first is None:
        first = input_transform(convs["conv1_1"][0], named.numbered, given, origin)
    channels = {layer: _channels(metadata, layer, heads, convs, origin) for layer in convs}
    return Arrays(name, convs, heads, first, origin, channels, _means(metadata, heads, origin))


def _channels(
    metadata: Mapping[str, str],
    layer: str,
    heads: Mapping[str, Pair],
    convs: Mapping[str, Pair],
    source: str,
) -> int:
    """The number N of a layer's channels: the file's own word, else those that it hands out."""
    said = metadata.get(f"channels.{layer}")
    if said is None:
        return len(heads.get(layer, convs[layer])[0])
    if not re.fullmatch(r"[1-9][0-9]{0,5}", said):
        raise WeightsError(f"{source}: its metadata says {said!r} channels of {layer}")
    return int(said)


def _head(parts: Mapping[str, Array], channels: int, where: str) -> Pair:
    """A layer's 1x1 projection, checked."""
    weight = parts["weight"]
    count = len(weight) if weight.ndim else 0
    bias = parts.get("bias", np.zeros(count, np.float32))
    if weight.shape != (count, channels, 1, 1) or bias.shape != (count,) or not count:
        raise WeightsError(
            f"{where} has weight {weight.shape} and bias {bias.shape}, but (K, {channels}, 1, 1) "
            f"and (K,) are needed"
        )
    _check_finite(where, weight, bias)
    return weight, bias


def _check_finite(where: str, *arrays: Array) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise WeightsError(f"{where} holds NaN or infinite weights")


def _means(metadata: Mapping[str, str], heads: Iterable[str], source: str) -> dict[str, float]:
    """The mean activations that a small network's file says of the one that it stands in for."""
    said = {layer: metadata[f"mean.{layer}"] for layer in heads if f"mean.{layer}" in metadata}
    try:
        means = {layer: float(text) for layer, text in said.items()}
    except ValueError:
        means = {"": 0.0}
    if not all(np.isfinite(mean) and mean > 0 for mean in means.values()):
        raise WeightsError(f"{source}: its metadata has mean activations that are no numbers > 0")
    return means


def _first(named: Named, source: str) -> Pair | None:
    if named.first is None:
        return None
    kernel, bias = named.first
    if kernel.shape != (3, 3, 1, 1):
        raise WeightsError(f"{source}: input.weight must be (3, 3, 1, 1), not {kernel.shape}")
    if bias is None or bias.shape != (3,):
        raise WeightsError(f"{source}: input.bias must be (3,)")
    _check_finite(f"{source}: input", kernel, bias)
    return kernel, bias


def _refuse_other_kind(named: Named, name: str, metadata: Mapping[str, str], source: str) -> None:
    """A whole VGG is no small network, and a small network no VGG.

    Raises:
        OtherBackboneError: `lite` with VGG's file, or VGG with a small network's.
    """
    convs = {layer: parts for (kind, layer), parts in named.parts.items() if kind == "conv"}
    shapes = {layer: parts["weight"].shape for layer, parts in convs.items() if "weight" in parts}
    has_heads = any(kind == "head" for kind, _ in named.parts)
    is_vgg = all(shape[:1] == (VGG19_WIDTHS[layer],) for layer, shape in shapes.items())
    if name == "lite" and is_vgg and not has_heads and "conv4_1" in shapes:
        raise other_backbone(source, "vgg19" if "conv3_4" in shapes else "vgg16", name)
    is_ours = has_heads or metadata.get("format", "").strip('"').startswith("nst backbone")
    if name != "lite" and is_ours and not is_vgg:
        raise other_backbone(source, "lite", name)


def _check_layers(named: Named, name: str, source: str) -> None:
    """The layers there are those of `name`, without a gap.

    Raises:
        WeightsError: they are VGG-19's for VGG-16 or the other way round, or one is missing.
    """
    there = [layer for layer in LAYERS if ("conv", layer) in named.parts]
    known = LAYERS_OF[name]
    foreign = [layer for layer in there if layer not in known]
    if foreign:
        raise other_backbone(source, "vgg19", name, f", since it has {foreign[0]}")
    wanted = known[: known.index(there[-1]) + 1] if there else ()
    missing = [layer for layer in wanted if layer not in there]
    if name == "vgg19" and missing and there == list(LAYERS_OF["vgg16"][: len(there)]):
        why = f", since it has {there[-1]} and no {missing[0]}"
        raise other_backbone(source, "vgg16", name, why)
    if missing:
        raise WeightsError(f"{source}: {missing[0]} is missing, but {there[-1]} is there")


def _chain(named: Named, name: str, source: str) -> dict[str, Pair]:
    """The convolutions in order, up to the first that is missing, with every shape checked."""
    convs: dict[str, Pair] = {}
    channels = 3
    _check_layers(named, name, source)
    for layer in LAYERS_OF[name]:
        parts = named.parts.get(("conv", layer), {})
        if not parts:
            break
        weight, bias = parts.get("weight"), parts.get("bias")
        if weight is None or bias is None:
            raise WeightsError(f"{source}: {layer} has no {'weight' if weight is None else 'bias'}")
        own = weight.shape[0] if weight.ndim else 0
        out = own if name == "lite" else VGG19_WIDTHS[layer]
        if weight.shape != (out, channels, 3, 3) or bias.shape != (out,):
            raise WeightsError(
                f"{source}: {layer} has weight {weight.shape} and bias {bias.shape}, but "
                f"{(out, channels, 3, 3)} and {(out,)} are needed"
                + ("" if name == "lite" else f" for VGG-{name[3:]}; of a small network say lite")
            )
        _check_finite(f"{source}: {layer}", weight, bias)
        if not weight.any():
            raise WeightsError(f"{source}: {layer} holds nothing but zeros; fetch the file again")
        convs[layer] = (weight, bias)
        channels = out
    if not convs:
        raise WeightsError(
            f"{source}: no VGG layer found; wanted are names such as features.0.weight "
            f"(torchvision), conv1_1.weight (Caffe) or block1_conv1_W_1:0 (Keras)"
        )
    return convs
