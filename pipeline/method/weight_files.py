"""Weight files -> arrays: every layout that VGG's weights come in, checked and brought to one form.

In: a backbone's name or a weight file. Out: `Arrays`, float32 numpy arrays under the paper's layer
names, with their digest. Must not load torch but for what torch pickled.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import urllib.error
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from pipeline.errors import WeightsError
from pipeline.layers import BLOCKS, LAYERS, block_of

Array = np.ndarray[Any, np.dtype[np.float32]]
Pair = tuple[Array, Array]

VGG19_WIDTHS = dict(
    zip(
        LAYERS,
        (w for w, n in zip((64, 128, 256, 512, 512), BLOCKS, strict=True) for _ in range(n)),
        strict=True,
    )
)
# Index of each convolution in torchvision's `vgg19().features`: conv, ReLU, and a pool a block.
_TORCHVISION_INDEX = {
    name: 2 * position + block_of(name) - 1 for position, name in enumerate(LAYERS)
}
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
LITE_FILE = Path(__file__).parent / "lite.safetensors"
NAMES = ("vgg19", "lite")
# Types in safetensors files that numpy has too; it lacks bfloat16 and the floats of 8 bits.
_NUMPY_KINDS = {"F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL"}


@dataclass(frozen=True)
class Arrays:
    """A network's weights as arrays.

    Attributes:
        name: the backbone's name.
        convs: per layer the 3x3 kernel C_out x C_in x 3 x 3 and the bias C_out.
        heads: per layer an optional 1x1 projection K x C x 1 x 1 and bias K.
        input: 1x1 kernel 3 x 3 x 1 x 1 and bias 3, from RGB in [0, 1] to the first convolution's.
        source: where the weights came from, for messages.
    """

    name: str
    convs: Mapping[str, Pair]
    heads: Mapping[str, Pair]
    input: Pair
    source: str

    def digest(self) -> str:
        """See `digest_of`."""
        return digest_of(self.input, self.convs, self.heads)


def digest_of(first: Pair, convs: Mapping[str, Pair], heads: Mapping[str, Pair]) -> str:
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
    return sha.hexdigest()


def weights_digest(name: str, file: Path | None = None) -> str:
    """The digest of a backbone's weights, as `load_weights(name, file).digest`.

    Raises:
        WeightsError: as `read_weights`.
    """
    return read_weights(name, file).digest()


# --- finding and reading --------------------------------------------------------------------------


def read_weights(name: str, file: Path | None = None) -> Arrays:
    """Reads the weights of backbone `name`, from `file` if given.

    Args:
        name: `vgg19` (exact VGG-19 widths are demanded) or `lite` (any widths: the shape is read
            from the file, so a network made by `nst distill` fits).
        file: a `.pth` or `.safetensors` file with torchvision's names (`features.0.weight`),
            Caffe's (`conv1_1.weight`) or the short ones (`conv11.weight`).

    Raises:
        WeightsError: unknown name, missing or damaged file, missing layer, wrong shape, no network.
    """
    if name not in NAMES:
        raise WeightsError(f"backbone {name!r} is unknown; known are {', '.join(NAMES)}")
    if file is not None:
        return _from_file(name, file)
    return _from_file("lite", LITE_FILE) if name == "lite" else _from_torchvision()


def vgg19_path() -> Path:
    """Where torchvision keeps VGG-19's weights on this machine, as torch's hub has it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    home = os.environ.get("TORCH_HOME", cache / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"


def _from_torchvision() -> Arrays:
    if vgg19_path().exists():  # its hash was checked when it was downloaded
        return _assemble("vgg19", _read_pickle(vgg19_path()), {}, str(vgg19_path()))
    from torchvision.models import VGG19_Weights  # loads torch, which takes seconds

    try:
        state = VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"VGG-19's ImageNet weights are not on this machine and could not be downloaded "
            f"({error}). Either connect to the network and run `nst weights download vgg19`, or "
            f"copy vgg19-dcbb9e9d.pth to {vgg19_path().parent}, or name a local file with "
            f"`backbone: {{name: vgg19, weights: FILE}}`, or use `backbone: lite`, which needs "
            f"no download"
        ) from error
    return _assemble("vgg19", _as_arrays(dict(state)), {}, str(vgg19_path()))


def _from_file(name: str, file: Path) -> Arrays:
    if not file.is_file():
        raise WeightsError(f"{file}: no such weight file; check the path in `backbone: weights:`")
    state, metadata = (
        _read_safetensors(file) if file.suffix == ".safetensors" else (_read_pickle(file), {})
    )
    if "d01eb7cb" in file.name:  # Caffe's weights under torchvision's names, as others ship them.
        metadata = {"preprocessing": "caffe"} | metadata
    return _assemble(name, state, metadata, str(file))


def _read_safetensors(file: Path) -> tuple[dict[str, Array], dict[str, str]]:
    try:
        with safe_open(file, framework="numpy") as reader:
            keys = [key for key in reader.keys() if _is_used(key)]  # noqa: SIM118
            kinds = {reader.get_slice(key).get_dtype() for key in keys}
        framework = "numpy" if kinds <= _NUMPY_KINDS else "pt"  # torch has all types
        with safe_open(file, framework=framework) as reader:
            state = {key: reader.get_tensor(key) for key in keys}
            return _as_arrays(state), dict(reader.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{file}: damaged safetensors file ({error}); fetch or make it again"
        ) from error


