"""The trace of a product's root by products and by eigenvalues, against float64 formulas."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.method.losses import roots, wasserstein
from pipeline.method.losses.gram import moment_sum

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
    return half, distance, np.eye(len(half)) - half @ root(product, -0.5) @ half


def given(
    covariance: np.ndarray, half: np.ndarray, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, ...]:
    """A batch of one, with what a covariance in float32 may be wrong by."""
    wrong = 1e-6 * np.diag(covariance)
    return tuple(torch.tensor(m[None], dtype=dtype) for m in (covariance, half, wrong))


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
    value, gradient = way(*given(covariance, half, dtype))
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
    value, gradient = roots.by_products(*given(covariance, half))
    assert float(value) == pytest.approx(distance, rel=1e-3)
    wrong = np.linalg.norm((gradient[0].double().numpy() - slope) @ own)
    assert wrong < 1e-3 * np.linalg.norm(slope @ own)


def test_each_iteration_does_what_its_numbers_are_for() -> None:
    low, high = roots.SMALLEST, 1.0
    for number, (a, b, c) in enumerate(roots.STEPS):
        top = high * (roots.MARGIN if number < 10 else 1)
        x = np.concatenate([np.geomspace(low, top, 2000), np.linspace(low, top, 2000)])
        y = a * x + b * x**3 + c * x**5
        middle = y[x > 0.05 * top]
        assert middle.max() - 1 == pytest.approx(1 - middle.min(), abs=1e-3)
        assert y.min() > min(1.8 * low, 0.99) and middle.min() > 0.05
        low, high = y.min(), y.max()
    assert low > 1 - 1e-6 and high < 1 + 1e-6


@pytest.mark.parametrize("first", range(10))
def test_what_rounding_has_put_above_the_largest_does_not_grow(first: int) -> None:
    """Half a percent of it: a hundredth of that was enough to end in 1e27, once in some thousands
    of matrices."""
    low, high = roots.SMALLEST, 1.0
    for a, b, c in roots.STEPS[:first]:
        x = np.linspace(low, high, 20000)
        y = a * x + b * x**3 + c * x**5
        low, high = y.min(), y.max()
    value = 1.005 * high
    for a, b, c in roots.STEPS[first:]:
        value = a * value + b * value**3 + c * value**5
    assert value == pytest.approx(1, abs=1e-5)


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
    wrong = 1e-6 * both.diagonal(dim1=1, dim2=2)
    found, slopes = way(both, torch.stack([half, half]), wrong)
    expected, slope = way(good[None], half[None], wrong[:1])
    assert found[1].isnan() and float(found[0]) == pytest.approx(float(expected))
    torch.testing.assert_close(slopes[:1], slope)


def test_of_a_covariance_that_rounding_made_negative_the_diagonal_is_left() -> None:
    matrix = torch.tensor([[4.0, 5.0, 0.0], [5.0, 4.0, 0.0], [0.0, 0.0, -1e-6]])
    wrong = torch.full((1, 3), 1e-5)
    distance, slope = roots.by_products(matrix[None], torch.eye(3)[None], wrong)
    expected = (np.sqrt([4, 4, 1e-5]) - 1) ** 2
    assert float(distance) == pytest.approx(expected.sum(), rel=1e-4)
    np.testing.assert_allclose(slope[0].diag(), 1 - 1 / np.sqrt([4, 4, 1e-5]), rtol=1e-3)


def test_where_a_style_has_nothing_the_picture_counts_whole() -> None:
    """There B = R L is 0, and U may be anything or, by products, nothing."""
    half = np.diag([2.0, 0.0, 1e-9])
    distance, slope = roots.by_products(*given(np.diag([9.0, 4.0, 25.0]), half))
    assert float(distance) == pytest.approx(1 + 4 + 25, rel=1e-4)
    np.testing.assert_allclose(slope[0], np.diag([1 - 2 / 3, 1, 1]), atol=1e-5)


def moments(features: np.ndarray) -> Tensor:
    """As a picture's are found, in float32."""
    flat = torch.tensor(features[None], dtype=torch.float32)
    return moment_sum(flat) / flat.shape[2]


def by_wasserstein(
    monkeypatch: pytest.MonkeyPatch, picture: np.ndarray, style: np.ndarray
) -> tuple[float, np.ndarray]:
    """The loss between features of C x M as a GPU has it, and its gradient in the picture's."""
    monkeypatch.setattr(roots, "by_eigenvalues", roots.by_products)
    flat = torch.tensor(picture[None], dtype=torch.float32, requires_grad=True)
    prepared = wasserstein.WASSERSTEIN.prepare(moments(style), "cuda")
    value = wasserstein.WASSERSTEIN.distance(moment_sum(flat) / flat.shape[2], prepared)
    (gradient,) = torch.autograd.grad(value.sum(), flat)
    return float(value.detach()), gradient[0].numpy()


