"""The steps of one scale: one after the other, vectors chosen anew, and jobs that settle.

In: pictures to begin with, contents and style targets at this scale. Out: the pictures after each
step, and all the state that it takes to go on. No files, no console, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method.backbone import Backbone
from pipeline.method.graphs import StepGraphs
from pipeline.method.lacking import bicubic
from pipeline.method.losses.objective import Losses
from pipeline.method.objective import ScaleInputs, batch_loss
from pipeline.method.optimizers.table import OptimizerOptions, make_optimizer
from pipeline.method.scales import Scale
from pipeline.method.step import Movers, Rates
from pipeline.method.tiles import JOINED, features_of


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


def _movers_of(
    backbone: Backbone,
    jobs: Sequence[Settings],
    scale: Scale,
    begun: int,
    given: ScaleInputs,
    pixels: Tensor,
) -> Movers:
    """All jobs of a batch at a scale, after so many steps at those before it."""
    shared, device = jobs[0], given.contents.device
    options = OptimizerOptions(shared.corrections, shared.clamp, shared.adam_decay)
    gains = [1 - average_decay(s, scale.steps) for s in jobs]
    return Movers(
        backbone,
        batch_loss(backbone, jobs, given),
        make_optimizer(shared.optimizer, options),
        Rates.of(jobs, scale, begun, device),
        given.tile,
        shared.clamp,
        any(s.tolerance for s in jobs),
        pixels,
        pixels.clone(),
        torch.tensor(gains, device=device).view(-1, 1, 1, 1),
        torch.zeros(len(jobs), device=device),
    )


def _losses_of(table: Tensor) -> Losses:
    """Of a checkpoint; also from before there were neighbors, and from before there were clips."""
    for count, place in ((4, 2), (5, 4)):
        if len(table) == count:
            table = torch.cat((table[:place], torch.zeros_like(table[:1]), table[place:]))
    return Losses.of(table.contiguous())


# Steps over which losses are averaged before `tolerance` compares them.
_WINDOW = 10


class ScaleRun:
    """The steps of one scale: the pictures that move, and the average of the iterates.

    Jobs that have settled leave the tensors; `rows` are the places in the batch of the others.
    """

    graphs: StepGraphs | None = None  # by which steps are taken, if not call by call

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
        device = given.contents.device
        self.backbone, self.jobs, self.scales, self.given = backbone, jobs, scales, given
        self.scale, self.done = scales[index], 0
        self.begun = sum(s.steps for s in scales[:index])
        pixels = images.detach().clone(memory_format=torch.channels_last)
        self.movers = _movers_of(backbone, jobs, self.scale, self.begun, given, pixels)
        self.tolerances = torch.tensor([s.tolerance for s in jobs], device=device)
        self.rows = torch.arange(len(jobs), device=device)
        self.moving = torch.ones(len(jobs), dtype=torch.bool)
        self.kept = self.movers.average
        self.memory: dict[str, Tensor] = {}
        self.moved_before = torch.zeros(len(jobs), dtype=torch.long) if moves is None else moves
        self.counted = 0
        self.before = torch.full_like(self.movers.window, torch.inf)
        self.losses = Losses.of(torch.zeros(6, len(jobs), device=device))

    @property
    def moves(self) -> Tensor:
        """Of each job, the steps in which it was moved, B whole numbers."""
        return self.moved_before + (self.done - self.counted) * self.moving

    def _renew(self) -> None:
        """Chooses the style's vectors anew, every `neighbor_every` steps.

        The first of several scales asks the content alone, once: what has no shapes yet would only
        confirm itself.
        """
        loss = self.movers.loss
        neighbors = loss.neighbors
        if neighbors is None or self.done % self.jobs[0].neighbor_every:
            return
        alone = self.begun == 0 and len(self.scales) > 1
        if alone and self.done:
            return
        found = None
        if not alone:
            pixels = self.movers.pixels
            found = features_of(self.backbone, pixels, (JOINED,), self.given.tile)[JOINED]
        loss.neighbors = neighbors.renewed(found)

    @property
    def ended(self) -> bool:
        """Whether no job has a step left at this scale."""
        return self.done >= self.scale.steps or len(self.rows) == 0

    def step(self) -> Losses:
        """One step of all jobs that have not settled; the losses are those before it."""
        self._renew()
        if self.graphs is None:
            losses = self.movers.step()
        else:
            losses = self.graphs(self.movers, self.scale.steps - self.done)
        self.done += 1
        if len(self.rows) < len(self.jobs):
            whole = self.losses.table().index_copy(1, self.rows, losses.table())
            self.losses = Losses.of(whole)
        else:
            self.losses = losses
        if self.movers.watches and self.done % _WINDOW == 0:
            self._settle()
        return self.losses

    def _settle(self) -> None:
        """Lets go of the jobs whose loss no longer falls; waits for the device."""
        mean = self.movers.window / _WINDOW
        stay = ~(self.before - mean < self.tolerances * self.before.abs()) | (self.tolerances == 0)
        self.before = mean
        self.movers.window.zero_()
        if not bool(stay.all()):
            self._keep(stay.nonzero().flatten())

    def _keep(self, stay: Tensor) -> None:
        """Goes on with some of the jobs, by their places among those that still move."""
        self.moved_before, self.counted = self.moves, self.done
        self.kept, self.memory = self.images(), self._memories()
        self.movers = self.movers.select(stay)
        for name in ("rows", "tolerances", "before"):
            setattr(self, name, getattr(self, name)[stay])
        self.moving = torch.zeros(len(self.jobs), dtype=torch.bool)
        self.moving[self.rows.cpu()] = True

    def images(self) -> Tensor:
        """The averages of all jobs, B x 3 x h x w."""
        return self._whole(self.movers.average, self.kept)

    def _memories(self) -> dict[str, Tensor]:
        """The optimizer's memory of all jobs; of those that have settled, as it was then."""
        state = self.movers.optimizer.state()
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
        detail = torch.tensor([s.detail for s in jobs], device=self.rows.device)
        images = enlarge(self.images(), before, after, detail)
        run = ScaleRun(self.backbone, jobs, self.scales, index, given, images, self.moves)
        if jobs[0].carry:
            carried = run.movers.optimizer
            if len(self.rows) == len(jobs):
                carried = self.movers.optimizer
                run.movers = replace(run.movers, optimizer=carried)
            else:
                carried.load(self._memories())
            carried.enlarge((images.shape[-2], images.shape[-1]))
        return run

    def tensors(self) -> dict[str, Tensor]:
        """All state; see `State`."""
        movers = self.movers
        own = {"pixels": movers.pixels, "window": movers.window, "before": self.before}
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
        neighbors = self.movers.loss.neighbors
        if neighbors is None or neighbors.chosen is None:
            return {}
        return {"neighbors": self._whole(neighbors.chosen)}

    def load(self, state: State) -> None:
        """Puts `tensors()` back."""
        tensors, movers = state.tensors, self.movers
        self.done = state.step
        pixels, average = (
            tensors[name].clone(memory_format=torch.channels_last) for name in ("pixels", "average")
        )
        self.movers = replace(
            movers,
            rates=movers.rates.after(self.done),
            pixels=pixels,
            average=average,
            window=tensors["window"].clone(),
        )
        self.kept, self.before = average, tensors["before"].clone()
        self.moved_before, self.counted = tensors["moves"].cpu(), self.done
        self.losses = _losses_of(tensors["losses"].transpose(0, 1))
        prefix = "optimizer."
        movers.optimizer.load(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
        if movers.loss.neighbors and "neighbors" in tensors:
            movers.loss.neighbors = movers.loss.neighbors.with_chosen(tensors["neighbors"])
        if not bool(tensors["moving"].all()):
            self._keep(tensors["moving"].nonzero().flatten())
