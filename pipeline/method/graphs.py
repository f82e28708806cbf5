"""A step as one CUDA graph: at small sizes a GPU is done sooner than the CPU has called it some
hundred times.

In: the jobs that still move. Out: a step's losses. The first steps are taken call by call, for in
them libraries choose their ways and optimizers make their memory, which a graph cannot hold. Then
one is captured, which executes nothing, and replayed for all that follow, until jobs settle or the
scale ends. Where a graph cannot be taken all steps are taken call by call, and `problem` says why.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from pipeline.method.losses.objective import Losses
from pipeline.method.step import Movers

_DEVICE = "cuda"
_FIRST = 2  # steps before a capture
# How many replays are worth a capture, itself all the calls of a step and the making of a graph.
_WORTH = 3


@cache
def _stream_of(device: torch.device) -> torch.cuda.Stream:
    """The stream of a GPU on which steps run aside and are captured: one for all batches, since
    memory belongs to the stream that it was first taken for."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _capture(
    run: Callable[[], Tensor], device: torch.device
) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """A graph of what `run` does, and the tensor that it fills each time."""
    graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph, stream=_stream_of(device)):
            found = run()
    finally:  # where a capture fails older versions leave its own stream the current one
        torch.cuda.set_stream(before)
    return graph, found


def _current(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Has torch take a GPU as the current one."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def _aside(run: Callable[[], Losses], device: torch.device) -> Losses:
    """What `run` gives on a stream beside the current one, as torch wants it before a capture; in
    order with all that was and will be asked for."""
    stream = _stream_of(device)
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        found = run()
    torch.cuda.current_stream().wait_stream(stream)
    return found


class _Held:
    """A graph of a step, and the tensors that it reads and fills."""

    def __init__(self, movers: Movers) -> None:
        self.loss, self.neighbors = movers.loss, movers.loss.neighbors
        self.graph, self.found = _capture(lambda: movers.step().table(), movers.pixels.device)

    def replay(self) -> Losses:
        """One step."""
        self._take_neighbors()
        self.graph.replay()
        return Losses.of(self.found.clone())  # the next one fills it anew

    def _take_neighbors(self) -> None:
        """Vectors that were chosen anew go where the graph reads them."""
        now, read = self.loss.neighbors, self.neighbors
        if now is read or now is None or read is None:
            return
        for name in ("targets", "drawn_to"):
            getattr(read, name).copy_(getattr(now, name))
        self.loss.neighbors = replace(now, targets=read.targets, drawn_to=read.drawn_to)
        self.neighbors = self.loss.neighbors


class StepGraphs:
    """Takes steps by graphs, one at a time: of the jobs that still move, at their scale.

    Attributes:
        problem: why no graph is taken any more, or empty.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._movers: Movers | None = None  # whose graph is held, or is to come
        self._held: _Held | None = None
        self._taken = 0

    def __call__(self, movers: Movers, left: int) -> Losses:
        """Takes a step; see `Movers.step`.

        Args:
            left: steps of the scale from this one on.

        Raises:
            RuntimeError: memory ran out, also in a capture; fewer pictures at once help.
        """
        if movers is not self._movers:
            self.release()
            self._movers, self._taken = movers, 0
        self._taken += 1
        if self._held is not None:
            return self._held.replay()
        if not self._is_for(movers, left):
            return movers.step()
        # Streams and graphs are the current device's, which need not be that of the pictures.
        with _current(movers.pixels.device):
            if self._taken <= _FIRST:
                return _aside(movers.step, movers.pixels.device)
            self._held = self._captured(movers)
        return movers.step() if self._held is None else self._held.replay()

    def release(self) -> None:
        """Lets go of the graph and of the jobs, whose memory is as large as a step's."""
        self._held, self._movers = None, None

    def _is_for(self, movers: Movers, left: int) -> bool:
        """Whether a graph is taken of these steps; tiles, and other devices, go without."""
        if self.problem or movers.tile or movers.pixels.device.type != _DEVICE:
            return False
        return self._taken + left > _FIRST + _WORTH

    def _captured(self, movers: Movers) -> _Held | None:
        movers.optimizer.steady()
        try:
            return _Held(movers)
        except RuntimeError as error:  # such as an operation that waits for the device
            if isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error):
                raise
            lines = str(error).strip().splitlines() or [""]
            self.problem = f"{type(error).__name__}: {lines[0]}"
            return None
