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
from pipeline.losses import JobWeights, Kinds, Losses, Regions, StyleTransferLoss
from pipeline.optimise import make_optimiser
from pipeline.settings import Settings
from pipeline.tiles import features_of, losses_and_gradient, style_targets_of

# Version of everything here that decides pixels; part of every job key.
ALGORITHM = 3


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
    sizes too small for the deepest layer are left out. Every scale gets at least one step; a list
    of `steps` names each scale's, the last for all that follow.
    """
    full = canvas_size(width, height, settings.size, settings.fit)
    shrinks = [1.0]
    if 0 < settings.scale_start < max(full):
        ratio = max(full) / settings.scale_start
        count = math.ceil(math.log(ratio) / math.log(settings.scale_factor) - 1e-9)
        shrinks = [ratio ** (i / count - 1) for i in range(count)] + [1.0]
    least = smallest_side(settings.layers)
    shrinks = [s for s in shrinks if s == 1 or min(full) * s >= least]
    if isinstance(settings.steps, int):
        shrinks = shrinks[-settings.steps :]
        shares = [settings.step_falloff**i for i in range(len(shrinks))]
        steps = _share_out(settings.steps, shares)
    else:
        last = len(settings.steps) - 1
        steps = [settings.steps[min(i, last)] for i in range(len(shrinks))]
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
        contents: U x 3 x H x W in [0, 1], each content picture once.
        rows: which of them each of the B jobs has, B whole numbers.
        styles: per style layer the targets, B x C x K, or B x R x C x K with regions.
        tile: side of the tiles in px in which pictures go through the network; 0 takes them whole.
        regions: which part of the canvas takes which target; None for one region of all.
    """

    contents: Tensor
    rows: Tensor
    styles: Mapping[str, Tensor]
    tile: int = 0
    regions: Regions | None = None


@dataclass(frozen=True)
class State:
    """Where the optimisation of a batch stands: all that it takes to go on to the same pictures.

    Attributes:
        scale: index of the scale.
        step: steps done at this scale.
        tensors: pictures, their average, the optimiser's memory and the rest, each B x ... .
    """

    scale: int
    step: int
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Step:
    """One optimiser step of a batch.

    Attributes:
        number: steps done, from 1; a scale that ends early counts as done.
        total: steps of the whole schedule.
        scale: index of the scale.
        losses: before this step, B values each; of a job that has settled those before it did.
        steps: of each job, the steps in which it was moved, B whole numbers.
    """

    number: int
    total: int
    scale: int
    losses: Losses
    steps: Tensor
    _run: _ScaleRun

    @property
    def images(self) -> Tensor:
        """The result so far, B x 3 x h x w in [0, 1], at this scale's size."""
        return self._run.images().clamp(0, 1)

    @property
    def state(self) -> State:
        """Where the optimisation stands after this step; to be read before the next one."""
        return State(self.scale, self._run.done, self._run.tensors())


def style_targets(
    backbone: Backbone,
    image: Tensor,
    layers: Sequence[str],
    statistic: str = "gram",
    tile: int = 0,
    guides: Tensor | None = None,
) -> dict[str, Tensor]:
    """Targets of one style picture (3 x H x W in [0, 1]) per layer, C x K.

    Args:
        statistic: what is compared; `gram` gives Gram matrices, C x C.
        guides: guidance channels of R regions, R x H x W; the targets are then R x C x K.
    """
    batch = None if guides is None else guides[None]
    found = style_targets_of(backbone, image[None], layers, statistic, tile, batch)
    return {k: v[0, 0] if guides is None else v[0] for k, v in found.items()}


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
        powers=column([s.gradient_norm for s in jobs]),
    )


