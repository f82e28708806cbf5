"""The presets named after other tools: losses and gradients at the first scale's start, through
VGG-19's original weights, against the tools' formulas in float64 and a network written out here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    ScaleInputs,
    Weights,
    load_weights,
    optimize,
    schedule_scales,
    style_targets,
)
from pipeline.method.first_images import first_images
from pipeline.method.scale_run import ScaleRun
from pipeline.method.tiles import losses_and_gradient

STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTENT = "conv4_2"
LIFT = 1e-4  # what style-transfer-pytorch adds to a covariance's diagonal
Features = Mapping[str, Tensor]


@dataclass(frozen=True)
class Parts:
    """A loss and its parts, before their weights."""

    content: Tensor
    style: Tensor
    tv: Tensor
    total: Tensor


@dataclass(frozen=True)
class Start:
    """What a job begins with: three pictures, 3 x H x W."""

    image: Tensor
    content: Tensor
    style: Tensor


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights("vgg19", "caffe")


def drawn(seed: int, height: int, width: int) -> Tensor:
    """Soft blobs with a little noise, in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    blobs = torch.rand(1, 3, 6, 7, generator=generator)
    soft = F.interpolate(blobs, (height, width), mode="bicubic")[0]
    return (soft + 0.1 * torch.randn(3, height, width, generator=generator)).clamp(0, 1)


def features(weights: Weights, image: Tensor, replicate: bool) -> dict[str, Tensor]:
    """VGG-19 with max pooling in float64, from its kernels alone; per layer C x M.

    Args:
        image: 3 x H x W, RGB in [0, 1].
        replicate: whether the first layer sees the picture's edge repeated, not zeros.
    """
    mean = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64)
    x = (image.double().flip(0) * 255 - mean[:, None, None])[None]
    found = {}
    for layer, (kernel, bias) in weights.convs.items():
        if layer[-1] == "1" and layer != "conv1_1":
            x = F.max_pool2d(x, 2)
        mode = "replicate" if replicate and layer == "conv1_1" else "constant"
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), kernel.double(), bias.double()).relu()
        found[layer] = x[0].flatten(1)
        if layer == STYLE[-1]:
            break
    return found


def covariance(values: Tensor) -> Tensor:
    centered = values - values.mean(1, keepdim=True)
    return centered @ centered.T / values.shape[1]


def wasserstein(found: Tensor, style: Tensor, lift: Tensor | float) -> Tensor:
    """StyleLossW2: mean over channels of (mu - mu')^2 and of the diagonal of
    S + S' - 2 (S'^(1/2) S S'^(1/2))^(1/2), with `lift` on both covariances' diagonals.

    The tool takes roots by 12 iterations of Newton and Schulz; here they are exact."""
    own = torch.eye(len(found), dtype=found.dtype) * lift
    ours, its = covariance(found) + own, covariance(style) + own
    values, vectors = torch.linalg.eigh(its)
    root = vectors @ torch.diag(values.sqrt()) @ vectors.T
    both = torch.linalg.eigvalsh(root @ ours @ root).clamp_min(0).sqrt().sum()
    means = (found.mean(1) - style.mean(1)).square().mean()
    return means + (ours.trace() + its.trace() - 2 * both) / len(found)


def nine_point(image: Tensor) -> Tensor:
    """TVLoss: 2 (d1 + d2) / 3 for straight and 2 (d3 + d4) / 12 for diagonal differences."""
    padded = F.pad(image[None], (1, 1, 1, 1), mode="replicate")[0]
    d1 = (padded[:, 1:-1, 2:] - padded[:, 1:-1, 1:-1]).square().mean()
    d2 = (padded[:, 2:, 1:-1] - padded[:, 1:-1, 1:-1]).square().mean()
    d3 = (padded[:, 1:, 1:] - padded[:, :-1, :-1]).square().mean()
    d4 = (padded[:, 1:, :-1] - padded[:, :-1, 1:]).square().mean()
    return 2 * ((d1 + d2) / 3 + (d3 + d4) / 12)


def crowson(weights: Weights, start: Start, own_lift: bool = True) -> Parts:
    """style-transfer-pytorch: ContentLossMSE by 0.015, StyleLossW2 by 256, 64, 16, 4, 1 over 341,
    TVLoss by 2; replicate padding at the first layer.

    Args:
        own_lift: whether covariances are lifted as here, by 1e-4 of the style's mean variance; else
            as there, by 1e-4.
    """
    x, p, s = (features(weights, v, True) for v in (start.image, start.content, start.style))
    content = (x[CONTENT] - p[CONTENT]).square().mean()
    style = torch.zeros((), dtype=torch.float64)
    for layer, weight in zip(STYLE, (256, 64, 16, 4, 1), strict=True):
        lift = LIFT * s[layer].var(1, correction=0).mean() if own_lift else LIFT
        style = style + weight / 341 * wasserstein(x[layer], s[layer], lift)
    tv = nine_point(start.image)
    return Parts(content, style, tv, 0.015 * content + style + 2 * tv)


