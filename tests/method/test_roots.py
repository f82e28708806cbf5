"""The trace of a product's root by products and by eigenvalues, against float64 formulas."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.method.losses import roots

N = 48
WAYS = [roots.by_products, roots.by_eigenvalues]


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


def formulas(covariance: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """The root of `wanted`, the squared distance, and its slope in the covariance."""
    half = root(wanted)
    product = half @ covariance @ half
    distance = np.trace(covariance + wanted) - 2 * np.trace(root(product))
    return half, distance, np.eye(N) - half @ root(product, -0.5) @ half


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("found", ["full", "low", "steep", "equal"])
@pytest.mark.parametrize("style", ["full", "low", "steep", "equal"])
def test_distance_and_gradient_are_the_formulas(
    way: Callable[..., tuple[Tensor, Tensor]], dtype: torch.dtype, found: str, style: str
) -> None:
    if way is roots.by_eigenvalues and dtype is torch.float32:
        pytest.skip("the CPU's way, in float64 alone")
    own, other = features(found, 1), features(style, 2)
    covariance = lifted(own @ own.T)
    half, distance, slope = formulas(covariance, lifted(other @ other.T))
    value, gradient = way(*(torch.tensor(m[None], dtype=dtype) for m in (covariance, half)))
    assert float(value) == pytest.approx(distance, rel=1e-4)
    # In the features, which is where it goes.
    wrong = np.linalg.norm((gradient[0].double().numpy() - slope) @ own)
    assert wrong < 1e-3 * np.linalg.norm(slope @ own)


@pytest.mark.parametrize("size", [10.0, 100.0])
@pytest.mark.parametrize("style", ["low", "steep"])
def test_in_float32_a_picture_may_vary_far_more_than_its_style(size: float, style: str) -> None:
    """Then a covariance of low rank, lifted by the style's variance, has no root in float32."""
    own, other = size * features("low", 1), features(style, 2)
    wanted = lifted(other @ other.T)
    covariance = own @ own.T + 1e-4 * np.trace(other @ other.T) / N * np.eye(N)
    half, distance, slope = formulas(covariance, wanted)
    given = (torch.tensor(m[None], dtype=torch.float32) for m in (covariance, half))
    value, gradient = roots.by_products(*given)
    assert float(value) == pytest.approx(distance, rel=1e-3)
    wrong = np.linalg.norm((gradient[0].double().numpy() - slope) @ own)
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
    (found,) = roots.orthogonal_factor(torch.diag(torch.tensor([1.0, 1e-9, 0.0])).double()[None])
    assert float(found[0, 0]) == pytest.approx(1, abs=1e-5)
    assert 0 < float(found[1, 1]) < 1 and float(found[2, 2]) == 0
    assert bool((roots.orthogonal_factor(torch.zeros(1, 2, 2)) == 0).all())


@pytest.mark.parametrize("way", WAYS)
def test_a_job_that_is_not_finite_leaves_its_batch_alone(
    way: Callable[..., tuple[Tensor, Tensor]],
) -> None:
    good = torch.tensor(lifted(features("full", 1) @ features("full", 1).T))
    half = torch.tensor(root(lifted(features("full", 2) @ features("full", 2).T)))
    both = torch.stack([good, torch.full_like(good, torch.nan)])
    found, slopes = way(both, torch.stack([half, half]))
    expected, slope = way(good[None], half[None])
    assert found[1].isnan() and float(found[0]) == pytest.approx(float(expected))
    torch.testing.assert_close(slopes[:1], slope)


def test_a_covariance_that_is_not_positive_is_told_by_products() -> None:
    matrix = torch.diag(torch.tensor([1.0, -1.0, 1.0])).double()
    assert roots.by_products(matrix[None], torch.eye(3).double()[None])[0].isnan()


def test_products_are_exact_beside_convolutions_of_less_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    real = roots.orthogonal_factor

    def factor(matrices: Tensor) -> Tensor:
        seen.append(torch.get_float32_matmul_precision())
        return real(matrices)

    monkeypatch.setattr(roots, "orthogonal_factor", factor)
    torch.set_float32_matmul_precision("medium")
    try:
        roots.by_products(torch.eye(3)[None], torch.eye(3)[None])
        assert seen == ["highest"] and torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
