"""One batch of jobs -> pictures: scales, targets, the step loop.

In: a backbone, settings, content pictures and style targets as tensors. Out: a generator of steps,
the last of which carries the pictures. Pure torch: no files, no console, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.backbone import Backbone
from pipeline.images import canvas_size
from pipeline.layers import LAYERS
from pipeline.losses import JobWeights, Losses, StyleTransferLoss, gram
from pipeline.optimise import make_optimiser
from pipeline.settings import Settings

# Version of everything here that decides pixels; part of every job key.
ALGORITHM = 1
Grams = Mapping[str, Tensor]


@dataclass(frozen=True)
class Scale:
    """One size of the coarse-to-fine schedule.

    Attributes:
        width, height: of the canvas, px.
        shrink: this scale's sides over the last scale's.
        steps: optimiser steps.
        rate: factor on the learning rate.
    """

    width: int
    height: int
    shrink: float
    steps: int
    rate: float

    @property
    def pixels(self) -> int:
        """Of the canvas."""
        return self.width * self.height


def smallest_side(layers: Sequence[str]) -> int:
    """The shortest picture side in px that leaves 2 positions at the deepest of `layers`."""
    block = max(int(layer[4]) for layer in layers)
    return 2 * int(2 ** (block - 1))


def schedule_scales(settings: Settings, width: int, height: int) -> tuple[Scale, ...]:
    """The scales of a `width` x `height` content picture, coarse to fine.

    Sizes grow geometrically from `scale_start` to the full size by at most `scale_factor` each;
    sizes too small for the deepest layer are left out. Every scale gets at least one step.
    """
    full = canvas_size(width, height, settings.size, settings.fit)
    shrinks = [1.0]
    if 0 < settings.scale_start < max(full):
        ratio = max(full) / settings.scale_start
        count = math.ceil(math.log(ratio) / math.log(settings.scale_factor) - 1e-9)
        shrinks = [ratio ** (i / count - 1) for i in range(count)] + [1.0]
    least = smallest_side(settings.layers)
    shrinks = [s for s in shrinks if s == 1 or min(full) * s >= least][-settings.steps :]
    shares = [settings.step_falloff**i for i in range(len(shrinks))]
    steps = _share_out(settings.steps, shares)
    scales = []
    for index, (shrink, count) in enumerate(zip(shrinks, steps, strict=True)):
        size = canvas_size(width, height, settings.size, settings.fit, shrink=shrink)
        scales.append(Scale(*size, shrink, count, settings.learning_rate_falloff**index))
    return tuple(scales)


def _share_out(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to `shares`, each at least 1, that sum to `total`."""
    counts = [max(1, math.floor(total * share / sum(shares))) for share in shares]
    order = sorted(range(len(counts)), key=lambda i: -shares[i])
    for index in range(total - sum(counts)):
        counts[order[index % len(counts)]] += 1
    while sum(counts) > total:
        counts[counts.index(max(counts))] -= 1
    return counts


@dataclass(frozen=True)
class ScaleInputs:
    """What one scale of a batch needs.

    Attributes:
        contents: B x 3 x H x W in [0, 1].
        grams: per style layer the targets B x C x C.
    """

    contents: Tensor
    grams: Grams


@dataclass(frozen=True)
class State:
    """Where the optimisation of a batch stands: all that it takes to go on to the same pictures.

    Attributes:
        scale: index of the scale.
        step: steps done at this scale.
        tensors: pictures, their average and the optimiser's memory, each B x ... .
    """

    scale: int
    step: int
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Step:
    """One optimiser step of a batch.

    Attributes:
        number: steps done, from 1.
        total: steps of the whole schedule.
        scale: index of the scale.
        losses: before this step, B values each.
        images: the result so far, B x 3 x h x w in [0, 1], at this scale's size.
        state: where the optimisation stands after this step; valid until the next one.
    """

    number: int
    total: int
    scale: int
    losses: Losses
    images: Tensor
    state: State


