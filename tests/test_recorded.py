"""What stands for CUDA graphs in tests does what they do, and refuses what they refuse."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from recorded import Calls, Graph, Graphs, capturing
from torch import Tensor

CPU = torch.device("cpu")


class Counter:
    """Counts on the device, or not."""

    def __init__(self) -> None:
        self.there, self.here = torch.zeros(2), 0

    def in_place(self) -> Tensor:
        self.there.add_(1)
        return self.there * 2

    def replaced(self) -> Tensor:
        self.there = self.there + 1
        return self.there * 2

    def by_python(self) -> Tensor:
        self.here += 1
        return torch.full((2,), 2.0 * self.here)


def test_a_capture_executes_nothing() -> None:
    counter = Counter()
    graph, found = Graphs()(counter.in_place, CPU)
    assert counter.there.tolist() == [0, 0] and bool(found.isnan().all())
    graph.replay()
    assert counter.there.tolist() == [1, 1] and found.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("count", "last"),
    [(Counter.in_place, 6), (Counter.replaced, 2), (Counter.by_python, 2)],
)
def test_what_a_graph_keeps_does_not_go_on(count: Callable[[Counter], Tensor], last: int) -> None:
    counter = Counter()
    graph, found = Graphs()(lambda: count(counter), CPU)
    for _ in range(3):
        graph.replay()
    assert found.tolist() == [last, last] and graph.replays == 3


def test_gradients_views_and_given_outputs_are_replayed() -> None:
    x, out = torch.arange(6.0).view(2, 3), torch.zeros(2)

    def step() -> Tensor:
        leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(torch.relu_(leaf * 2).square().sum(), leaf)
        torch.sum(slope, 1, out=out)
        x[:, 0].mul_(3)
        return slope.t()

    x.add_(1)
    graph, found = Graphs()(step, CPU)
    for _ in range(2):
        wanted, sums = 8 * x.t(), (8 * x).sum(1)
        graph.replay()
        assert torch.equal(found, wanted) and torch.equal(out, sums)
    assert x[:, 0].tolist() == [9.0, 36.0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: bool(x.sum() > 0),
        lambda x: float(x.sum()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.cpu(),
        lambda x: x.to("cpu"),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: x * torch.tensor([1.0, 2.0]),
        lambda x: torch.linalg.eigh(x.outer(x)),
    ],
)
def test_what_cuda_refuses_is_refused(wrong: Callable[[Tensor], Any]) -> None:
    x, y = torch.ones(2), torch.ones(2)
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        with capturing(Graph()):
            y.add_(1)
            wrong(x)
    assert y.tolist() == [1, 1]


def test_calls_of_a_graph_are_not_the_callers() -> None:
    counter, calls = Counter(), Calls()
    graph, _ = Graphs()(counter.in_place, CPU)
    with calls:
        graph.replay()
        counter.there.neg()
    assert calls.names == ["neg"]
    assert graph.calls == 2
