"""The frozen feature networks: find weights, verify, load, cut at the deepest layer, normalize.

In: a backbone's name or weight file. Out: a `Backbone` that maps pictures to named features.
Knows nothing of losses, jobs or the run folder.

A backbone is VGG-shaped: 3x3 convolutions in up to five blocks, each followed by a ReLU, 2x2
pooling between the blocks. Layers have the paper's names, `conv1_1` ... `conv5_4`, and stand for
the activations *after* the ReLU: torchvision's and Caffe's ReLUs work in place, so those are the
features that the paper and its followers used.
"""

from __future__ import annotations

import hashlib
import re
import urllib.error
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pipeline.errors import BackboneError, WeightsError
from pipeline.layers import BLOCKS, LAYERS

Pooling = Literal["avg", "max", "l2"]
Padding = Literal["zeros", "replicate", "reflect", "replicate_first"]

VGG19_WIDTHS = dict(
    zip(
        LAYERS,
        (w for w, n in zip((64, 128, 256, 512, 512), BLOCKS, strict=True) for _ in range(n)),
        strict=True,
    )
)
# Index of each convolution in torchvision's `vgg19().features`: conv, ReLU, and a pool a block.
_TORCHVISION_INDEX = {name: 2 * position + int(name[4]) - 1 for position, name in enumerate(LAYERS)}
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
LITE_FILE = Path(__file__).parent / "lite.safetensors"
NAMES = ("vgg19", "lite")


@dataclass(frozen=True)
class Weights:
    """A network's weights, in memory.

    Attributes:
        name: the backbone's name.
        convs: per layer the 3x3 kernel C_out x C_in x 3 x 3 and the bias C_out.
        heads: per layer an optional 1x1 projection K x C x 1 x 1 and bias K, applied after the
            ReLU to what is handed out as that layer's features, never to what flows on.
        input: 1x1 kernel 3 x 3 x 1 x 1 and bias 3 that turn RGB in [0, 1] into what the first
            convolution wants.
        source: where the weights came from, for messages.
        digest: SHA-256 over all tensors, independent of the file's format.
    """

    name: str
    convs: Mapping[str, tuple[Tensor, Tensor]]
    heads: Mapping[str, tuple[Tensor, Tensor]]
    input: tuple[Tensor, Tensor]
    source: str
    digest: str = field(default="")

    def with_digest(self) -> Weights:
        """The same weights with `digest` computed."""
        return replace(self, digest=_digest(self))


def _digest(weights: Weights) -> str:
    sha = hashlib.sha256()
    parts = {"input": weights.input}
    parts |= {f"conv {name}": pair for name, pair in weights.convs.items()}
    parts |= {f"head {name}": pair for name, pair in weights.heads.items()}
    for name in sorted(parts):
        for tensor in parts[name]:
            sha.update(f"{name} {tuple(tensor.shape)}".encode())
            sha.update(tensor.detach().float().contiguous().cpu().numpy().tobytes())
    return sha.hexdigest()


# --- finding and loading weights ---------------------------------------------------------------


def load_weights(name: str, file: Path | None = None) -> Weights:
    """Loads the weights of backbone `name`, from `file` if given.

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


def _from_torchvision() -> Weights:
    if vgg19_path().exists():  # its hash was checked when it was downloaded
        return _assemble("vgg19", _read_pickle(vgg19_path()), {}, str(vgg19_path()))
    from torchvision.models import VGG19_Weights

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
    return _assemble("vgg19", dict(state), {}, str(vgg19_path()))


def vgg19_path() -> Path:
    """Where torchvision keeps VGG-19's weights on this machine."""
    return Path(torch.hub.get_dir()) / "checkpoints" / "vgg19-dcbb9e9d.pth"


def _from_file(name: str, file: Path) -> Weights:
    if not file.is_file():
        raise WeightsError(f"{file}: no such weight file; check the path in `backbone: weights:`")
    state, metadata = (
        _read_safetensors(file) if file.suffix == ".safetensors" else (_read_pickle(file), {})
    )
    if "d01eb7cb" in file.name:  # Caffe's weights under torchvision's names, as others ship them.
        metadata = {"preprocessing": "caffe"} | metadata
    return _assemble(name, state, metadata, str(file))


