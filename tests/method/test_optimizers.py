from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pipeline.method.optimizers.lbfgs import LBFGS
from pipeline.method.optimizers.optimizer import Optimizer
from pipeline.method.optimizers.table import OPTIMIZERS, OptimizerOptions, make_optimizer

torch.manual_seed(0)
CURVATURES = torch.rand(3, 12) * 4 + 0.5
STARTS = torch.randn(3, 12)
RATES = torch.tensor([0.05, 0.1, 0.2])


def objective(x: Tensor, curvature: Tensor) -> Tensor:
    return (curvature * (x - 1).square()).sum() + (x**4).sum() * 0.1


def run(optimizer: Optimizer, steps: int, rates: Tensor, steady_after: int = -1) -> Tensor:
    x = STARTS.clone()
    for step in range(steps):
        if step == steady_after:
            optimizer.steady()
        y = x.clone().requires_grad_()
        total = sum(objective(y[i], CURVATURES[i]) for i in range(3))
        (gradient,) = torch.autograd.grad(total, y)
        optimizer.step(x, gradient, rates)
    return x


def alone(make: Callable[[Tensor, int], torch.optim.Optimizer], index: int, steps: int) -> Tensor:
    x = STARTS[index].clone().requires_grad_()
    optimizer = make(x, index)

    def closure() -> float:
        optimizer.zero_grad()
        loss = objective(x, CURVATURES[index])
        loss.backward()
        return float(loss)

    for _ in range(steps):
        optimizer.step(closure)
    return x.detach()


