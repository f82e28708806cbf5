"""Losses and gradient of a step as one CUDA graph a shape and batch size: at small sizes a GPU is
done sooner than the CPU has called it some hundred times.

In: what `losses_and_gradient` takes. Out: what it gives. Where a graph cannot be taken the calls
are made one by one, and `problem` says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from pipeline.method.backbone import Backbone
from pipeline.method.losses.objective import Losses, StyleTransferLoss
from pipeline.method.tiles import losses_and_gradient

# Of `losses_and_gradient`, and of whatever stands in for it.
Gradients = Callable[[Backbone, StyleTransferLoss, Tensor, int], tuple[Losses, Tensor]]
_Found = tuple[Losses, Tensor]

_DEVICE = "cuda"
_WARMS_UP = 2  # runs in which libraries choose their ways, which a graph cannot hold


def _capture(run: Callable[[], _Found]) -> tuple[torch.cuda.CUDAGraph, _Found]:
    """A graph of what `run` does, and the tensors that it fills each time."""
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(_WARMS_UP):
            run()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = run()
    return graph, found


class _Held:
    """A graph, and the tensors that it reads and fills."""

    def __init__(self, backbone: Backbone, loss: StyleTransferLoss, images: Tensor) -> None:
        self.loss, self.images, self.neighbors = loss, images, loss.neighbors
        self.graph, self.found = _capture(lambda: losses_and_gradient(backbone, loss, images))

    def fits(self, loss: StyleTransferLoss, images: Tensor) -> bool:
        """Whether it is of this loss and these pictures, which move where they lie."""
        return loss is self.loss and images.data_ptr() == self.images.data_ptr()

    def replay(self) -> _Found:
        """The same again; the gradient is to be used before the next time."""
        self._take_neighbors()
        self.graph.replay()
        losses, gradient = self.found
        return Losses(losses.parts.clone(), losses.total.clone()), gradient

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
    """`losses_and_gradient` by graphs, one at a time: that of the scale that is under way.

    Attributes:
        problem: why no graph is taken any more, or empty.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._held: _Held | None = None

    def __call__(
        self, backbone: Backbone, loss: StyleTransferLoss, images: Tensor, side: int = 0
    ) -> _Found:
        """See `losses_and_gradient`; tiles, and other devices, go without."""
        if self.problem or side or images.device.type != _DEVICE:
            return losses_and_gradient(backbone, loss, images, side)
        if self._held is None or not self._held.fits(loss, images):
            self._held = None  # its memory first
            self._held = self._captured(backbone, loss, images)
        if self._held is None:
            return losses_and_gradient(backbone, loss, images, side)
        return self._held.replay()

    def _captured(
        self, backbone: Backbone, loss: StyleTransferLoss, images: Tensor
    ) -> _Held | None:
        try:
            return _Held(backbone, loss, images)
        except torch.OutOfMemoryError:
            raise  # fewer pictures at once help
        except RuntimeError as error:  # such as an operation that waits for the device
            lines = str(error).strip().splitlines() or [""]
            self.problem = f"{type(error).__name__}: {lines[0]}"
            return None