def tutorial(weights: Weights, start: Start) -> Parts:
    """The common tutorial: mean squared errors of features, and of Gram matrices over c h w; alpha
    1, beta 1e6. It has no total variation."""
    x, p, s = (features(weights, v, False) for v in (start.image, start.content, start.style))
    content = (x[CONTENT] - p[CONTENT]).square().mean()
    style = torch.zeros((), dtype=torch.float64)
    for layer in STYLE:
        ours, wanted = (f[layer] @ f[layer].T / f[layer].numel() for f in (x, s))
        style = style + (ours - wanted).square().mean()
    image = start.image
    down, across = image[:, 1:] - image[:, :-1], image[:, :, 1:] - image[:, :, :-1]
    tv = down.square().mean() + across.square().mean()
    return Parts(content, style, tv, content + 1e6 * style)


FORMULAS: dict[str, Callable[[Weights, Start], Parts]] = {
    "style-transfer-pytorch": crowson,
    "tutorial": tutorial,
}
SIZES = {
    "style-transfer-pytorch": {"size": 96, "scale_start": 64},
    "tutorial": {"size": "64x64"},
}


def begun(weights: Weights, preset: str, init: str) -> tuple[ScaleRun, Start]:
    """A job of `preset` at its first scale, before the first step."""
    job = Settings(preset=preset, init=init, **SIZES[preset])
    scales = schedule_scales(job, 400, 300)
    height, width = scales[0].height, scales[0].width
    content, style = drawn(1, height, width), drawn(2, height, width)
    network = Backbone(weights, job.layers, job.pooling, job.padding)
    targets = style_targets(network, style, tuple(job.style_layers), job.style_loss)
    stacked = {layer: values[None] for layer, values in targets.items()}
    given = ScaleInputs(content[None], torch.zeros(1, dtype=torch.long), stacked)
    images = first_images([job], content[None], {"other.png": drawn(3, height, width)})
    run = ScaleRun(network, [job], scales, 0, given, images)
    return run, Start(images[0].double().requires_grad_(), content, style)


@pytest.mark.parametrize("init", ["content", "other.png"])
@pytest.mark.parametrize("preset", sorted(FORMULAS))
def test_a_presets_losses_and_gradient_are_its_tools(
    weights: Weights, preset: str, init: str
) -> None:
    run, start = begun(weights, preset, init)
    losses, gradient = losses_and_gradient(run.backbone, run.movers.loss, run.movers.pixels, 0)
    wanted = FORMULAS[preset](weights, start)
    for name in ("content", "style", "tv", "total"):
        found, expected = (float(getattr(parts, name).detach()) for parts in (losses, wanted))
        assert found == pytest.approx(expected, rel=1e-4), name
    (pull,) = torch.autograd.grad(wanted.total, start.image)
    assert float((gradient[0] - pull).norm() / pull.norm()) < 1e-3


@pytest.mark.parametrize("preset", sorted(FORMULAS))
def test_a_presets_first_step_is_from_this_start(weights: Weights, preset: str) -> None:
    run, start = begun(weights, preset, "content")
    step = next(optimize(run.backbone, run.jobs, run.scales, lambda index: run.given))
    wanted = FORMULAS[preset](weights, start)
    assert float(step.losses.total) == pytest.approx(float(wanted.total.detach()), rel=1e-4)
    assert float(step.losses.content) == 0  # the picture is the content's own


def test_what_the_wasserstein_distance_adds_makes_next_to_no_difference(weights: Weights) -> None:
    """A 10,000th of the style's mean variance here, 1e-4 in the tool. With variances of up to
    thousands that is 0.03% of the style loss, and 0.1 to 0.5% of its gradient."""
    _, start = begun(weights, "style-transfer-pytorch", "other.png")
    ours, its = (crowson(weights, start, own_lift).style for own_lift in (True, False))
    assert float(ours.detach()) == pytest.approx(float(its.detach()), rel=1e-3)
    pulls = [torch.autograd.grad(style, start.image)[0] for style in (ours, its)]
    assert float((pulls[0] - pulls[1]).norm() / pulls[1].norm()) < 1e-2
