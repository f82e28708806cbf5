"""One batch of jobs -> pictures: scales, targets, the step loop.

In: a backbone, settings, content pictures and style targets as tensors. Out: a generator of steps,
the last of which carries the pictures. Pure torch: no files, no console, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline.layers import NEIGHBOR_LAYERS
from pipeline.manifest import Settings
from pipeline.method.backbone import Backbone
from pipeline.method.first_images import Styles, contents_as_begun, first_images
from pipeline.method.graphs import StepGraphs
from pipeline.method.losses.neighbors import StyleVectors, style_vectors
from pipeline.method.losses.objective import Losses
from pipeline.method.objective import ScaleInputs
from pipeline.method.scale_run import ScaleRun, State
from pipeline.method.scales import Scale
from pipeline.method.tiles import features_of, style_targets_of


@dataclass(frozen=True)
class Step:
    """One optimizer step of a batch.

    Attributes:
        number: steps done, from 1; a scale that ends early counts as done.
        total: steps of the whole schedule.
        scale: index of the scale.
        losses: before this step, B values each; of a job that has settled those before it did.
    """

    number: int
    total: int
    scale: int
    losses: Losses
    _run: ScaleRun

    @property
    def steps(self) -> Tensor:
        """Of each job, the steps in which it was moved, B whole numbers; to be read before the next
        one."""
        return self._run.moves

    @property
    def images(self) -> Tensor:
        """The result so far, B x 3 x h x w in [0, 1], at this scale's size."""
        return self._run.images().clamp(0, 1)

    @property
    def state(self) -> State:
        """Where the optimization stands after this step; to be read before the next one."""
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


def neighbor_targets(backbone: Backbone, image: Tensor, tile: int = 0) -> StyleVectors:
    """All vectors of one style picture (3 x H x W in [0, 1]) for the nearest-neighbor term."""
    return style_vectors(features_of(backbone, image[None], NEIGHBOR_LAYERS, tile))


def optimize(
    backbone: Backbone,
    jobs: Sequence[Settings],
    scales: Sequence[Scale],
    inputs: Callable[[int], ScaleInputs],
    pictures: Mapping[str, Tensor] | None = None,
    resume: State | None = None,
    styles: Sequence[Styles | None] = (),
    begun: Tensor | None = None,
    graphs: StepGraphs | None = None,
) -> Iterator[Step]:
    """Stylizes a batch; no job's losses or steps depend on its neighbors, but for rounding.

    Args:
        backbone: gives features of all layers that the jobs name.
        jobs: settings of each job; they share scales, loss, optimizer and layers.
        scales: the schedule, the same for all.
        inputs: the content pictures and Gram targets of scale i.
        pictures: per `init` file the picture at the first scale, 3 x H x W in [0, 1].
        styles: of jobs that begin with `style_noise` or `content_matched`.
        begun: pictures to begin with instead of those that `init` stands for, B x 3 x H x W in
            [0, 1] at the first scale.
        graphs: takes the steps, if they are not to be taken call by call.
        resume: where to go on, if not at the beginning; the result is the same.

    Yields:
        a `Step` after each step; the last one's `images` are the result.
    """
    total = sum(scale.steps for scale in scales)
    run: ScaleRun | None = None
    for index, scale in enumerate(scales):
        if resume and index < resume.scale:
            continue
        given = inputs(index)
        if resume and index == resume.scale:
            run = ScaleRun(backbone, jobs, scales, index, given, resume.tensors["average"])
            run.load(resume)
        elif run is None:
            contents = given.contents[given.rows]
            images = begun
            if images is None:
                images = first_images(jobs, contents, pictures or {}, styles, given.regions)
            run = ScaleRun(backbone, jobs, scales, index, given, images)
        else:
            small = run.given.contents[run.given.rows]
            before, after = (
                contents_as_begun(jobs, each.contents[each.rows], small, styles, each.regions)
                for each in (run.given, given)
            )
            run = run.grown(index, given, before, after)
        run.graphs = graphs
        begun_at = sum(s.steps for s in scales[:index])
        while not run.ended:
            losses = run.step()
            number = begun_at + (scale.steps if run.ended else run.done)
            yield Step(number, total, index, losses, run)