def _read_pickle(file: Path) -> dict[str, Array]:
    import torch  # for what torch pickled alone: it takes seconds to load

    try:
        # Most of VGG-19's file are layers that are never used: mapped, they are never read.
        mapped = zipfile.is_zipfile(file)
        loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
    ) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(
            f"{file}: not a plain weight file ({first}); a state dict of tensors saved by "
            f"torch.save or a .safetensors file is needed"
        ) from error
    if not isinstance(loaded, dict):
        raise WeightsError(f"{file}: holds a {type(loaded).__name__}, not a state dict of tensors")
    tensors = {str(k): v for k, v in loaded.items() if isinstance(v, torch.Tensor)}
    return _as_arrays(tensors)


def _as_arrays(state: Mapping[str, Any]) -> dict[str, Array]:
    """Those of a state dict's tensors that are a network's, as float32 arrays."""
    return {
        key: value.astype(np.float32) if isinstance(value, np.ndarray) else _array_of(value)
        for key, value in state.items()
        if _is_used(key)
    }


def _array_of(tensor: Any) -> Array:
    found: Array = tensor.detach().float().numpy()  # a saved parameter still asks for gradients
    return found


def _is_used(key: str) -> bool:
    """Whether a state dict's entry is a part of a network as it is used here."""
    return _canonical(key) is not None or key.partition(".")[0] in ("input", "conv0")


# --- one form -------------------------------------------------------------------------------------

_KEY = re.compile(r"^(?:conv|head)_?(\d)_?(\d)(_aux)?\.(weight|bias)$")


def _canonical(key: str) -> tuple[str, str, str] | None:
    """(kind, layer, `weight` or `bias`) of a key in any of the known naming styles, else None."""
    torchvision = re.match(r"^(?:features\.)?(\d+)\.(weight|bias)$", key)
    if torchvision:
        index, part = int(torchvision[1]), torchvision[2]
        layer = next((name for name, i in _TORCHVISION_INDEX.items() if i == index), None)
        return ("conv", layer, part) if layer else None
    match = _KEY.match(key)
    if not match:
        return None
    kind = "head" if match[3] or key.startswith("head") else "conv"
    return kind, f"conv{match[1]}_{match[2]}", match[4]


def _assemble(
    name: str, state: Mapping[str, Array], metadata: Mapping[str, str], source: str
) -> Arrays:
    found: dict[tuple[str, str], dict[str, Array]] = {}
    torchvision_names = False
    for key, array in state.items():
        canonical = _canonical(key)
        if canonical:
            torchvision_names |= key[0].isdigit() or key.startswith("features.")
            found.setdefault(canonical[:2], {})[canonical[2]] = array
    convs = _chain(found, source, VGG19_WIDTHS if name == "vgg19" else None)
    heads = {
        layer: (parts["weight"], parts.get("bias", np.zeros(len(parts["weight"]), np.float32)))
        for (kind, layer), parts in found.items()
        if kind == "head" and layer in convs and "weight" in parts
    }
    preprocessing = metadata.get("preprocessing", "imagenet" if torchvision_names else "caffe")
    return Arrays(name, convs, heads, _input_transform(state, preprocessing, source), source)


def _chain(
    found: Mapping[tuple[str, str], Mapping[str, Array]],
    source: str,
    widths: Mapping[str, int] | None,
) -> dict[str, Pair]:
    """The convolutions in order, up to the first that is missing, with every shape checked."""
    convs: dict[str, Pair] = {}
    channels = 3
    for layer in LAYERS:
        parts = found.get(("conv", layer), {})
        if not parts:
            break
        weight, bias = parts.get("weight"), parts.get("bias")
        if weight is None or bias is None:
            raise WeightsError(f"{source}: {layer} has no {'weight' if weight is None else 'bias'}")
        out = widths[layer] if widths else weight.shape[0]
        if weight.shape != (out, channels, 3, 3) or bias.shape != (out,):
            raise WeightsError(
                f"{source}: {layer} has weight {weight.shape} and bias {bias.shape}, but "
                f"{(out, channels, 3, 3)} and {(out,)} are needed"
                + (" for VGG-19" if widths else "")
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise WeightsError(f"{source}: {layer} holds NaN or infinite weights")
        convs[layer] = (weight, bias)
        channels = out
    if not convs:
        raise WeightsError(
            f"{source}: no VGG layer found; wanted are names such as features.0.weight "
            f"(torchvision) or conv1_1.weight (Caffe)"
        )
    return convs


def _input_transform(state: Mapping[str, Array], preprocessing: str, source: str) -> Pair:
    for key in ("input", "conv0"):
        if f"{key}.weight" in state:
            weight, bias = state[f"{key}.weight"], state.get(f"{key}.bias")
            if weight.shape != (3, 3, 1, 1):
                raise WeightsError(f"{source}: {key}.weight must be (3, 3, 1, 1)")
            if bias is None or bias.shape != (3,):
                raise WeightsError(f"{source}: {key}.bias must be (3,)")
            return weight, bias
    if preprocessing == "imagenet":
        std = np.array(_IMAGENET_STD, np.float32)
        kernel: Array = np.diag(1 / std).astype(np.float32)[:, :, None, None]
        return kernel, (-np.array(_IMAGENET_MEAN, np.float32) / std).astype(np.float32)
    if preprocessing == "caffe":
        # Caffe's VGG wants BGR in 0..255 less the mean color.
        turned = np.eye(3, dtype=np.float32)[::-1, :, None, None] * np.float32(255)
        return np.ascontiguousarray(turned), -np.array(_CAFFE_MEAN_BGR, np.float32)
    raise WeightsError(f"{source}: preprocessing {preprocessing!r} is neither imagenet nor caffe")
