"""Teacher and student: the teacher's leading directions, and the small network that learns them.

Each tap (a layer in `TAPS`) has a 1x1 head that maps the student's few channels to the teacher's
leading principal directions (of the uncentered second moment). Dropping the rest is an isometry of
what is kept, so distances between the student's Grams are distances between the teacher's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from pipeline.distill.recipe import HINTS, TAPS, Recipe
from pipeline.errors import WeightsError
from pipeline.layers import LAYERS
from pipeline.method import Backbone, Padding, Weights, gram, normalize, padded_conv, precise


@torch.no_grad()
def reduce_teacher(
    teacher: Weights, crops: Sequence[Tensor], widths: Mapping[str, int], padding: Padding
) -> Weights:
    """The teacher with each tap turned into its leading principal directions.

    For features f of C channels with second moment E[f f^T] = U diag(s) U^T, the new head hands out
    the leading K rows of U^T f, where K is the student's width or fewer, if fewer hold all but
    a 10,000th of the energy; a multiple of 16 where there are so many, which matrix units like.

    Args:
        crops: batches B x 3 x H x W of training crops.
        widths: the student's channels per tap.
        padding: see `Backbone`.
    """
    moments: dict[str, Tensor] = {}
    network = Backbone(teacher, HINTS, padding=padding)
    for batch in crops:
        for tap, features in network(batch).items():
            moments[tap] = moments.get(tap, torch.zeros(())) + gram(features).double().mean(0)
    heads = {}
    for tap, moment in moments.items():
        values, vectors = torch.linalg.eigh(moment)
        values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
        kept = int((values.cumsum(0) / values.sum() < 1 - 1e-4).sum()) + 1
        basis = vectors[:, : min(-16 * (-kept // 16), widths[tap])].T.float()
        weight, bias = teacher.heads.get(
            tap, (torch.eye(len(moment))[:, :, None, None], torch.zeros(len(moment)))
        )
        heads[tap] = ((basis @ weight[:, :, 0, 0])[:, :, None, None], basis @ bias)
    return replace(teacher, heads=heads).with_digest()


class Student(nn.Module):
    """The trainable network: 3x3 convolutions, ReLU, average pooling, and a 1x1 head a tap."""

    def __init__(self, recipe: Recipe, outputs: Mapping[str, int]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(recipe.seed)
        self.padding = recipe.padding
        self.convs, self.heads = nn.ModuleDict(), nn.ModuleDict()
        channels = 3
        for layer, width in zip(LAYERS, recipe.widths, strict=False):
            self.convs[layer] = self._init(nn.Conv2d(channels, width, 3), 2.0, generator)
            channels = width
            if layer in outputs:
                head = nn.Conv2d(width, outputs[layer], 1)
                self.heads[layer] = self._init(head, 1.0, generator)

    @staticmethod
    def _init(conv: nn.Conv2d, gain: float, generator: torch.Generator) -> nn.Conv2d:
        deviation = (gain / conv.weight[0].numel()) ** 0.5
        with torch.no_grad():
            conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator) * deviation)
            assert conv.bias is not None
            conv.bias.zero_()
        return conv

    @staticmethod
    def input() -> tuple[Tensor, Tensor]:
        """What is done to RGB in [0, 1] before the first layer, as a 1x1 kernel and bias."""
        return torch.eye(3)[:, :, None, None] / 0.225, torch.full((3,), -0.45 / 0.225)

    def trunk(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each tap's activations before its head. Images are B x 3 x H x W in [0, 1]."""
        x = (images - 0.45) / 0.225
        for layer, conv in self.convs.items():
            if layer.endswith("_1") and layer != "conv1_1":
                x = F.avg_pool2d(x, 2)
            weight, bias = conv.get_parameter("weight"), conv.get_parameter("bias")
            first = layer == "conv1_1"
            x = F.relu(padded_conv(x, weight, bias, self.padding, first=first))
            if layer in self.heads:
                yield layer, x

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Per tap the head's output, B x K x h x w, float32."""
        return {layer: self.heads[layer](x).float() for layer, x in self.trunk(images)}

    @torch.no_grad()
    def take(self, weights: Weights) -> None:
        """Begins with the kernels of another small network; the heads are fitted anew.

        Kernels may be wider here: channels that the other does not have stay as they were drawn,
        and nothing that it has reads them.

        Raises:
            WeightsError: it has a layer wider than here, or other preprocessing.
        """
        own = self.input()
        same = all(torch.allclose(a, b, atol=1e-2) for a, b in zip(own, weights.input, strict=True))
        if not same:
            raise WeightsError(
                f"{weights.source}: its first layer wants to see other values than the new "
                f"network's; a network can begin with one that `nst distill` made"
            )
        for layer, (kernel, bias) in weights.convs.items():
            if layer not in self.convs:
                continue
            mine, shift = (self.convs[layer].get_parameter(name) for name in ("weight", "bias"))
            fits = all(a <= b for a, b in zip(kernel.shape, mine.shape, strict=True))
            if not fits:
                raise WeightsError(
                    f"{weights.source}: {layer} has {tuple(kernel.shape)}, the new network "
                    f"{tuple(mine.shape)}: a network can begin with one that is no wider"
                )
            rows, columns = kernel.shape[:2]
            mine[:rows] = 0
            mine[:rows, :columns] = kernel
            shift[:rows] = bias

    def weights(self, scales: Mapping[str, float], channels: Mapping[str, int]) -> Weights:
        """The network as backbone weights; head outputs multiplied by the teacher's scales.

        Args:
            channels: the teacher's, per layer; the losses' formulas take them for its own.
        """

        def pair(conv: nn.Module, factor: float = 1.0) -> tuple[Tensor, Tensor]:
            weight, bias = conv.get_parameter("weight"), conv.get_parameter("bias")
            return weight.detach().cpu() * factor, bias.detach().cpu() * factor

        return Weights(
            name="lite",
            convs={layer: pair(conv) for layer, conv in self.convs.items()},
            heads={
                layer: pair(head, scales[layer])
                for layer, head in self.heads.items()
                if layer in TAPS
            },
            input=self.input(),
            source="distilled",
            channels={layer: channels[layer] for layer in self.heads if layer in TAPS},
        )