def _read_safetensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(file, framework="pt") as reader:
            return {key: reader.get_tensor(key) for key in reader.keys()}, dict(  # noqa: SIM118
                reader.metadata() or {}
            )
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{file}: damaged safetensors file ({error}); fetch or make it again"
        ) from error


def _read_pickle(file: Path) -> dict[str, Tensor]:
    import pickle
    import zipfile

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
    return {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}


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
    name: str, state: Mapping[str, Tensor], metadata: Mapping[str, str], source: str
) -> Weights:
    found: dict[tuple[str, str], dict[str, Tensor]] = {}
    torchvision_names = False
    for key, tensor in state.items():
        canonical = _canonical(key)
        if canonical:
            torchvision_names |= key[0].isdigit() or key.startswith("features.")
            found.setdefault(canonical[:2], {})[canonical[2]] = tensor.float()
    convs = _chain(found, source, VGG19_WIDTHS if name == "vgg19" else None)
    heads = {
        layer: (
            parts["weight"],
            parts.get("bias", torch.zeros(parts["weight"].shape[0])),
        )
        for (kind, layer), parts in found.items()
        if kind == "head" and layer in convs and "weight" in parts
    }
    preprocessing = metadata.get("preprocessing", "imagenet" if torchvision_names else "caffe")
    return Weights(
        name, convs, heads, _input_transform(state, preprocessing, source), source
    ).with_digest()


