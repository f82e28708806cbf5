"""Errors of features and Grams against sums written out."""

import torch

from pipeline.distill import STYLE_TAPS
from pipeline.distill.loss import feature_errors, gram_errors
from pipeline.distill.recipe import TAPS
from pipeline.method import gram


def features(seed: int, count: int = 2) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {tap: torch.randn(count, 3, 4, 4, generator=draw) for tap in TAPS}


def test_a_feature_error_is_squared_error_over_energy() -> None:
    ours, theirs = features(0), features(1)
    errors = feature_errors(ours, theirs)
    assert set(errors) == set(TAPS)
    a, b = ours["conv4_2"].double(), theirs["conv4_2"].double()
    own = [float((x - y).square().sum() / y.square().sum()) for x, y in zip(a, b, strict=True)]
    assert abs(float(errors["conv4_2"]) - sum(own) / 2) < 1e-5
    assert all(float(error) == 0 for error in feature_errors(theirs, theirs).values())


def test_a_gram_error_is_each_pictures_own() -> None:
    ours, theirs = features(0), features(1)
    errors = gram_errors(ours, theirs)
    assert set(errors) == set(STYLE_TAPS)
    a, b = gram(ours["conv3_1"]), gram(theirs["conv3_1"])
    own = [float((x - y).square().sum() / y.square().sum()) for x, y in zip(a, b, strict=True)]
    assert abs(float(errors["conv3_1"]) - sum(own) / 2) < 1e-5


def test_a_nearly_empty_crop_does_not_outweigh_the_others() -> None:
    ours, theirs = features(0), features(1)
    for tap in TAPS:
        theirs[tap][0] *= 1e-3
    for errors in (gram_errors(ours, theirs), feature_errors(ours, theirs)):
        assert all(float(error) < 100 for error in errors.values())
