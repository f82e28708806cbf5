"""Long steps that can be ended within: the same numbers, and a look after each convolution."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from pipeline.method import Backbone, load_weights
from pipeline.method.losses import neighbors
from pipeline.slot import interruptible as module
from pipeline.slot.interruptible import can_be_interrupted, interruptible


def steps(count: int, ends: list[int] | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Losses and gradients through two convolutions."""
    drawn = torch.Generator().manual_seed(0)
    kernels = torch.randn(2, 3, 3, 3, 3, generator=drawn)
    image = torch.rand(1, 3, 9, 9, generator=drawn).requires_grad_()
    for number in range(count):
        within = torch.conv2d(image, kernels[0]).relu()
        loss = torch.conv2d(within, kernels[1]).square().mean() * (number + 1)
        (gradient,) = torch.autograd.grad(loss, image)
        if ends is not None:
            ends.append(number)
        yield loss.detach(), gradient


def test_steps_are_the_same_and_each_convolution_is_looked_at_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LONG_S", 0.0)
    looks: list[int] = []
    found = list(interruptible(steps(3), lambda: looks.append(1)))
    assert len(looks) == 3 * 2 * 2
    for (loss, gradient), (other, its) in zip(steps(3), found, strict=True):
        assert torch.equal(loss, other) and torch.equal(gradient, its)


def test_the_first_step_and_those_after_a_long_one_are_looked_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = iter([0.0, 0.1, 1.0, 1.6, 2.0, 2.1, 3.0])  # begin and end of each step
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    looks: list[int] = []
    counts = []
    for _ in interruptible(steps(3), lambda: looks.append(1)):
        counts.append(len(looks))
    assert counts == [4, 4, 8]


@pytest.mark.parametrize("last", [1, 2, 3, 4])  # forward, forward, backward, backward
def test_what_looks_can_end_a_step_anywhere(last: int) -> None:
    looks, ends = [0], list[int]()

    def look() -> None:
        looks[0] += 1
        if looks[0] == last:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(interruptible(steps(3, ends), look))
    assert looks == [last] and ends == []
    assert torch.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)).item() == 9  # and no more
    assert looks == [last]


@pytest.mark.parametrize("way", ["own", "torch's"])
def test_a_networks_pass_is_looked_into(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way != "own":
        monkeypatch.setattr("pipeline.method.onednn._operators", lambda dtype: False)
    network = Backbone(load_weights("lite"), ["conv1_1", "conv2_1"])

    def passes() -> Iterator[Tensor]:
        image = torch.rand(1, 3, 32, 32).requires_grad_()
        (gradient,) = torch.autograd.grad(network(image)["conv2_1"].sum(), image)
        yield gradient

    looks: list[int] = []
    list(interruptible(passes(), lambda: looks.append(1)))
    assert len(looks) >= 2 * len(network.chain)

    def refuse() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(interruptible(passes(), refuse))


def test_a_gpus_steps_and_compiled_ones_are_left_alone() -> None:
    assert can_be_interrupted("cpu", compiles=False)
    assert not can_be_interrupted("cpu", compiles=True)
    assert not can_be_interrupted("cuda:0", compiles=False)
    assert not can_be_interrupted("mps", compiles=False)


def test_the_search_for_nearest_vectors_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "_BLOCK", 40)  # queries times vectors at once

    def searches() -> Iterator[Tensor]:
        yield neighbors.nearest(torch.rand(4, 12), torch.rand(4, 10))

    looks: list[int] = []
    (found,) = interruptible(searches(), lambda: looks.append(1))
    assert len(looks) == 3 and found.shape == (12,)
