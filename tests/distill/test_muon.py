"""Muon's updates."""

import torch

from pipeline.distill.muon import Muon, _orthogonal


def test_an_update_has_nearly_equal_singular_values() -> None:
    draw = torch.Generator().manual_seed(0)
    for shape in ((8, 36), (16, 27)):
        matrix = torch.randn(shape, generator=draw)
        before, after = torch.linalg.svdvals(matrix), torch.linalg.svdvals(_orthogonal(matrix))
        assert before.max() / before.min() > 2
        assert after.min() > 0.6 and after.max() < 1.3


def test_steps_go_downhill_and_take_the_momentum_along() -> None:
    draw = torch.Generator().manual_seed(0)
    kernel = torch.nn.Parameter(torch.randn(8, 4, 3, 3, generator=draw))
    optimizer = Muon([kernel], lr=0.1)
    losses = []
    for _ in range(20):
        loss = kernel.square().sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses == sorted(losses, reverse=True)
    assert set(optimizer.state[kernel]) == {"velocity"}


def test_tall_kernels_move_further() -> None:
    moved = []
    for rows in (9, 36):
        kernel = torch.nn.Parameter(torch.zeros(rows, 1, 3, 3))
        kernel.grad = torch.eye(rows, 9).view(rows, 1, 3, 3)
        Muon([kernel], lr=1.0).step()
        moved.append(float(torch.linalg.matrix_norm(kernel.detach().flatten(1), 2)))
    assert abs(moved[1] / moved[0] - 2) < 0.01