@torch.no_grad()
def with_even_filters(weights: Weights, crops: Sequence[Tensor], padding: Padding) -> Weights:
    """The same function, each filter scaled to a root mean square of 1 over `crops`, as drawn
    kernels have it: training moves all kernels by steps of one length."""
    network = Backbone(replace(weights, heads={}), weights.convs, padding=padding)
    squares: dict[str, Tensor] = {}
    for batch in crops:
        for layer, features in network(batch).items():
            found = features.square().mean((0, 2, 3)) / len(crops)
            squares[layer] = squares.get(layer, torch.zeros(())) + found
    sizes = {layer: value.sqrt() for layer, value in squares.items()}
    return normalize(replace(weights, means={}), sizes)


@torch.no_grad()
def fit_heads(student: Student, batches: Iterable[tuple[Tensor, Mapping[str, Tensor]]]) -> None:
    """Sets the heads by ridge regression: the best ones for the trunk as it stands.

    Args:
        batches: images B x 3 x H x W in [0, 1], and per tap the target B x K x h x w.
    """
    sums: dict[str, tuple[Tensor, Tensor]] = {}
    for images, targets in batches:
        for tap, x in student.trunk(images):
            rows = F.pad(x, (0, 0, 0, 0, 0, 1), value=1.0).movedim(1, -1).flatten(0, 2)
            wanted = targets[tap].movedim(1, -1).flatten(0, 2)
            left, right = precise(rows.T @ rows), precise(rows.T @ wanted)
            if tap in sums:
                left, right = sums[tap][0] + left, sums[tap][1] + right
            sums[tap] = (left, right)
    for tap, (left, right) in sums.items():
        ridge = 1e-6 * left.diagonal().mean() * torch.eye(len(left), device=left.device)
        solution = torch.linalg.solve(left + ridge, right).float().T
        head = student.heads[tap]
        head.get_parameter("weight").copy_(solution[:, :-1, None, None])
        head.get_parameter("bias").copy_(solution[:, -1])