def noise_like(shape: Sequence[int], seed: int, deviation: float) -> Tensor:
    """Normal noise, drawn on the CPU so that it is the same on every device; 3 x H x W."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) * deviation


# ImageNet's mean colour in RGB, and the noise that neural-style begins with, on its scale of 255.
_MEAN_COLOUR = (123.68, 116.779, 103.939)


def _first_image(
    settings: Settings, content: Tensor, styles: Sequence[Tensor], file: Tensor | None
) -> Tensor:
    """What `init` stands for, 3 x H x W; see the setting's help."""
    if file is not None:
        return file
    shape, seed = content.shape, settings.seed
    if settings.init == "content":
        return content
    if settings.init == "gray":
        return torch.full(shape, 0.5)
    if settings.init == "mean":
        colour = torch.tensor(_MEAN_COLOUR).view(3, 1, 1) / 255
        return colour + noise_like(shape, seed, 0.001 / 255)
    if settings.init == "uniform":
        return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    if settings.init == "style_noise":
        pixels = torch.cat([style.flatten(1) for style in styles], 1)
        mean, deviation = pixels.mean(1).view(3, 1, 1), pixels.std(1).view(3, 1, 1)
        return noise_like(shape, seed, 1.0) * deviation + mean
    return noise_like(shape, seed, 0.25) + 0.5


def first_images(
    jobs: Sequence[Settings],
    contents: Tensor,
    pictures: Mapping[str, Tensor],
    styles: Sequence[Sequence[Tensor]] = (),
) -> Tensor:
    """Where the optimisation starts, B x 3 x H x W in [0, 1].

    x = (1 - k) x_0 + k n, with `init`'s picture x_0, `init_noise` k and normal noise n of mean 0.5
    and deviation 0.25.

    Args:
        contents: the content pictures at the first scale.
        pictures: per job `init` file the picture at the first scale, 3 x H x W.
        styles: per job its style pictures, 3 x h x w; needed where `init` is `style_noise`.
    """
    images = []
    for index, (settings, content) in enumerate(zip(jobs, contents.cpu(), strict=True)):
        own = styles[index] if styles else ()
        image = _first_image(settings, content, own, pictures.get(settings.init))
        if settings.init_noise:
            noise = noise_like(content.shape, settings.seed + 1, 0.25) + 0.5
            image = image.lerp(noise, settings.init_noise)
        images.append(image.clamp(0, 1))
    return torch.stack(images).to(contents.device)


def optimise(
    backbone: Backbone,
    jobs: Sequence[Settings],
    scales: Sequence[Scale],
    inputs: Callable[[int], ScaleInputs],
    pictures: Mapping[str, Tensor] | None = None,
    resume: State | None = None,
    styles: Sequence[Sequence[Tensor]] = (),
) -> Iterator[Step]:
    """Stylizes a batch; every job's result is what it would be alone.

    Args:
        backbone: gives features of all layers that the jobs name.
        jobs: settings of each job; they share scales, loss, optimiser and layers.
        scales: the schedule, the same for all.
        inputs: the content pictures and Gram targets of scale i.
        pictures: per `init` file the picture at the first scale, 3 x H x W in [0, 1].
        styles: per job its style pictures, for those that begin with `style_noise`.
        resume: where to go on, if not at the beginning; the result is the same.

    Yields:
        a `Step` after each step; the last one's `images` are the result.
    """
    total = sum(scale.steps for scale in scales)
    run: _ScaleRun | None = None
    for index, scale in enumerate(scales):
        if resume and index < resume.scale:
            continue
        given = inputs(index)
        if resume and index == resume.scale:
            run = _ScaleRun(backbone, jobs, scales, index, given, resume.tensors["average"])
            run.load(resume)
        elif run is None:
            contents = given.contents[given.rows]
            images = first_images(jobs, contents, pictures or {}, styles)
            run = _ScaleRun(backbone, jobs, scales, index, given, images)
        else:
            run = run.grown(index, given)
        before = sum(s.steps for s in scales[:index])
        while not run.ended:
            losses = run.step()
            number = before + (scale.steps if run.ended else run.done)
            yield Step(number, total, index, losses, run.moves, run)


