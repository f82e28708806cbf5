"""The frozen feature network, cut at the deepest layer that is asked for.

In: `Weights`. Out: a `Backbone` that maps pictures to named features.
Knows nothing of losses, jobs or the run folder.

A backbone is VGG-shaped: 3x3 convolutions in up to five blocks, each followed by a ReLU, 2x2
pooling between the blocks. Layers have the paper's names, `conv1_1` ... `conv5_4`, and stand for
the activations *after* the ReLU: torchvision's and Caffe's ReLUs work in place, so those are the
features that the paper and its followers used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from pipeline.errors import BackboneError
from pipeline.layers import LAYERS, no_layers
from pipeline.method.convolutions import Padding, Pooling, inset_of, padded_conv, pointwise, pooled
from pipeline.method.cpu_pass import Chain, Layer
from pipeline.method.half import SHRUNK, HalfPass
from pipeline.method.onednn import Kernel, fits
from pipeline.method.shape import shape_with
from pipeline.method.weights.tensors import Weights


def _channels_last(gradient: Tensor) -> Tensor:
    """What the losses made of a layer, as the convolutions before it want it."""
    return gradient.contiguous(memory_format=torch.channels_last)


def _channels_of(weights: Weights, layer: str) -> int:
    own = len(weights.heads.get(layer, weights.convs[layer])[0])
    return weights.channels.get(layer, own)


class Backbone(nn.Module):
    """A VGG-shaped network, cut at the deepest layer asked for, frozen.

    Args:
        weights: what `load_weights` gave.
        layers: the layers whose features are wanted.
        pooling: between the blocks, 2 x 2 with stride 2: `avg`, `max`, or `l2`, the root of the
            mean square.
        padding: how each 3x3 convolution sees beyond the edge; `replicate_first` at the first one
            only, zeros at the others.
        dtype: of convolutions and what lies between them, float32, bfloat16 or float16 (see
            `half.py`). The input's transform and all features that are handed out are float32.
        pooling_scale: factor on what pooling gives.

    Attributes:
        channels: per layer the number N of the losses' formulas; see `Weights`.

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
            named = f"backbone {weights.name} ({weights.source})"
            raise BackboneError(no_layers(named, missing, weights.convs))
        self.pooling, self.padding = pooling, padding
        self._cpu_chain: Chain | None = None
        self.digest = weights.digest
        widths = {layer: len(bias) for layer, (_, bias) in weights.convs.items()}
        heads = {layer: len(bias) for layer, (_, bias) in weights.heads.items()}
        self.shape = shape_with(widths, heads, self.layers, dtype.itemsize)
        self.chain = self.shape.chain
        self.channels = {layer: _channels_of(weights, layer) for layer in self.layers}
        self._hold("input", *weights.input)
        kernel = weights.input[0][:, :, 0, 0]
        # As with pixels that are only scaled and shifted, channel by channel, or exchanged.
        self.turns = bool(((kernel != 0).sum(1) == 1).all())
        places = kernel.abs().argmax(1)
        self.exchanges = places.tolist() != [0, 1, 2]
        self.register_buffer("input_from", places, persistent=False)
        factors = kernel.gather(1, places[:, None])
        self.register_buffer("input_factor", factors[..., None].float(), persistent=False)
        for layer in self.chain:
            self._hold(layer, *weights.convs[layer])
        self.heads = tuple(layer for layer in self.layers if layer in weights.heads)
        for layer in self.heads:
            self._hold(f"head_{layer}", *weights.heads[layer])

    def _hold(self, name: str, weight: Tensor, bias: Tensor) -> None:
        dtype = torch.float32 if name == "input" else self.dtype
        layout = torch.channels_last  # several times faster on CPUs, and what tensor cores want
        kernel = weight.detach().clone().to(dtype, memory_format=layout)
        shrunk = SHRUNK if dtype == torch.float16 else 1.0
        self.register_buffer(f"{name}_weight", kernel)
        self.register_buffer(f"{name}_bias", (bias.detach() * shrunk).to(dtype))

    def _conv(self, name: str, x: Tensor) -> Tensor:
        return pointwise(x, getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias"))

    def _enter(self, images: Tensor) -> Tensor:
        """The input's transform; a convolution 1 x 1 of float32 falls to a slow kernel on CPUs."""
        if not self.turns or images.device.type != "cpu":
            return self._conv("input", images)
        if self.exchanges:
            images = images.index_select(1, self.get_buffer("input_from"))
            images = images.contiguous(memory_format=torch.channels_last)
        # Whole rows at once: over three numbers at a time a loop does little else than begin.
        rows = images.permute(0, 2, 3, 1).flatten(2)
        parts = (self.get_buffer("input_bias"), self.get_buffer("input_factor").flatten())
        shift, factor = (part.expand(images.shape[3], -1).flatten() for part in parts)
        b, c, h, w = images.shape
        return torch.addcmul(shift, rows, factor).view(b, h, w, c).permute(0, 3, 1, 2)

    def _conv3x3(self, name: str, x: Tensor) -> Tensor:
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        return padded_conv(x, weight, bias, self.padding, first=name == "conv1_1")

    def _pool(self, x: Tensor) -> Tensor:
        found = pooled(x, self.pooling)
        return found if self.pooling_scale == 1 else found * self.pooling_scale

    def _kernel(self, name: str, padding: int, relu: bool) -> Kernel:
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        return Kernel(weight, bias, padding, relu)

    def _made_chain(self) -> Chain:
        """The network as a CPU takes it."""
        layers = []
        for name in self.chain:
            inset = inset_of(self.padding, name == "conv1_1")
            kernel = self._kernel(name, 1 if inset is None else 0, relu=True)
            head = self._kernel(f"head_{name}", 0, relu=False) if name in self.heads else None
            handed, pools = name in self.layers, name.endswith("_1") and name != "conv1_1"
            layers.append(Layer(kernel, inset, pools, handed, head))
        return Chain(layers, self.pooling, self.pooling_scale)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Backbone:
        self._cpu_chain = None  # it holds the tensors that go
        moved: Backbone = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return moved

    def _features(self, x: Tensor) -> dict[str, Tensor]:
        """Of what the network takes, per layer that is asked for."""
        if fits(x):
            self._cpu_chain = self._cpu_chain or self._made_chain()
            return dict(zip(self.layers, self._cpu_chain(x), strict=True))
        features = {}
        for layer in self.chain:
            if layer.endswith("_1") and layer != "conv1_1":
                x = self._pool(x)
            # In place: a frozen convolution needs neither its input nor its output to go back.
            x = self._conv3x3(layer, x).relu_()
            if layer in self.layers:
                handed_out = self._conv(f"head_{layer}", x) if layer in self.heads else x
                if handed_out.requires_grad and not torch.compiler.is_compiling():
                    handed_out.register_hook(_channels_last)  # type: ignore[no-untyped-call]
                features[layer] = handed_out
        return features

    @property
    def halo(self) -> int:
        """How far in px, at most, a feature of the deepest layer sees beyond its own position."""
        return self.shape.halo

    @property
    def bytes_per_pixel(self) -> float:
        """Memory of one step's forward and backward, per pixel of a picture, counted."""
        return self.shape.bytes_per_pixel

    def width(self, layer: str) -> int:
        """How many channels the features of a layer have that was asked for."""
        return self.shape.width(layer)

    @property
    def smallest_side(self) -> int:
        """The shortest picture side in px that leaves 2 positions at the deepest layer."""
        return self.shape.smallest_side

    def forward(self, images: Tensor, narrow: bool = False) -> dict[str, Tensor]:
        """Features of `images` (B x 3 x H x W, RGB in [0, 1]) per layer, each B x C x h x w.

        Args:
            narrow: hand out bfloat16 features as they are, for what knows how to take them; else
                all are float32.

        Raises:
            BackboneError: a side is shorter than `smallest_side`.
        """
        if min(images.shape[-2:]) < self.smallest_side:
            raise BackboneError(
                f"a picture of {images.shape[-1]} x {images.shape[-2]} px is too small for "
                f"{self.chain[-1]}: at least {self.smallest_side} px a side are needed"
            )
        x = self._enter(images.contiguous(memory_format=torch.channels_last))
        if self.dtype == torch.float16:
            half = HalfPass()
            return half.leave(self._features(half.enter(x)))
        features = self._features(x.to(self.dtype))
        return features if narrow else {layer: v.float() for layer, v in features.items()}