@pytest.mark.parametrize("decay", [0.99, 0.999])
def test_adam_follows_torch(decay: float) -> None:
    ours = run(make_optimizer("adam", OptimizerOptions(20, False, decay)), 60, RATES)
    for i in range(3):
        theirs = alone(
            lambda x, i: torch.optim.Adam([x], lr=float(RATES[i]), betas=(0.9, decay)), i, 60
        )
        torch.testing.assert_close(ours[i], theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("steady_after", [-1, 1, 3, 9])
def test_lbfgs_follows_torch_past_a_full_history(steady_after: int) -> None:
    """Also where all of the history's places take part before they are full."""
    ours = run(LBFGS(corrections=5), 15, RATES, steady_after)
    for i in range(3):
        theirs = alone(
            lambda x, i: torch.optim.LBFGS(
                [x], lr=float(RATES[i]), max_iter=1, history_size=5, tolerance_grad=0.0,
                tolerance_change=0.0,
            ), i, 15,
        )  # fmt: skip
        torch.testing.assert_close(ours[i], theirs, rtol=1e-4, atol=1e-4)


def test_lbfgs_takes_torchs_steps_with_each_pictures_own_pairs() -> None:
    """The loss curves downward here and there, so that pictures keep their pairs at different steps
    and these lie at different places; in float64, where nothing but the method decides."""
    generator = torch.Generator().manual_seed(1)
    starts = torch.randn(4, 3, generator=generator, dtype=torch.float64) * 2
    steepness = torch.rand(4, 3, generator=generator, dtype=torch.float64) + 1

    def gradient(x: Tensor, row: int) -> Tensor:
        return steepness[row] * (2 * x).sin() + 0.1 * x

    ours, x = LBFGS(corrections=3, longest=1e9), starts.clone()  # finite: torch's own first steps
    for _ in range(25):
        slopes = torch.stack([gradient(x[row], row) for row in range(4)])
        ours.step(x, slopes, torch.full((4,), 0.4, dtype=torch.float64))
    assert len(set(ours.kept.tolist())) > 1 and int(ours.kept.min()) < 24
    for row in range(4):
        y = starts[row].clone().requires_grad_()
        theirs = torch.optim.LBFGS(
            [y], lr=0.4, max_iter=1, history_size=3, tolerance_grad=0.0, tolerance_change=0.0
        )

        def closure(y: Tensor = y, row: int = row) -> float:
            y.grad = gradient(y.detach(), row)
            return 0.0

        for _ in range(25):
            theirs.step(closure)
        torch.testing.assert_close(x[row], y.detach(), rtol=1e-9, atol=1e-9)


def test_carried_scaling_of_one_picture_stays_when_another_has_none() -> None:
    optimizer, x = LBFGS(corrections=5), torch.rand(2, 1, 4, 4)
    for _ in range(3):
        slopes = 2 * x / 16
        slopes[1] = -1.0  # without curvature, so without a pair
        optimizer.step(x, slopes, torch.ones(2))
    optimizer.enlarge((8, 8))
    larger = torch.rand(2, 1, 8, 8)
    before = larger.clone()
    optimizer.step(larger, torch.stack((2 * larger[0] / 64, torch.ones(1, 8, 8))), torch.ones(2))
    torch.testing.assert_close(larger[0], torch.zeros(1, 8, 8), rtol=0, atol=1e-5)
    torch.testing.assert_close(before[1] - larger[1], torch.full((1, 8, 8), 1 / 64))


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_lbfgs_finds_its_way_out_of_where_the_loss_curves_downward(size: float) -> None:
    """The loss is size * cos x: at 0.1 its slope grows downhill, so the first pairs are not kept,
    and a step along -g itself would be up to 100,000 long."""
    optimizer, x = LBFGS(corrections=5), torch.full((2, 1, 2, 2), 0.1)
    x[1] = 4.0  # a neighbor that knows its curvature from the first step on
    for _ in range(40):
        optimizer.step(x, -size * x.sin(), torch.ones(2))
        assert float(x.abs().max()) < 7
    torch.testing.assert_close(x, torch.full_like(x, torch.pi), rtol=0, atol=1e-3)


def test_lbfgs_within_bounds_reaches_the_constrained_minimum() -> None:
    # (x - c)^2 with the minimum outside [0, 1] in some pixels: there the bound is the answer.
    wanted = torch.tensor([[-0.5, 0.2, 0.7, 1.8, 0.4, 1.1]]).view(1, 1, 2, 3)
    weights = torch.tensor([1.0, 9.0, 4.0, 2.0, 0.5, 3.0]).view(1, 1, 2, 3)
    optimizer, x = LBFGS(corrections=10, longest=0.05), torch.full((1, 1, 2, 3), 0.5)
    for _ in range(120):
        before = x.clone()
        optimizer.step(x, 2 * weights * (x - wanted), torch.ones(1))
        assert float((x - before).square().mean().sqrt()) <= 0.05 + 1e-6
        optimizer.clamp(x)
    torch.testing.assert_close(x, wanted.clamp(0, 1), rtol=0, atol=1e-3)


def test_carried_scaling_is_that_of_the_larger_picture() -> None:
    # For a mean of squares the Hessian is 2/n: a picture four times as large needs steps 4 times.
    def gradient(x: Tensor) -> Tensor:
        return 2 * x / x[0].numel()

    optimizer, x = LBFGS(corrections=5), torch.rand(1, 1, 4, 4)
    for _ in range(3):
        optimizer.step(x, gradient(x), torch.ones(1))
    optimizer.enlarge((8, 8))
    larger = torch.rand(1, 1, 8, 8)
    optimizer.step(larger, gradient(larger), torch.ones(1))
    torch.testing.assert_close(larger, torch.zeros_like(larger), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_before_the_first_step_there_is_no_memory(name: str) -> None:
    optimizer = make_optimizer(name, OptimizerOptions())
    assert optimizer.state() == {}
    optimizer.load({})
    optimizer.enlarge((8, 8))
    assert optimizer.state() == {}


def test_a_history_without_products_goes_on_as_it_was() -> None:
    """As in checkpoints of earlier versions; before a history is full, and after."""
    for steps in (3, 7):
        first, x = LBFGS(corrections=5), STARTS.clone()
        for _ in range(steps):
            first.step(x, CURVATURES * (x - 1) + 0.4 * x**3, RATES)
        second = LBFGS(corrections=5)
        second.load({k: v for k, v in first.state().items() if k != "products"})
        copies = [x.clone(), x.clone()]
        for optimizer, copy in zip((first, second), copies, strict=True):
            optimizer.step(copy, CURVATURES * (x - 1) + 0.4 * x**3, RATES)
        torch.testing.assert_close(copies[1], copies[0], rtol=1e-6, atol=1e-6)
        assert not torch.equal(copies[0], x)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_memory_goes_out_and_back_in(name: str) -> None:
    torch.manual_seed(0)
    images, gradient = torch.rand(2, 3, 6, 6), torch.randn(2, 3, 6, 6)
    rates = torch.full((2,), 0.01)
    first = make_optimizer(name, OptimizerOptions(3))
    for _ in range(2):
        first.step(images, gradient * images, rates)
    second = make_optimizer(name, OptimizerOptions(3))
    second.load(first.state())
    copies = [images.clone(), images.clone()]
    first.step(copies[0], gradient, rates)
    second.step(copies[1], gradient, rates)
    assert torch.equal(copies[0], copies[1]) and not torch.equal(copies[0], images)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_all_memory_is_where_the_pictures_are(name: str) -> None:
    """So that jobs that settle can be picked from it by places on the device."""
    optimizer = make_optimizer(name, OptimizerOptions(3))
    images = torch.rand(2, 3, 6, 6, device="meta")
    for _ in range(2):
        optimizer.step(images, torch.rand_like(images), torch.rand(2, device="meta"))
    rows = torch.arange(1, device="meta")
    for values in optimizer.state().values():
        assert values.device.type == "meta" and len(values[rows]) == 1
