"""Warping, occlusions and the temporal loss, against formulas in float64 and cases made by hand."""

import numpy as np
import pytest
import torch

from pipeline.method import (
    Before,
    consistency,
    disoccluded,
    flicker,
    motion_boundaries,
    warp,
)
from pipeline.method.losses.temporal import temporal_loss


def flow_of(across: float, down: float, height: int = 12, width: int = 16) -> torch.Tensor:
    return (
        torch.tensor([float(across), float(down)])
        .view(1, 2, 1, 1)
        .expand(1, 2, height, width)
        .clone()
    )


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_whole_pixels_are_moved_as_they_are(mode: str) -> None:
    image = torch.rand(1, 3, 12, 16)
    moved = warp(image, flow_of(2, -1), mode)
    assert torch.allclose(moved[:, :, 3:10, 2:11], image[:, :, 2:9, 4:13], atol=1e-5)


def test_parts_of_pixels_are_between_their_neighbors() -> None:
    image = torch.rand(1, 3, 12, 16)
    expected = 0.75 * image[:, :, :, :-1] + 0.25 * image[:, :, :, 1:]
    assert torch.allclose(warp(image, flow_of(0.25, 0))[..., :-1], expected, atol=1e-5)


def test_beyond_the_edge_is_the_edge_and_not_to_be_trusted() -> None:
    image = torch.rand(1, 3, 12, 16)
    backward = flow_of(3, 0)  # what enters at the right was not there before
    moved = warp(image, backward)
    assert torch.allclose(moved[..., -2:], image[..., -1:].expand(1, 3, 12, 2), atol=1e-6)
    hidden = disoccluded(-backward, backward)
    assert hidden[..., -3:].all() and not hidden[..., :-3].any()


def test_what_an_object_uncovers_was_not_there_before() -> None:
    """A square of 4 px goes 3 px to the right over a still ground: it uncovers 3 columns."""
    height, width = 16, 24
    forward, backward = (torch.zeros(1, 2, height, width) for _ in range(2))
    forward[:, 0, 6:10, 5:9] = 3.0
    backward[:, 0, 6:10, 8:12] = -3.0
    hidden = disoccluded(forward, backward)[0, 0]
    expected = torch.zeros(height, width, dtype=torch.bool)
    expected[6:10, 5:8] = True
    assert torch.equal(hidden, expected)


def test_boundaries_of_motion_are_equation_6() -> None:
    draw = torch.Generator().manual_seed(1)
    backward = torch.randn(1, 2, 9, 11, dtype=torch.float64, generator=draw) * 0.05
    found = motion_boundaries(backward)[0, 0].numpy()
    u, v = backward[0].numpy()
    slopes = [s for part in (u, v) for s in np.gradient(part)]
    steep = sum(s**2 for s in slopes)
    assert (found == (steep > 0.01 * (u**2 + v**2) + 0.002)).all()
    assert found.any() and not found.all()


def test_disocclusion_is_equation_5() -> None:
    draw = torch.Generator().manual_seed(1)
    forward, backward = (
        torch.randint(-1, 2, (1, 2, 9, 11), generator=draw).double() for _ in range(2)
    )
    found = disoccluded(forward, backward)[0, 0].numpy()
    w, b = forward[0].numpy(), backward[0].numpy()
    for y in range(1, 8):
        for x in range(1, 10):
            there = w[:, y + int(b[1, y, x]), x + int(b[0, y, x])]
            here = b[:, y, x]
            apart = ((there + here) ** 2).sum()
            assert found[y, x] == (apart > 0.01 * ((there**2).sum() + (here**2).sum()) + 0.5)


def test_a_still_picture_is_trusted_everywhere() -> None:
    still = torch.zeros(1, 2, 8, 8)
    assert consistency(still, still).eq(1).all()


def test_the_temporal_loss_is_equation_7() -> None:
    draw = np.random.default_rng(0)
    x, omega = draw.random((2, 3, 5, 7)), draw.random((2, 3, 5, 7))
    c = draw.integers(0, 2, (2, 1, 5, 7)).astype(float)
    images = torch.tensor(x, requires_grad=True)
    loss = temporal_loss(images, Before(torch.tensor(omega), torch.tensor(c)))
    expected = (c * (x - omega) ** 2).reshape(2, -1).sum(1) / (3 * 5 * 7)
    assert loss.detach().numpy() == pytest.approx(expected, rel=1e-12)
    (gradient,) = torch.autograd.grad(loss.sum(), images)
    assert gradient.numpy() == pytest.approx(2 * c * (x - omega) / 105, rel=1e-12)


def test_flicker_counts_only_what_is_trusted() -> None:
    x, before = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5)
    weights = torch.zeros(1, 1, 4, 4)
    assert float(flicker(x, before, weights)) == 0
    weights[..., 0, :] = 1
    before[:, :, 0] = 0.25
    assert float(flicker(x, before, weights)) == pytest.approx(0.25)


def test_what_was_before_shrinks_with_the_scale() -> None:
    before = Before(torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8))
    before.weights[..., :4] = 0
    half = before.at(4, 4)
    assert half.moved.shape == (1, 3, 4, 4)
    assert torch.equal(half.weights[0, 0, 0], torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert before.at(8, 8) is before
