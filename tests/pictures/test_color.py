"""Color modes against their formulas in float64."""

import numpy as np
import pytest
import torch

from pipeline.pictures import recolor_result, recolor_style
from pipeline.pictures.color import (
    TRANSFERS,
    grayscale,
    luminance,
    match_colors,
    match_luminance,
    with_chroma_of,
)

GENERATOR = torch.Generator().manual_seed(5)
CONTENT = torch.rand(3, 20, 30, generator=GENERATOR) * 0.4 + 0.3
MIX = torch.tensor([[0.5, 0.1, 0.0], [0.2, 0.3, 0.1], [0.0, 0.1, 0.6]])
STYLE = torch.einsum("dc,chw->dhw", MIX, torch.rand(3, 25, 18, generator=GENERATOR))
TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]]
)


def yiq(pixels: torch.Tensor) -> np.ndarray:
    return np.einsum("dc,chw->dhw", TO_YIQ, pixels.double().numpy())


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_colors_get_the_contents_mean_and_covariance(transfer: str) -> None:
    matched = match_colors(STYLE, CONTENT, transfer).flatten(1).double()
    inside = ((matched > 0) & (matched < 1)).all(0)
    assert float(inside.double().mean()) > 0.98  # what was clipped would change the moments
    wanted = CONTENT.flatten(1).double()
    torch.testing.assert_close(matched.mean(1), wanted.mean(1), rtol=0, atol=2e-3)
    torch.testing.assert_close(torch.cov(matched), torch.cov(wanted), rtol=0, atol=2e-3)


def test_cholesky_is_the_papers_matrix() -> None:
    a, b = (np.cov(v.flatten(1).double().numpy(), bias=True) for v in (STYLE, CONTENT))
    own = TRANSFERS["cholesky"](torch.tensor(a), torch.tensor(b)).numpy()
    wanted = np.linalg.cholesky(b) @ np.linalg.inv(np.linalg.cholesky(a))
    np.testing.assert_allclose(own, wanted, atol=1e-12)
    assert np.allclose(own, np.tril(own))


def test_image_analogies_moves_colors_least() -> None:
    """A = S_c^(1/2) S_s^(-1/2): the product of two symmetric matrices, each a root."""
    a, b = (np.cov(v.flatten(1).double().numpy(), bias=True) for v in (STYLE, CONTENT))
    own = TRANSFERS["image_analogies"](torch.tensor(a), torch.tensor(b)).numpy()
    np.testing.assert_allclose(own @ a @ own.T, b, atol=1e-10)
    values, vectors = np.linalg.eigh(a)
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    product = own @ root
    np.testing.assert_allclose(product, product.T, atol=1e-10)
    np.testing.assert_allclose(product @ product, b, atol=1e-10)


def test_pictures_of_one_color_can_be_matched() -> None:
    plain = torch.full((3, 8, 8), 0.25)
    assert bool(torch.isfinite(match_colors(plain, CONTENT, "cholesky")).all())
    assert bool(torch.isfinite(match_luminance(plain, CONTENT)).all())
    torch.testing.assert_close(match_colors(STYLE, plain, "cholesky").mean(), torch.tensor(0.25))


def test_luminance_gets_the_contents_mean_and_deviation() -> None:
    matched = match_luminance(STYLE, CONTENT)
    assert torch.equal(matched[0], matched[1]) and torch.equal(matched[0], matched[2])
    own, wanted = luminance(matched), luminance(CONTENT)
    torch.testing.assert_close(own.mean(), wanted.mean())
    torch.testing.assert_close(own.std(), wanted.std())


def test_chroma_is_kept_and_luminance_changed() -> None:
    result = grayscale(CONTENT * 0.9 + 0.05)
    joined = with_chroma_of(result, CONTENT)
    np.testing.assert_allclose(yiq(joined)[1:], yiq(CONTENT)[1:], atol=1e-6)
    np.testing.assert_allclose(yiq(joined)[0], yiq(result)[0], atol=1e-6)


def test_each_mode_touches_what_it_should() -> None:
    for color in ("style", "original_colors"):
        assert recolor_style(STYLE, CONTENT, color, "cholesky") is STYLE
    result = torch.rand(3, 20, 30, generator=GENERATOR)
    for color in ("style", "preserve_histogram"):
        assert recolor_result(result, CONTENT, color) is result
    for color in ("preserve_luminance", "original_colors"):
        kept = recolor_result(result * 0.2 + 0.4, CONTENT, color)
        np.testing.assert_allclose(yiq(kept)[1:], yiq(CONTENT)[1:], atol=1e-6)


def test_each_mode_has_its_style() -> None:
    for transfer in TRANSFERS:
        own = recolor_style(STYLE, CONTENT, "preserve_histogram", transfer)
        assert torch.equal(own, match_colors(STYLE, CONTENT, transfer))
    gray = recolor_style(STYLE, CONTENT, "preserve_luminance", "cholesky")
    assert torch.equal(gray, match_luminance(STYLE, CONTENT))