@torch.no_grad()
def style_grams(backbone: Backbone, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Gram targets of one style picture (3 x H x W in [0, 1]) per layer, C x C."""
    features = backbone(image[None])
    return {layer: gram(features[layer])[0] for layer in layers}


def layer_weight(weights: Mapping[Any, float], layer: str) -> float:
    """A layer's weight, 0 where the job does not use it."""
    return weights.get(layer, 0.0)


def job_weights(jobs: Sequence[Settings], device: torch.device) -> JobWeights:
    """The jobs' weights as tensors over the batch; a layer that a job lacks weighs 0."""

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    return JobWeights(
        content=column([s.content_weight for s in jobs]),
        style=column([s.style_weight for s in jobs]),
        tv=column([s.tv_weight for s in jobs]),
        content_layers={
            layer: column([layer_weight(s.content_layers, layer) for s in jobs]) for layer in LAYERS
        },
        style_layers={
            layer: column([layer_weight(s.style_layers, layer) for s in jobs]) for layer in LAYERS
        },
    )


def noise_like(shape: Sequence[int], seed: int, deviation: float) -> Tensor:
    """Normal noise, drawn on the CPU so that it is the same on every device; 3 x H x W."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) * deviation


def first_images(
    jobs: Sequence[Settings], contents: Tensor, pictures: Mapping[str, Tensor]
) -> Tensor:
    """Where the optimisation starts, B x 3 x H x W in [0, 1].

    Args:
        contents: the content pictures at the first scale.
        pictures: per job `init` file the picture at the first scale, 3 x H x W.
    """
    images = []
    for settings, content in zip(jobs, contents.cpu(), strict=True):
        if settings.init == "noise":
            image = noise_like(content.shape, settings.seed, 0.25) + 0.5
        else:
            image = content if settings.init == "content" else pictures[settings.init]
        if settings.init_noise:
            image = image + noise_like(content.shape, settings.seed + 1, settings.init_noise)
        images.append(image.clamp(0, 1))
    return torch.stack(images).to(contents.device)


def optimise(
    backbone: Backbone,
    jobs: Sequence[Settings],
    scales: Sequence[Scale],
    inputs: Callable[[int], ScaleInputs],
    pictures: Mapping[str, Tensor] | None = None,
    resume: State | None = None,
) -> Iterator[Step]:
    """Stylizes a batch; every job's result is what it would be alone.

    Args:
        backbone: gives features of all layers that the jobs name.
        jobs: settings of each job; they share scales, loss, optimiser and layers.
        scales: the schedule, the same for all.
        inputs: the content pictures and Gram targets of scale i.
        pictures: per `init` file the picture at the first scale, 3 x H x W in [0, 1].
        resume: where to go on, if not at the beginning; the result is the same.

    Yields:
        a `Step` after each step; the last one's `images` are the result.
    """
    begin = resume.scale if resume else 0
    number, total = sum(s.steps for s in scales[:begin]), sum(s.steps for s in scales)
    number += resume.step if resume else 0
    images: Tensor | None = None
    for index, scale in enumerate(scales[begin:], begin):
        given = inputs(index)
        if resume and index == begin:
            run = _ScaleRun(backbone, jobs, scale, given, resume.tensors["average"])
            run.load(resume)
        else:
            if images is None:
                images = first_images(jobs, given.contents, pictures or {})
            else:
                images = enlarge(images, given.contents.shape[-2:])
            run = _ScaleRun(backbone, jobs, scale, given, images)
        while run.done < scale.steps:
            losses = run.step()
            number += 1
            state = State(index, run.done, run.tensors())
            yield Step(number, total, index, losses, run.average.clamp(0, 1), state)
        images = run.average


def enlarge(images: Tensor, size: Sequence[int]) -> Tensor:
    """Carries the result of a scale to the next: bicubic, clipped to [0, 1]."""
    grown = F.interpolate(images, tuple(size), mode="bicubic", antialias=True)
    return grown.clamp(0, 1)


class _ScaleRun:
    """The steps of one scale: the pictures that move, and the average of the iterates."""

    def __init__(
        self,
        backbone: Backbone,
        jobs: Sequence[Settings],
        scale: Scale,
        given: ScaleInputs,
        images: Tensor,
    ) -> None:
        shared, device = jobs[0], given.contents.device
        self.backbone, self.scale, self.done = backbone, scale, 0
        with torch.no_grad():
            targets = backbone(given.contents)
        self.loss = StyleTransferLoss(
            shared.loss,
            {layer: targets[layer] for layer in shared.content_layers},
            given.grams,
            job_weights(jobs, device),
        )
        self.clamps = shared.optimiser == "adam"
        self.optimiser = make_optimiser(shared.optimiser, shared.corrections)
        self.rates = torch.tensor([s.learning_rate for s in jobs], device=device) * scale.rate
        self.ends = torch.tensor([s.learning_rate_end for s in jobs], device=device)
        self.decay = torch.tensor([s.average for s in jobs], device=device).view(-1, 1, 1, 1)
        self.pixels = images.clone().requires_grad_()
        self.average = images.clone()

    def step(self) -> Losses:
        """One step; the losses are those before it."""
        losses = self.loss(self.pixels, self.backbone(self.pixels))
        # Summing over the batch gives each picture its own gradient: nothing is shared.
        (gradient,) = torch.autograd.grad(losses.total.sum(), self.pixels)
        with torch.no_grad():
            share = self.done / self.scale.steps
            rates = self.rates * (1 - (1 - self.ends) * share)
            self.optimiser.step(self.pixels, gradient, rates)
            if self.clamps:
                # L-BFGS is left free: clipping would make its pairs (s, y) untrue.
                self.pixels.clamp_(0, 1)
            self.average = self.average * self.decay + self.pixels.detach() * (1 - self.decay)
        self.done += 1
        return detached(losses)

    def tensors(self) -> dict[str, Tensor]:
        """All state; see `State`."""
        memory = {f"optimiser.{name}": value for name, value in self.optimiser.state().items()}
        return {"pixels": self.pixels.detach(), "average": self.average, **memory}

    def load(self, state: State) -> None:
        """Puts `tensors()` back."""
        self.done = state.step
        self.pixels = state.tensors["pixels"].clone().requires_grad_()
        self.average = state.tensors["average"].clone()
        memory = {
            name.removeprefix("optimiser."): value
            for name, value in state.tensors.items()
            if name.startswith("optimiser.")
        }
        self.optimiser.load(memory, state.step)


def detached(losses: Losses) -> Losses:
    """The same values without their graph."""
    return Losses(*(t.detach() for t in (losses.content, losses.style, losses.tv, losses.total)))
