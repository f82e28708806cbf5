"""The judge of pictures, against its formulas written out in float64."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import judge

RNG = np.random.default_rng(0)


def features(layers: tuple[str, ...], seed: int, size: tuple[int, int]) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {layer: torch.rand(7, *size, generator=draw) for layer in layers}


def test_a_style_error_is_the_mean_relative_distance_of_grams() -> None:
    found = features(judge.STYLE_LAYERS, 0, (4, 5))
    style = features(judge.STYLE_LAYERS, 1, (6, 3))
    expected = 0.0
    for layer in judge.STYLE_LAYERS:
        a, b = (f[layer].flatten(1).double().numpy() for f in (found, style))
        ours, wanted = a @ a.T / a.shape[1], b @ b.T / b.shape[1]
        expected += np.linalg.norm(ours - wanted) / np.linalg.norm(wanted) / 5
    assert judge.style_error(found, style) == pytest.approx(expected, rel=1e-5)
    assert judge.style_error(style, style) == 0


def test_a_sliced_distance_compares_quantiles_of_projections() -> None:
    found = features(judge.SLICED_LAYERS, 0, (16, 16))
    style = features(judge.SLICED_LAYERS, 1, (16, 16))
    expected = 0.0
    for layer in judge.SLICED_LAYERS:
        draw = torch.Generator().manual_seed(7)
        directions = torch.randn(64, 7, generator=draw).numpy()
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        a, b = (np.sort(directions @ f[layer].flatten(1).numpy()) for f in (found, style))
        expected += np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)) / 4
    assert judge.sliced_distance(found, style) == pytest.approx(expected, rel=1e-4)


def test_a_sliced_distance_does_not_see_how_many_positions_there_are() -> None:
    style = features(judge.SLICED_LAYERS, 1, (16, 16))
    doubled = {layer: f.repeat(1, 2, 1) for layer, f in style.items()}
    assert judge.sliced_distance(doubled, style) < 0.02


def test_a_content_error_is_squared_error_over_energy() -> None:
    found, content = (features((judge.CONTENT_LAYER,), seed, (4, 5)) for seed in (0, 1))
    a, b = (f[judge.CONTENT_LAYER].double() for f in (found, content))
    expected = float((a - b).square().sum() / b.square().sum())
    assert judge.content_error(found, content) == pytest.approx(expected, rel=1e-5)


def test_a_picture_is_its_own_content_and_its_own_style(picture: Callable[..., Path]) -> None:
    content, style = picture("c.png", 1), picture("s.png", 2)
    judged = judge.Judge(side=64)
    own = judged.score(content, content, style)
    assert own.content == 0 and own.style > 0
    assert judged.score(style, content, style).style == 0
    other = judged.score(torch.rand(3, 48, 64), content, style)
    assert other.over(other) == judge.Figures(1, 1, 1)


def test_medians_and_percentiles() -> None:
    many = [judge.Figures(float(n), 2.0 * n, 1.0) for n in (3, 1, 2)]
    assert judge.medians(many) == judge.Figures(2.0, 4.0, 1.0)
    assert judge.percentile([1.0, 2.0, 3.0], 0.95) == pytest.approx(2.9)
