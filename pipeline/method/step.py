"""One step of the jobs that still move: losses, gradient, optimizer, average.

In: an objective, an optimizer, pictures. Out: losses; pictures and all that is remembered from step
to step are changed in place, where they lie, and no number of Python's changes from step to step:
so a CUDA graph of one step is good for those after it. No files, no console, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method.backbone import Backbone
from pipeline.method.losses.objective import Losses, StyleTransferLoss
from pipeline.method.optimizers.optimizer import Optimizer
from pipeline.method.scales import Scale
from pipeline.method.tiles import losses_and_gradient


@dataclass(frozen=True)
class Rates:
    """The learning rates of a batch: rising over the warm-up, falling over the steps of the scale.

    All of a scale's are on the device, and so is which of them come next.

    Attributes:
        values: of each job those of all steps, one job after the other.
        places: among them the next one of each job, B whole numbers, which go on in place.
    """

    values: Tensor
    places: Tensor

    @staticmethod
    def of(jobs: Sequence[Settings], scale: Scale, begun: int, device: torch.device) -> Rates:
        """Of jobs at a scale, after so many steps at those before it."""

        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32)[:, None]

        steps = torch.arange(scale.steps)
        first = [s.learning_rate * scale.rate for s in jobs]
        falls = [
            rate * (s.learning_rate_end - 1) / scale.steps
            for rate, s in zip(first, jobs, strict=True)
        ]
        # Rounded once, as by a processor that multiplies and adds at once.
        rates = (column(first).double() + column(falls).double() * steps).float()
        ramps = column([1 / max(1, s.warmup) for s in jobs])
        step, warmup = begun + 1 + steps, max(s.warmup for s in jobs)
        rates = torch.where(step < warmup, rates * (ramps * step).clamp_max(1), rates)
        places = torch.arange(len(jobs), device=device) * scale.steps
        return Rates(rates.flatten().to(device), places)

    def after(self, done: int) -> Rates:
        """The same after so many more steps."""
        return replace(self, places=self.places + done)

    def next(self) -> Tensor:
        """B values, of the step that comes next; the one after it comes next then."""
        rates = self.values.index_select(0, self.places)
        self.places.add_(1)
        return rates

    def select(self, rows: Tensor) -> Rates:
        """The same for some of the jobs."""
        return replace(self, places=self.places[rows])


@dataclass(frozen=True, eq=False)
class Movers:
    """The jobs of a batch that still move: what their steps read, and what they change in place.

    Attributes:
        backbone, loss, optimizer, rates: of these jobs.
        tile: see `ScaleInputs`.
        clamps: whether pixels are kept within [0, 1].
        watches: whether losses are summed.
        pixels: B x 3 x H x W, channels-last.
        average: of the iterates, B x 3 x H x W.
        gains: one less the average's decay, B x 1 x 1 x 1.
        window: total losses, summed since someone set it to 0, B values.
    """

    backbone: Backbone
    loss: StyleTransferLoss
    optimizer: Optimizer
    rates: Rates
    tile: int
    clamps: bool
    watches: bool
    pixels: Tensor
    average: Tensor
    gains: Tensor
    window: Tensor

    def step(self) -> Losses:
        """One step; the losses are those before it."""
        losses, gradient = losses_and_gradient(self.backbone, self.loss, self.pixels, self.tile)
        self.optimizer.step(self.pixels, gradient, self.rates.next())
        if self.clamps:
            self.optimizer.clamp(self.pixels)
        self.average.lerp_(self.pixels, self.gains)
        if self.watches:
            self.window.add_(losses.total)
        return losses

    def select(self, rows: Tensor) -> Movers:
        """Some of the jobs, by their places among these, of which nothing moves any more: the
        optimizer goes along."""
        memory = self.optimizer.state()
        self.optimizer.load({name: values[rows] for name, values in memory.items()})
        return replace(
            self,
            loss=self.loss.select(rows),
            rates=self.rates.select(rows),
            pixels=self.pixels[rows],
            average=self.average[rows],
            gains=self.gains[rows],
            window=self.window[rows],
        )
