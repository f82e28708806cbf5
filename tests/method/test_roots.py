"""The trace of a product's root by products and by eigenvalues, against float64 formulas."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.method.losses import roots
from pipeline.method.losses.wasserstein import WASSERSTEIN

N = 48
WAYS = [roots._ByProducts.apply, roots._ByEigenvalues.apply]


def features(kind: str, seed: int) -> np.ndarray:
    """N x M, of a covariance that is full, low in rank, steep, or of near-equal eigenvalues."""
    draw = np.random.default_rng(seed)
    if kind == "low":
        made = draw.normal(size=(N, N // 8))
    elif kind == "steep":
        made = np.logspace(0, -3, N)[:, None] * draw.normal(size=(N, 4 * N))
    elif kind == "equal":
        turned = np.linalg.qr(draw.normal(size=(2 * N, N)))[0]
        made = 5 * turned.T + 1e-3 * draw.normal(size=(N, 2 * N))
    else:
        made = draw.normal(size=(N, 4 * N))
    turn = np.linalg.qr(draw.normal(size=(N, N)))[0]
    return turn @ made / np.sqrt(made.shape[1])


def root(matrix: np.ndarray, power: float = 0.5) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.clip(values, 1e-30, None) ** power) @ vectors.T


def lifted(matrix: np.ndarray) -> np.ndarray:
    return matrix + 1e-4 * np.trace(matrix) / N * np.eye(N)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("found", ["full", "low", "steep", "equal"])
@pytest.mark.parametrize("style", ["full", "low", "steep", "equal"])
def test_distance_and_gradient_are_the_formulas(
    way: Callable[..., Tensor], found: str, style: str
) -> None:
    own, other = features(found, 1), features(style, 2)
    covariance, wanted = lifted(own @ own.T), lifted(other @ other.T)
    half = root(wanted)
    product = half @ covariance @ half
    trace = np.trace(root(product))
    slope = np.eye(N) - half @ root(product, -0.5) @ half  # of the distance in S
    given = torch.tensor(covariance, requires_grad=True)
    traced = way(given, torch.tensor(half))
    (gradient,) = torch.autograd.grad(given.trace() - 2 * traced, given)
    assert float(traced.detach()) == pytest.approx(trace, rel=1e-5)
    # In the features, which is where it goes.
    wrong = np.linalg.norm((gradient.numpy() - slope) @ own)
    assert wrong < 1e-3 * np.linalg.norm(slope @ own)


def test_each_iteration_does_what_its_numbers_are_for() -> None:
    low, high = roots.SMALLEST, 1.0
    for a, b, c in roots.STEPS:
        x = np.concatenate([np.geomspace(low, high, 2000), np.linspace(low, high, 2000)])
        y = a * x + b * x**3 + c * x**5
        middle = y[x > 0.05 * high]
        assert middle.max() - 1 == pytest.approx(1 - middle.min(), abs=1e-3)
        assert y.min() > min(1.8 * low, 0.99) and middle.min() > 0.05
        low, high = y.min(), y.max()
    assert low > 1 - 1e-6 and high < 1 + 1e-6


def test_what_is_smaller_than_foreseen_does_no_harm() -> None:
    found = roots.orthogonal_factor(torch.diag(torch.tensor([1.0, 1e-9, 0.0])).double())
    assert float(found[0, 0]) == pytest.approx(1, abs=1e-5)
    assert 0 < float(found[1, 1]) < 1 and float(found[2, 2]) == 0
    assert bool((roots.orthogonal_factor(torch.zeros(2, 2)) == 0).all())


@pytest.mark.parametrize("way", WAYS)
def test_a_job_that_is_not_finite_leaves_its_batch_alone(way: Callable[..., Tensor]) -> None:
    good = torch.tensor(lifted(features("full", 1) @ features("full", 1).T))
    half = torch.tensor(root(lifted(features("full", 2) @ features("full", 2).T)))
    both = torch.stack([good, torch.full_like(good, torch.nan)]).requires_grad_()
    found = way(both, torch.stack([half, half]))
    alone = good.clone().requires_grad_()
    expected = way(alone, half)
    assert found[1].isnan() and float(found[0]) == pytest.approx(float(expected))
    (gradient,) = torch.autograd.grad(found[0], both)
    torch.testing.assert_close(gradient[0], torch.autograd.grad(expected, alone)[0])


def test_a_covariance_that_is_not_positive_is_told_by_products() -> None:
    matrix = torch.diag(torch.tensor([1.0, -1.0, 1.0])).double()
    assert roots._ByProducts.apply(matrix, torch.eye(3).double()).isnan()


def test_on_a_device_nothing_waits_for_values() -> None:
    """The meta device has no values: whatever asked for one, or for its CPU copy, would fail."""
    found = torch.empty(2, 1, 8, 9, device="meta", requires_grad=True)
    wanted = torch.empty(2, 1, 8, 17, device="meta", dtype=torch.float64)
    loss = WASSERSTEIN.measures["relative"](found, wanted, 8)
    (gradient,) = torch.autograd.grad(loss.sum(), found)
    assert gradient.shape == found.shape
