"""The step loop of a batch: through which network, what becomes of jobs that diverge.

In: prepared jobs. Out: a `Result` each, or why there is none. Reads and writes no files itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from pipeline.errors import DivergedError
from pipeline.method import (
    Backbone,
    ScaleInputs,
    Step,
    StepGraphs,
    optimize,
)
from pipeline.notices import Notice
from pipeline.plan import Batch
from pipeline.slot.checkpoint import stack
from pipeline.slot.curves import Curves
from pipeline.slot.divergence import divergence
from pipeline.slot.faults import breaks_device, is_out_of_memory
from pipeline.slot.fitting import Fitting
from pipeline.slot.interruptible import can_be_interrupted, interruptible
from pipeline.slot.outputs import Result
from pipeline.slot.seat import Seat
from pipeline.slot.styles import Prepared
from pipeline.slot.tensors import begun_images, init_pictures, init_styles, scale_inputs
from pipeline.slot.timer import Timer
from pipeline.slot.way import Stopped, Way

_SAFER_RATE = 0.25


class Loop:
    """Runs the step loop of one batch."""

    def __init__(
        self, seat: Seat, network: Backbone, batch: Batch, fitting: Fitting, way: Way, timer: Timer
    ) -> None:
        self.seat, self.network, self.batch = seat, network, batch
        self.fitting, self.way, self.timer = fitting, way, timer
        context = seat.context
        # Deterministic algorithms and compiled networks have rules of their own for graphs.
        plain = not (context.deterministic or context.compiles)
        takes = context.graphs and plain and seat.device.startswith("cuda")
        self.graphs = StepGraphs() if takes else None

    def run(self, ready: Sequence[Prepared]) -> list[Result | DivergedError]:
        """Optimizes jobs together; each ends as its own.

        Raises:
            Stopped: the run was asked to stop.
        """
        with self.timer.phase("optimize"):
            results = [
                result if result.is_finite else self._again_safer(prepared)
                for prepared, result in zip(ready, self._drive(ready), strict=True)
            ]
        return [self._with_doubts(result) for result in results]

    def _with_doubts(self, result: Result | DivergedError) -> Result | DivergedError:
        """With a warning where the loss did not fall."""
        if isinstance(result, DivergedError):
            return result
        said = divergence(result.curve, self.batch.scales)
        if said is None:
            return result
        return replace(result, warnings=(*result.warnings, Notice("loss_rose", said)))

    def one_step(self, prepared: Prepared) -> None:
        """One step of one job at the largest scale, whose result nobody wants."""
        scale = replace(self.batch.scales[-1], steps=1)
        inputs = self._inputs(len(self.batch.scales) - 1, [prepared])
        jobs = [prepared.job.settings]
        pictures, styles = init_pictures([prepared], scale), init_styles([prepared])
        for _ in optimize(self.network, jobs, (scale,), lambda _: inputs, pictures, styles=styles):
            pass

    @property
    def _compiles(self) -> bool:
        return self.seat.context.compiles and not self.seat.process.not_compiled

    def _drive(self, ready: Sequence[Prepared]) -> list[Result]:
        """Runs the step loop, compiled where that is wanted and torch can; else it says so."""
        results = self._drive_compiled(ready) if self._compiles else self._drive_once(ready)
        if self.graphs is not None and self.graphs.problem:
            text = f"steps are taken call by call, not as a CUDA graph: {self.graphs.problem}"
            said = Notice("not_graphed", text)
            results = [replace(result, warnings=(*result.warnings, said)) for result in results]
        problem = self.seat.process.not_compiled
        if self.seat.context.compiles and problem:
            said = Notice("not_compiled", f"not compiled, torch could not: {problem}")
            results = [replace(result, warnings=(*result.warnings, said)) for result in results]
        return results

    def _drive_compiled(self, ready: Sequence[Prepared]) -> list[Result]:
        """The step loop with a compiled network; without, if that fails."""
        try:
            return self._drive_once(ready)
        except (RuntimeError, AssertionError) as error:  # what torch's compiler raises, also late
            if is_out_of_memory(error) or breaks_device(error):
                raise
            lines = str(error).strip().splitlines()
            problem = f"{type(error).__name__}: {lines[0] if lines else ''}"
            self.seat.process.not_compiled = problem
        torch._dynamo.reset()
        return self._drive_once(ready)

    def _again_safer(self, prepared: Prepared) -> Result | DivergedError:
        """A job whose loss became NaN or infinite, once more with a smaller learning rate."""
        rate = prepared.job.settings.learning_rate * _SAFER_RATE
        safer = prepared.job.settings.model_copy(update={"learning_rate": rate})
        job = replace(prepared.job, settings=safer)
        (result,) = self._drive([replace(prepared, job=job, checkpoint=None)])
        if result.is_finite:
            text = f"the loss became NaN or infinite; made again with learning_rate {rate:g}"
            said = Notice("safer_rate", text)
            return replace(result, warnings=(*result.warnings, said))
        return DivergedError(
            f"the loss became NaN or infinite, also with learning_rate {rate:g}; choose a "
            f"smaller learning_rate or style_weight"
        )

    def _drive_once(self, ready: Sequence[Prepared]) -> list[Result]:
        """Runs the step loop once; what its last steps' graph holds is free for the next."""
        try:
            return self._run_steps(ready)
        finally:
            if self.graphs is not None:
                self.graphs.release()

    def _run_steps(self, ready: Sequence[Prepared]) -> list[Result]:
        kept = [p.checkpoint for p in ready if p.checkpoint]
        curves = Curves([p.checkpoint.curve if p.checkpoint else [] for p in ready])
        jobs = [p.job.settings for p in ready]
        first = self.batch.scales[0]
        step: Step | None = None
        self.way.begin(ready)
        steps = optimize(
            self._compiled(ready) if self._compiles else self.network,
            jobs,
            self.batch.scales,
            lambda index: self._inputs(index, ready),
            init_pictures(ready, first),
            stack(kept, self.seat.device) if kept else None,
            init_styles(ready),
            begun_images(ready, first, self.seat.device),
            self.graphs,
        )
        if can_be_interrupted(self.seat.device, compiles=self._compiles):
            steps = interruptible(steps, self.way.look)
        try:
            for step in steps:
                curves.add(step)
                self.way.after(step, ready, curves)
        except Stopped:
            self.way.ended(step, ready, curves)
            raise
        assert step is not None  # a checkpoint is never of the last step
        # Off the device here, in one piece: other threads must leave a GPU alone, whose next steps
        # may just be recorded as a graph.
        images = step.images.detach().cpu()
        ends = zip(images, curves.values(), step.steps.tolist(), strict=True)
        results = [Result(image, curve, steps) for image, curve, steps in ends]
        results[0] = replace(results[0], warnings=self.way.notices())
        return results

    def _compiled(self, ready: Sequence[Prepared]) -> Backbone:
        """The network, compiled for these jobs."""
        contents = len({id(p.content.working) for p in ready})
        shapes = [(len(ready), contents, s.width, s.height) for s in self.batch.scales]
        return self.seat.process.networks.compiled(self.network, shapes)

    def _inputs(self, index: int, ready: Sequence[Prepared]) -> ScaleInputs:
        """What a scale is given, brought to the device: no step, and not timed as one."""
        with self.timer.phase("inputs"):
            scale = self.batch.scales[index]
            tile = self.fitting.tile(scale) if len(ready) == 1 else 0
            return scale_inputs(scale, index, ready, self.seat.device, tile)
