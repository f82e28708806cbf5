"""The losses of some steps, job by job."""

from typing import Any

import pytest
import torch

from pipeline.method import Losses, Step
from pipeline.slot.curves import Curves


def step(number: int, total: int = 4) -> Step:
    """Of two jobs; part p of job j is 10 j + p + a tenth of the step."""
    parts = torch.tensor([[p + number / 10, 10 + p + number / 10] for p in range(6)])
    run: Any = None
    return Step(number, total, 0, Losses(parts[:5], parts[5]), run)


def test_each_job_has_its_own_losses_of_each_step() -> None:
    first: Any = {"step": 1, "content": 5.0, "style": 6.0, "tv": 7.0, "total": 8.0}
    curves = Curves([[], [first]])
    for number in (2, 4):
        curves.add(step(number))
    one, other = curves.values()
    assert other[0] == first
    for points, base in ((one, 0), (other[1:], 10)):
        assert [point["step"] for point in points] == [2, 4]
        for point in points:
            names = ("content", "style", "neighbors", "tv", "temporal", "total")
            wanted = [base + p + point["step"] / 10 for p in range(6)]
            assert [point[name] for name in names] == pytest.approx(wanted)  # type: ignore[literal-required]


def test_terms_that_are_not_there_have_no_curve() -> None:
    losses = Losses(torch.tensor([[1.0], [2.0], [0.0], [3.0], [0.0]]), torch.tensor([6.0]))
    curves = Curves([[]])
    run: Any = None
    curves.add(Step(1, 1, 0, losses, run))
    assert curves.values() == [[{"step": 1, "content": 1, "style": 2, "tv": 3, "total": 6}]]


def test_before_a_step_there_is_what_was_before() -> None:
    point: Any = {"step": 1, "content": 1.0, "style": 1.0, "tv": 0.0, "total": 2.0}
    assert Curves([[point], []]).values() == [[point], []]


def test_of_many_steps_about_fifty_are_kept() -> None:
    curves = Curves([[], []])
    for number in range(1, 502):
        curves.add(step(number, 501))
    numbers = [point["step"] for point in curves.values()[0]]
    assert numbers == [1, *range(10, 501, 10), 501]