def enlarge(images: Tensor, before: Tensor, after: Tensor, detail: Tensor) -> Tensor:
    """Carries the result of a scale to the next: bicubic, and what detail the content has there.

    A coarse scale has no room for fine detail; x' = up(x) + d (p' - up(p)) with the content
    pictures p and p' of both scales puts it back, so that steps need not find it again.

    Args:
        images: B x 3 x h x w.
        before, after: the content pictures, B x 3 x h x w and B x 3 x H x W.
        detail: d, B values.

    Returns:
        B x 3 x H x W, clipped to [0, 1].
    """
    size = after.shape[-2:]

    def up(values: Tensor) -> Tensor:
        return F.interpolate(values, size, mode="bicubic", antialias=True)

    grown = up(images) + detail.view(-1, 1, 1, 1) * (after - up(before))
    return grown.clamp(0, 1)


# Steps over which losses are averaged before `tolerance` compares them.
_WINDOW = 10


class _ScaleRun:
    """The steps of one scale: the pictures that move, and the average of the iterates.

    Jobs that have settled leave the tensors; `rows` are the places in the batch of the others.
    """

    def __init__(
        self,
        backbone: Backbone,
        jobs: Sequence[Settings],
        scales: Sequence[Scale],
        index: int,
        given: ScaleInputs,
        images: Tensor,
        moves: Tensor | None = None,
    ) -> None:
        shared, device = jobs[0], given.contents.device
        self.backbone, self.jobs, self.scales, self.given = backbone, jobs, scales, given
        self.scale, self.done = scales[index], 0
        self.begun = sum(s.steps for s in scales[:index])
        targets = features_of(backbone, given.contents, tuple(shared.content_layers), given.tile)
        self.loss = StyleTransferLoss(
            Kinds(shared.loss, shared.style_loss, shared.tv_loss),
            {layer: values[given.rows] for layer, values in targets.items()},
            given.styles,
            job_weights(jobs, device),
            given.regions,
        )
        self.clamps = shared.clamp
        self.optimiser = make_optimiser(
            shared.optimiser, shared.corrections, shared.clamp, shared.adam_decay
        )

        def column(name: str) -> Tensor:
            return torch.tensor([float(getattr(s, name)) for s in jobs], device=device)

        self.rates = column("learning_rate") * self.scale.rate
        self.ends, self.warmups = column("learning_rate_end"), column("warmup")
        self.decay = column("average").view(-1, 1, 1, 1)
        self.tolerances = column("tolerance")
        self.watches = bool((self.tolerances > 0).any())
        self.rows = torch.arange(len(jobs), device=device)
        self.moving = torch.ones(len(jobs), dtype=torch.bool)
        self.pixels = images.detach().clone()
        self.average = images.detach().clone()
        self.kept = self.average
        self.memory: dict[str, Tensor] = {}
        self.moves = torch.zeros(len(jobs), dtype=torch.long) if moves is None else moves
        self.window = torch.zeros(len(jobs), device=device)
        self.before = torch.full_like(self.window, torch.inf)
        self.losses = torch.zeros(4, len(jobs), device=device)

    @property
    def ended(self) -> bool:
        """Whether no job has a step left at this scale."""
        return self.done >= self.scale.steps or len(self.rows) == 0

    def step(self) -> Losses:
        """One step of all jobs that have not settled; the losses are those before it."""
        losses, gradient = losses_and_gradient(
            self.backbone, self.loss, self.pixels, self.given.tile
        )
        share = self.done / self.scale.steps
        rates = self.rates * (1 - (1 - self.ends) * share)
        ramp = (self.begun + self.done + 1) / self.warmups.clamp_min(1)
        self.optimiser.step(self.pixels, gradient, rates * ramp.clamp_max(1))
        if self.clamps:
            self.optimiser.clamp(self.pixels)
        self.average.mul_(self.decay).add_(self.pixels * (1 - self.decay))
        self.done += 1
        self.moves = self.moves + self.moving
        parts = torch.stack((losses.content, losses.style, losses.tv, losses.total))
        alone = len(self.rows) < len(self.jobs)
        self.losses = self.losses.index_copy(1, self.rows, parts) if alone else parts
        if self.watches:
            self._settle(losses.total)
        return Losses(*self.losses)

    def _settle(self, totals: Tensor) -> None:
        """Lets go of the jobs whose loss no longer falls."""
        self.window += totals
        if self.done % _WINDOW:
            return
        mean = self.window / _WINDOW
        stay = ~(self.before - mean < self.tolerances * self.before.abs()) | (self.tolerances == 0)
        self.before, self.window = mean, torch.zeros_like(mean)
        if not bool(stay.all()):
            self._keep(stay.nonzero().flatten())

    def _keep(self, stay: Tensor) -> None:
        """Goes on with some of the jobs, by their places among those that still move."""
        self.kept, self.memory = self.images(), self._memories()
        self.optimiser.load({k: values[stay] for k, values in self.optimiser.state().items()})
        self.loss = self.loss.select(stay)
        for name in ("rows", "pixels", "average", "rates", "ends", "warmups", "decay"):
            setattr(self, name, getattr(self, name)[stay])
        for name in ("tolerances", "window", "before"):
            setattr(self, name, getattr(self, name)[stay])
        self.moving = torch.zeros(len(self.jobs), dtype=torch.bool)
        self.moving[self.rows.cpu()] = True

    def images(self) -> Tensor:
        """The averages of all jobs, B x 3 x h x w."""
        return self._whole(self.average, self.kept)

    def _memories(self) -> dict[str, Tensor]:
        """The optimiser's memory of all jobs; of those that have settled, as it was then."""
        device = self.rows.device
        state = {k: values.to(device) for k, values in self.optimiser.state().items()}
        return {k: self._whole(values, self.memory.get(k)) for k, values in state.items()}

    def _whole(self, values: Tensor, others: Tensor | None = None) -> Tensor:
        """Values of the jobs that still move among those of all jobs (0 without `others`)."""
        if len(self.rows) == len(self.jobs):
            return values
        if others is None:
            others = values.new_zeros(len(self.jobs), *values.shape[1:])
        return others.index_copy(0, self.rows, values)

    def grown(self, index: int, given: ScaleInputs) -> _ScaleRun:
        """The next scale, from where this one ended."""
        jobs = self.jobs
        detail = torch.tensor([s.detail for s in jobs], device=self.average.device)
        before = self.given.contents[self.given.rows]
        images = enlarge(self.images(), before, given.contents[given.rows], detail)
        run = _ScaleRun(self.backbone, jobs, self.scales, index, given, images, self.moves)
        if jobs[0].carry:
            run.optimiser.load(self._memories())
            run.optimiser.enlarge((images.shape[-2], images.shape[-1]))
        return run

    def tensors(self) -> dict[str, Tensor]:
        """All state; see `State`."""
        own = {"pixels": self.pixels, "window": self.window, "before": self.before}
        return {
            **{name: self._whole(values) for name, values in own.items()},
            **{f"optimiser.{name}": values for name, values in self._memories().items()},
            "average": self.images(),
            "moving": self.moving,
            "moves": self.moves,
            "losses": self.losses.transpose(0, 1),
        }

    def load(self, state: State) -> None:
        """Puts `tensors()` back."""
        tensors = state.tensors
        self.done = state.step
        self.pixels, self.average = tensors["pixels"].clone(), tensors["average"].clone()
        self.kept = self.average
        self.window, self.before = tensors["window"].clone(), tensors["before"].clone()
        self.moves = tensors["moves"].cpu()
        self.losses = tensors["losses"].transpose(0, 1).contiguous()
        prefix = "optimiser."
        self.optimiser.load(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
        if not bool(tensors["moving"].all()):
            self._keep(tensors["moving"].nonzero().flatten())
