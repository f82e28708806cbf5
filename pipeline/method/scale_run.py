"""The steps of one scale: losses, gradient, optimizer, average, and jobs that settle.

In: pictures to begin with, contents and style targets at this scale. Out: the pictures after each
step, and all the state that it takes to go on. No files, no console, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method.backbone import Backbone
from pipeline.method.graphs import Gradients
from pipeline.method.lacking import bicubic
from pipeline.method.losses.objective import Losses
from pipeline.method.objective import ScaleInputs, batch_loss
from pipeline.method.optimizers.table import OptimizerOptions, make_optimizer
from pipeline.method.scales import Scale
from pipeline.method.tiles import JOINED, features_of, losses_and_gradient


@dataclass(frozen=True)
class State:
    """Where the optimization of a batch stands: all that it takes to go on to the same pictures.

    Attributes:
        scale: index of the scale.
        step: steps done at this scale.
        tensors: pictures, their average, the optimizer's memory and the rest, each B x ... .
    """

    scale: int
    step: int
    tensors: Mapping[str, Tensor]


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

    grown = bicubic(images, size) + detail.view(-1, 1, 1, 1) * (after - bicubic(before, size))
    return grown.clamp(0, 1)


def average_decay(settings: Settings, steps: int) -> float:
    """Decay of the average of the iterates over a scale of so many steps.

    >>> average_decay(Settings(average_share=0.2), 50), average_decay(Settings(average=0.95), 50)
    (0.9, 0.95)
    """
    if settings.average is not None:
        return settings.average
    return max(0.0, 1 - 1 / (settings.average_share * steps)) if settings.average_share else 0.0


@dataclass(frozen=True)
class Rates:
    """The learning rates of a batch: rising over the warm-up, falling over the steps of the scale.

    They are on the device, where only what depends on the step is left to be done.

    Attributes:
        first: at the scale's first step but for the warm-up, B values.
        falls: what is added at each step, B values.
        ramps: one over the warm-up's steps, B values.
        warmup: the longest of them.
        begun: steps of the scales before.
    """

    first: Tensor
    falls: Tensor
    ramps: Tensor
    warmup: int
    begun: int

    @staticmethod
    def of(jobs: Sequence[Settings], scale: Scale, begun: int, device: torch.device) -> Rates:
        """Of jobs at a scale, after so many steps."""

        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        first = [s.learning_rate * scale.rate for s in jobs]
        falls = [
            rate * (s.learning_rate_end - 1) / scale.steps
            for rate, s in zip(first, jobs, strict=True)
        ]
        ramps, warmup = [1 / max(1, s.warmup) for s in jobs], max(s.warmup for s in jobs)
        return Rates(column(first), column(falls), column(ramps), warmup, begun)

    def at(self, done: int) -> Tensor:
        """B values after so many steps of the scale."""
        rates, step = self.first.add(self.falls, alpha=done), self.begun + done + 1
        return rates * (self.ramps * step).clamp_max(1) if step < self.warmup else rates

    def select(self, rows: Tensor) -> Rates:
        """The same for some of the jobs."""
        return Rates(self.first[rows], self.falls[rows], self.ramps[rows], self.warmup, self.begun)


# Steps over which losses are averaged before `tolerance` compares them.
_WINDOW = 10


class ScaleRun:
    """The steps of one scale: the pictures that move, and the average of the iterates.

    Jobs that have settled leave the tensors; `rows` are the places in the batch of the others.
    """

    gradients: Gradients = staticmethod(losses_and_gradient)

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
        self.loss = batch_loss(backbone, jobs, given)
        self.clamps = shared.clamp
        self.optimizer = make_optimizer(
            shared.optimizer,
            OptimizerOptions(shared.corrections, shared.clamp, shared.adam_decay),
        )

        self.rates = Rates.of(jobs, self.scale, self.begun, device)
        gains = [1 - average_decay(s, self.scale.steps) for s in jobs]
        self.gains = torch.tensor(gains, device=device).view(-1, 1, 1, 1)
        self.tolerances = torch.tensor([s.tolerance for s in jobs], device=device)
        self.watches = any(s.tolerance for s in jobs)
        self.rows = torch.arange(len(jobs), device=device)
        self.moving = torch.ones(len(jobs), dtype=torch.bool)
        self.pixels = images.detach().clone(memory_format=torch.channels_last)
        self.average = self.pixels.clone()
        self.kept = self.average
        self.memory: dict[str, Tensor] = {}
        self.moved_before = torch.zeros(len(jobs), dtype=torch.long) if moves is None else moves
        self.counted = 0
        self.window = torch.zeros(len(jobs), device=device)
        self.before = torch.full_like(self.window, torch.inf)
        nothing = torch.zeros(6, len(jobs), device=device)
        self.losses = Losses(nothing[:5], nothing[5])

    @property
    def moves(self) -> Tensor:
        """Of each job, the steps in which it was moved, B whole numbers."""
        return self.moved_before + (self.done - self.counted) * self.moving

    def _renew(self) -> None:
        """Chooses the style's vectors anew, every `neighbor_every` steps.

        The first of several scales asks the content alone, once: what has no shapes yet would only
        confirm itself.
        """
        neighbors = self.loss.neighbors
        if neighbors is None or self.done % self.jobs[0].neighbor_every:
            return
        alone = self.begun == 0 and len(self.scales) > 1
        if alone and self.done:
            return
        found = None
        if not alone:
            found = features_of(self.backbone, self.pixels, (JOINED,), self.given.tile)[JOINED]
        self.loss.neighbors = neighbors.renewed(found)

    @property
    def ended(self) -> bool:
        """Whether no job has a step left at this scale."""
        return self.done >= self.scale.steps or len(self.rows) == 0

    def step(self) -> Losses:
        """One step of all jobs that have not settled; the losses are those before it."""
        self._renew()
        losses, gradient = self.gradients(self.backbone, self.loss, self.pixels, self.given.tile)
        self.optimizer.step(self.pixels, gradient, self.rates.at(self.done))
        if self.clamps:
            self.optimizer.clamp(self.pixels)
        self.average.lerp_(self.pixels, self.gains)
        self.done += 1
        if len(self.rows) < len(self.jobs):
            whole = self.losses.table().index_copy(1, self.rows, losses.table())
            self.losses = Losses(whole[:5], whole[5])
        else:
            self.losses = losses
        if self.watches:
            self._settle(losses.total)
        return self.losses

    def _settle(self, totals: Tensor) -> None:
        """Lets go of the jobs whose loss no longer falls; waits for the device once a window."""
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
        self.moved_before, self.counted = self.moves, self.done
        self.kept, self.memory = self.images(), self._memories()
        self.optimizer.load({k: values[stay] for k, values in self.optimizer.state().items()})
        self.loss = self.loss.select(stay)
        self.rates = self.rates.select(stay)
        for name in ("rows", "pixels", "average", "gains", "tolerances", "window", "before"):
            setattr(self, name, getattr(self, name)[stay])
        self.moving = torch.zeros(len(self.jobs), dtype=torch.bool)
        self.moving[self.rows.cpu()] = True

    def images(self) -> Tensor:
        """The averages of all jobs, B x 3 x h x w."""
        return self._whole(self.average, self.kept)

    def _memories(self) -> dict[str, Tensor]:
        """The optimizer's memory of all jobs; of those that have settled, as it was then."""
        device = self.rows.device
        state = {k: values.to(device) for k, values in self.optimizer.state().items()}
        return {k: self._whole(values, self.memory.get(k)) for k, values in state.items()}

    def _whole(self, values: Tensor, others: Tensor | None = None) -> Tensor:
        """Values of the jobs that still move among those of all jobs (0 without `others`)."""
        if len(self.rows) == len(self.jobs):
            return values
        if others is None:
            others = values.new_zeros(len(self.jobs), *values.shape[1:])
        return others.index_copy(0, self.rows, values)

    def grown(self, index: int, given: ScaleInputs, before: Tensor, after: Tensor) -> ScaleRun:
        """The next scale, from where this one ended.

        Args:
            before, after: content pictures at both sizes, whose detail is put back; B x 3 x h x w.
        """
        jobs = self.jobs
        detail = torch.tensor([s.detail for s in jobs], device=self.average.device)
        images = enlarge(self.images(), before, after, detail)
        run = ScaleRun(self.backbone, jobs, self.scales, index, given, images, self.moves)
        if jobs[0].carry:
            if len(self.rows) == len(jobs):
                run.optimizer = self.optimizer
            else:
                run.optimizer.load(self._memories())
            run.optimizer.enlarge((images.shape[-2], images.shape[-1]))
        return run

    def tensors(self) -> dict[str, Tensor]:
        """All state; see `State`."""
        own = {"pixels": self.pixels, "window": self.window, "before": self.before}
        return {
            **{name: self._whole(values) for name, values in own.items()},
            **{f"optimizer.{name}": values for name, values in self._memories().items()},
            "average": self.images(),
            "moving": self.moving,
            "moves": self.moves,
            "losses": self.losses.table().transpose(0, 1),
            **self._chosen(),
        }

    def _chosen(self) -> dict[str, Tensor]:
        """What the nearest-neighbor term chose last."""
        neighbors = self.loss.neighbors
        if neighbors is None or neighbors.chosen is None:
            return {}
        return {"neighbors": self._whole(neighbors.chosen)}

    def load(self, state: State) -> None:
        """Puts `tensors()` back."""
        tensors = state.tensors
        self.done = state.step
        self.pixels, self.average = (
            tensors[name].clone(memory_format=torch.channels_last) for name in ("pixels", "average")
        )
        self.kept = self.average
        self.window, self.before = tensors["window"].clone(), tensors["before"].clone()
        self.moved_before, self.counted = tensors["moves"].cpu(), self.done
        losses = tensors["losses"].transpose(0, 1)
        # Checkpoints from before there were neighbors, and from before there were clips.
        for count, place in ((4, 2), (5, 4)):
            if len(losses) == count:
                empty = torch.zeros_like(losses[:1])
                losses = torch.cat((losses[:place], empty, losses[place:]))
        self.losses = Losses(losses[:5].contiguous(), losses[5].contiguous())
        prefix = "optimizer."
        self.optimizer.load(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
        if self.loss.neighbors and "neighbors" in tensors:
            self.loss.neighbors = self.loss.neighbors.with_chosen(tensors["neighbors"])
        if not bool(tensors["moving"].all()):
            self._keep(tensors["moving"].nonzero().flatten())