def _chain(
    found: Mapping[tuple[str, str], Mapping[str, Tensor]],
    source: str,
    widths: Mapping[str, int] | None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """The convolutions in order, up to the first that is missing, with every shape checked."""
    convs: dict[str, tuple[Tensor, Tensor]] = {}
    channels = 3
    for layer in LAYERS:
        parts = found.get(("conv", layer), {})
        if not parts:
            break
        weight, bias = parts.get("weight"), parts.get("bias")
        if weight is None or bias is None:
            raise WeightsError(f"{source}: {layer} has no {'weight' if weight is None else 'bias'}")
        out = widths[layer] if widths else weight.shape[0]
        if tuple(weight.shape) != (out, channels, 3, 3) or tuple(bias.shape) != (out,):
            raise WeightsError(
                f"{source}: {layer} has weight {tuple(weight.shape)} and bias "
                f"{tuple(bias.shape)}, but {(out, channels, 3, 3)} and {(out,)} are needed"
                + (" for VGG-19" if widths else "")
            )
        if not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            raise WeightsError(f"{source}: {layer} holds NaN or infinite weights")
        convs[layer] = (weight, bias)
        channels = out
    if not convs:
        raise WeightsError(
            f"{source}: no VGG layer found; wanted are names such as features.0.weight "
            f"(torchvision) or conv1_1.weight (Caffe)"
        )
    return convs


def _input_transform(
    state: Mapping[str, Tensor], preprocessing: str, source: str
) -> tuple[Tensor, Tensor]:
    for key in ("input", "conv0"):
        if f"{key}.weight" in state:
            weight, bias = state[f"{key}.weight"].float(), state[f"{key}.bias"].float()
            if tuple(weight.shape) != (3, 3, 1, 1):
                raise WeightsError(f"{source}: {key}.weight must be (3, 3, 1, 1)")
            return weight, bias
    if preprocessing == "imagenet":
        std = torch.tensor(_IMAGENET_STD)
        return torch.diag(1 / std)[:, :, None, None], -torch.tensor(_IMAGENET_MEAN) / std
    if preprocessing == "caffe":
        # Caffe's VGG wants BGR in 0..255 less the mean color.
        return torch.eye(3).flip(0)[:, :, None, None] * 255, -torch.tensor(_CAFFE_MEAN_BGR)
    raise WeightsError(f"{source}: preprocessing {preprocessing!r} is neither imagenet nor caffe")


# --- the network --------------------------------------------------------------------------------


class Backbone(nn.Module):
    """A VGG-shaped network, cut at the deepest layer asked for, frozen.

    Args:
        weights: what `load_weights` gave.
        layers: the layers whose features are wanted.
        pooling: between the blocks, 2 x 2 with stride 2: `avg`, `max`, or `l2`, the root of the
            mean square.
        padding: how each 3x3 convolution sees beyond the edge; `replicate_first` at the first one
            only, zeros at the others.
        dtype: of convolutions and what lies between them, float32 or bfloat16. The input's
            transform and all features that are handed out are float32.
        pooling_scale: factor on what pooling gives.

    Raises:
        BackboneError: a layer that these weights do not have.
    """

    def __init__(
        self,
        weights: Weights,
        layers: Iterable[str],
        pooling: Pooling = "avg",
        padding: Padding = "replicate",
        dtype: torch.dtype = torch.float32,
        pooling_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.dtype, self.pooling_scale = dtype, pooling_scale
        self.layers = tuple(sorted(set(layers), key=LAYERS.index))
        missing = [layer for layer in self.layers if layer not in weights.convs]
        if missing:
            raise BackboneError(
                f"backbone {weights.name} ({weights.source}) has no {', '.join(missing)}; its "
                f"layers are {', '.join(weights.convs)}"
            )
        self.pooling, self.padding = pooling, padding
        self.digest = weights.digest
        depth = LAYERS.index(self.layers[-1]) + 1
        self.chain = LAYERS[:depth]
        self._hold("input", *weights.input)
        for layer in self.chain:
            self._hold(layer, *weights.convs[layer])
        self.heads = tuple(layer for layer in self.layers if layer in weights.heads)
        for layer in self.heads:
            self._hold(f"head_{layer}", *weights.heads[layer])

    def _hold(self, name: str, weight: Tensor, bias: Tensor) -> None:
        dtype = torch.float32 if name == "input" else self.dtype
        layout = torch.channels_last  # several times faster on CPUs, and what tensor cores want
        kernel = weight.detach().clone().to(dtype, memory_format=layout)
        self.register_buffer(f"{name}_weight", kernel)
        self.register_buffer(f"{name}_bias", bias.detach().clone().to(dtype))

    def _conv(self, name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias"))

    def _conv3x3(self, name: str, x: Tensor) -> Tensor:
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        mode = self.padding
        if mode == "replicate_first":
            mode = "replicate" if name == "conv1_1" else "zeros"
        if mode == "zeros":
            return F.conv2d(x, weight, bias, padding=1)
        if mode == "replicate" and torch.compiler.is_compiling():
            # Compiled, replication_pad2d fails an assertion in its gradient with channels-last.
            x = torch.cat((x[:, :, :1], x, x[:, :, -1:]), 2)
            x = torch.cat((x[:, :, :, :1], x, x[:, :, :, -1:]), 3)
            return F.conv2d(x, weight, bias)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), weight, bias)

    def _pool(self, x: Tensor) -> Tensor:
        if self.pooling == "l2":  # the small number keeps the root's gradient finite at zero
            pooled = (F.avg_pool2d(x.square(), 2) + 1e-8).sqrt()
        else:
            pooled = F.avg_pool2d(x, 2) if self.pooling == "avg" else F.max_pool2d(x, 2)
        return pooled if self.pooling_scale == 1 else pooled * self.pooling_scale

    @property
    def halo(self) -> int:
        """How far in px, at most, a feature of the deepest layer sees beyond its own position."""
        reach = 0
        for layer, after in zip(self.chain[::-1], (*self.chain[-2::-1], ""), strict=True):
            reach += 1
            if after and after[4] != layer[4]:
                reach = 2 * reach + 1
        return reach

    @property
    def bytes_per_pixel(self) -> float:
        """Memory of one step's forward and backward, per pixel of a picture, counted.

        What the step holds at its peak: every ReLU's output; of each style layer the float32
        features and their gradient; and at the widest place a padded copy, a convolution's output
        and two gradients.
        """
        size = self.dtype.itemsize
        held = widest = 0.0
        for layer in self.chain:
            share = 0.25 ** (int(layer[4]) - 1)
            channels = getattr(self, f"{layer}_weight").shape[0]
            held += share * channels * size
            widest = max(widest, share * channels * size)
            if layer in self.layers:
                name = f"head_{layer}_weight" if layer in self.heads else f"{layer}_weight"
                held += share * getattr(self, name).shape[0] * (size + 8)
        return held + 4 * widest + 3 * 4 * 8  # the picture, its average, Adam's two moments, ...

    @property
    def smallest_side(self) -> int:
        """The shortest picture side in px that leaves 2 positions at the deepest layer."""
        return 2 << (int(self.chain[-1][4]) - 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features of `images` (B x 3 x H x W, RGB in [0, 1]) per layer, each B x C x h x w.

        Raises:
            BackboneError: a side is shorter than `smallest_side`.
        """
        if min(images.shape[-2:]) < self.smallest_side:
            raise BackboneError(
                f"a picture of {images.shape[-1]} x {images.shape[-2]} px is too small for "
                f"{self.chain[-1]}: at least {self.smallest_side} px a side are needed"
            )
        features = {}
        x = self._conv("input", images.contiguous(memory_format=torch.channels_last)).to(self.dtype)
        for layer in self.chain:
            if layer.endswith("_1") and layer != "conv1_1":
                x = self._pool(x)
            # In place: a frozen convolution needs neither its input nor its output to go back.
            x = F.relu(self._conv3x3(layer, x), inplace=True)
            if layer in self.layers:
                handed_out = self._conv(f"head_{layer}", x) if layer in self.heads else x
                features[layer] = handed_out.float()
        return features


# --- normalization ------------------------------------------------------------------------------


@torch.no_grad()
def mean_activations(
    weights: Weights,
    images: Iterable[Tensor],
    pooling: Pooling = "avg",
    padding: Padding = "zeros",
) -> dict[str, Tensor]:
    """Each filter's mean activation over images and positions, per layer a vector of C values.

    Args:
        images: each 3 x H x W or B x 3 x H x W in [0, 1], of any size; every image counts the same.
    """
    plain = replace(weights, heads={})
    network = Backbone(plain, weights.convs, pooling, padding)
    sums: dict[str, Tensor] = {}
    count = 0
    for image in images:
        batch = image if image.dim() == 4 else image[None]
        for layer, features in network(batch).items():
            total = features.mean((2, 3)).double().sum(0)
            sums[layer] = sums[layer] + total if layer in sums else total
        count += batch.shape[0]
    return {layer: (total / count).float() for layer, total in sums.items()}


def normalize(weights: Weights, means: Mapping[str, Tensor]) -> Weights:
    """Rescales filters so that each one's mean activation becomes 1 (Gatys et al. 2016, section 2).

    Scaling a filter by 1/m and its readers by m leaves the network's function as it was, since
    ReLU and both poolings are positively homogeneous: W'_l[i, j] = W_l[i, j] m_{l-1}[j] / m_l[i],
    b'_l[i] = b_l[i] / m_l[i]. Filters that never fire keep their scale, and so do those weaker
    than a thousandth of their layer's mean: rescaling them would only amplify rounding.

    Args:
        means: what `mean_activations` gave; every layer of `weights`.
    """
    convs, heads = {}, {}
    before = torch.ones(3)
    for layer, (weight, bias) in weights.convs.items():
        mean = means[layer]
        mean = torch.where(mean > 1e-3 * mean.mean(), mean, torch.ones_like(mean))
        convs[layer] = (
            weight * before[None, :, None, None] / mean[:, None, None, None],
            bias / mean,
        )
        if layer in weights.heads:
            head, head_bias = weights.heads[layer]
            heads[layer] = (head * mean[None, :, None, None], head_bias)
        before = mean
    return replace(weights, convs=convs, heads=heads).with_digest()