def exact_wasserstein(picture: np.ndarray, style: np.ndarray) -> tuple[float, np.ndarray]:
    """The same in float64."""
    mean, wanted = picture.mean(1, keepdims=True), style.mean(1, keepdims=True)
    spread = np.cov(style, bias=True)
    lift = 1e-4 * max(np.trace(spread) / len(style), 1e-12) * np.eye(len(style))
    covariance = np.cov(picture, bias=True) + lift
    _, distance, slope = formulas(covariance, spread + lift)
    gradient = 2 / picture.shape[1] * (slope @ (picture - mean) + mean - wanted)
    return distance + float(((mean - wanted) ** 2).sum()), gradient


def responses(kind: str, positions: int, seed: int) -> np.ndarray:
    """160 x M features as a network's: nothing is negative, and a few directions have nearly all
    that varies."""
    draw = np.random.default_rng(seed)
    base = np.abs(np.random.default_rng(0).normal(size=(160, 1)))
    sizes = np.geomspace(1, 1e-2, 40)
    mixed = np.random.default_rng(1).normal(size=(160, 40)) * sizes
    made = 3 * base + mixed @ draw.normal(size=(40, positions))
    return {"drawn": np.maximum(made, 0), "flat": np.tile(base, positions),
            "black": np.zeros((160, positions))}[kind]  # fmt: skip


@pytest.mark.parametrize("positions", [6, 30, 120])
@pytest.mark.parametrize("nearness", [0.3, 0.03])
def test_a_picture_near_its_target_is_drawn_the_right_way(
    monkeypatch: pytest.MonkeyPatch, positions: int, nearness: float
) -> None:
    """Where there are fewer positions than channels, too. What is left there is small beside the
    features, of whose size all that rounds would be, were the root symmetric."""
    style = responses("drawn", positions, 1)
    picture = style + nearness * (responses("drawn", positions, 2) - style)
    value, gradient = by_wasserstein(monkeypatch, picture, style)
    expected, slope = exact_wasserstein(picture, style)
    assert value == pytest.approx(expected, rel=1e-3)
    assert np.linalg.norm(gradient - slope) < 3e-4 / nearness * np.linalg.norm(slope)


@pytest.mark.parametrize("size", [1.0, 100.0])
@pytest.mark.parametrize(
    ("picture", "style"),
    [("flat", "drawn"), ("black", "drawn"), ("drawn", "flat"), ("drawn", "black")],
)
def test_what_is_flat_has_its_loss_too(
    monkeypatch: pytest.MonkeyPatch, picture: str, style: str, size: float
) -> None:
    own, other = size * responses(picture, 960, 1), size * responses(style, 240, 2)
    value, gradient = by_wasserstein(monkeypatch, own, other)
    expected, slope = exact_wasserstein(own, other)
    assert value == pytest.approx(expected, rel=1e-2)
    assert np.linalg.norm(gradient - slope) < 2e-2 * np.linalg.norm(slope)


@pytest.mark.parametrize("kind", ["flat", "black"])
def test_what_is_flat_in_both_is_finite_and_small(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    value, gradient = by_wasserstein(monkeypatch, responses(kind, 960, 1), responses(kind, 240, 1))
    assert 0 <= value < 1e-3 * max(1.0, (responses(kind, 1, 1) ** 2).sum())
    assert np.isfinite(gradient).all()


def test_a_gpu_has_a_root_whose_rows_are_eigenvectors() -> None:
    target = moments(responses("drawn", 60, 1))
    mean, root, lift = wasserstein.WASSERSTEIN.prepare(target, "cuda")
    _, symmetric, _ = wasserstein.WASSERSTEIN.prepare(target)
    assert {part.dtype for part in (mean, root, lift)} == {torch.float32}
    assert symmetric.dtype is torch.float64
    torch.testing.assert_close(symmetric, symmetric.mT)
    wide = root[0].double()
    torch.testing.assert_close(wide.mT @ wide, symmetric[0] @ symmetric[0], rtol=1e-5, atol=1e-6)
    rows = wide @ wide.mT
    assert (rows - rows.diag().diag()).norm() < 1e-6 * rows.norm()


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
        roots.by_products(torch.eye(3)[None], torch.eye(3)[None], torch.zeros(1, 3))
        assert seen == ["highest"] and torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
