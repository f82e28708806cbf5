import numpy as np
import pytest
import torch

from pipeline.losses import (
    content_paper,
    content_relative,
    energy,
    gram,
    style_paper,
    style_relative,
    total_variation,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 6, 7))
P = RNG.normal(size=(2, 5, 6, 7))
S = RNG.normal(size=(2, 5, 4, 9))


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def reference_gram(features: np.ndarray) -> np.ndarray:
    flat = features.reshape(features.shape[0], -1)
    return flat @ flat.T


def test_gram_matches_paper_per_position() -> None:
    for i in range(2):
        np.testing.assert_allclose(
            gram(tensor(X))[i], reference_gram(X[i]) / 42, rtol=1e-5, atol=1e-7
        )


def test_content_loss_and_gradient_match_paper() -> None:
    x = tensor(X).requires_grad_()
    loss = content_paper(energy(x - tensor(P)), energy(tensor(P)))
    loss.sum().backward()
    for i in range(2):
        assert float(loss[i]) == pytest.approx(0.5 * ((X[i] - P[i]) ** 2).sum(), rel=1e-5)
    np.testing.assert_allclose(x.grad, X - P, rtol=1e-5, atol=1e-5)  # equation 2


def test_style_loss_and_gradient_match_paper() -> None:
    same = RNG.normal(size=X.shape)
    x = tensor(X).requires_grad_()
    loss = style_paper(gram(x), gram(tensor(same)))
    loss.sum().backward()
    n, m = 5, 42
    for i in range(2):
        difference = reference_gram(X[i]) - reference_gram(same[i])
        expected = (difference**2).sum() / (4 * n**2 * m**2)  # equation 4
        assert float(loss[i]) == pytest.approx(expected, rel=1e-5)
        gradient = (difference @ X[i].reshape(n, m)) / (n**2 * m**2)  # equation 6
        np.testing.assert_allclose(x.grad[i].reshape(n, m), gradient, rtol=1e-4, atol=1e-7)


def test_style_loss_of_other_size_compares_grams_per_position() -> None:
    difference = reference_gram(X[0]) / 42 - reference_gram(S[0]) / 36
    expected = (difference**2).sum() / (4 * 25)
    loss = style_paper(gram(tensor(X)), gram(tensor(S)))
    assert float(loss[0]) == pytest.approx(expected, rel=1e-5)


def test_relative_losses_match_their_formulas() -> None:
    a, g = reference_gram(S[1]) / 36, reference_gram(X[1]) / 42
    expected = np.linalg.norm(g - a) / np.linalg.norm(a)
    found = style_relative(gram(tensor(X)), gram(tensor(S)))
    assert float(found[1]) == pytest.approx(expected, rel=1e-5)
    content = ((X[1] - P[1]) ** 2).sum() / (P[1] ** 2).sum()
    found = content_relative(energy(tensor(X) - tensor(P)), energy(tensor(P)))
    assert float(found[1]) == pytest.approx(content, rel=1e-5)


def test_relative_style_gradient_is_finite_at_the_target() -> None:
    x = tensor(X).requires_grad_()
    style_relative(gram(x), gram(tensor(X))).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_total_variation_is_mean_squared_difference() -> None:
    down = ((X[0, :, 1:] - X[0, :, :-1]) ** 2).mean()
    across = ((X[0, :, :, 1:] - X[0, :, :, :-1]) ** 2).mean()
    assert float(total_variation(tensor(X))[0]) == pytest.approx(down + across, rel=1e-5)
