"""Networks for benchmarks: VGG-19's exact shape where VGG-19's own weights cannot be had."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.layers import LAYERS, shrink_of
from pipeline.method import VGG19_WIDTHS, Weights, load_weights


def vgg19_shape(heads: bool = False) -> Weights:
    """VGG-19's widths and depth, computing the features of `lite`.

    Random weights would optimize to nothing and their losses would mean nothing. Here each channel
    of `lite` stands several times beside itself and each weight is divided by the copies that it
    reads, so all features are `lite`'s, repeated; layers that `lite` does not have hand on what
    they read. The arithmetic is VGG-19's.

    Args:
        heads: hand out what `lite` hands out, through its 1x1 projections; they add 1% of work.
    """
    lite = load_weights("lite")
    convs, projections = {}, {}
    copies = torch.arange(3)  # which channel of lite each input channel is
    for layer, width in VGG19_WIDTHS.items():
        weight, bias = lite.convs.get(layer) or _identity(int(copies.max()) + 1)
        kept = torch.arange(width) % len(weight)
        share = torch.bincount(copies, minlength=int(copies.max()) + 1)[copies]
        convs[layer] = (weight[kept][:, copies] / share[None, :, None, None], bias[kept])
        copies = kept
        if heads and layer in lite.heads:
            head, head_bias = lite.heads[layer]
            share = torch.bincount(copies)[copies]
            projections[layer] = (head[:, copies] / share[None, :, None, None], head_bias)
    return Weights("vgg19", convs, projections, lite.input, "lite, repeated").with_digest()


def _identity(channels: int) -> tuple[Tensor, Tensor]:
    weight = torch.zeros(channels, channels, 3, 3)
    weight[range(channels), range(channels), 1, 1] = 1
    return weight, torch.zeros(channels)


def without_heads(weights: Weights) -> Weights:
    """The same network, its own channels handed out."""
    return Weights(weights.name, weights.convs, {}, weights.input, weights.source).with_digest()


def multiply_adds(weights: Weights, layers: Mapping[str, int], width: int, height: int) -> int:
    """Multiply-adds of one step: what the network cut at the deepest of `layers` must do.

    Forward, and backward to the picture (the weights need no gradient); heads; and each style
    layer's Gram matrix and its gradient.

    Args:
        layers: per layer that is asked for, 1 if its Gram matrix is needed, else 0.
    """
    total = 0
    for layer in LAYERS[: max(map(LAYERS.index, layers)) + 1]:
        shrink = shrink_of(layer)
        positions = (width // shrink) * (height // shrink)
        weight = weights.convs[layer][0]
        total += 2 * positions * weight.numel()
        channels = len(weight)
        if layer in layers and layer in weights.heads:
            head = weights.heads[layer][0]
            total += 2 * positions * head.numel()
            channels = len(head)
        total += 2 * positions * channels**2 * layers.get(layer, 0)
    return total
