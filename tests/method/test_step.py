"""One step's parts: the learning rates of a scale, each in its turn."""

import pytest
import torch
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method.scales import Scale
from pipeline.method.step import Rates

SCALE = Scale(64, 48, 1.0, 20, 0.5)
BEGUN = 7
JOBS = [
    Settings(learning_rate=0.1, learning_rate_end=0.25, warmup=12),
    Settings(learning_rate=0.3, learning_rate_end=1.0, warmup=0),
    Settings(learning_rate=0.02, learning_rate_end=0.01, warmup=30),
]


def by_hand(job: Settings, done: int) -> float:
    falling = 1 + (job.learning_rate_end - 1) * done / SCALE.steps
    rising = min(1.0, (BEGUN + done + 1) / max(1, job.warmup))
    return job.learning_rate * SCALE.rate * falling * rising


def wanted(done: int, rows: list[int]) -> Tensor:
    return torch.tensor([by_hand(JOBS[row], done) for row in rows])


def test_rates_rise_over_the_warm_up_and_fall_over_the_scale() -> None:
    rates = Rates.of(JOBS, SCALE, BEGUN, torch.device("cpu"))
    for done in range(SCALE.steps):
        torch.testing.assert_close(rates.next(), wanted(done, [0, 1, 2]))


@pytest.mark.parametrize("rows", [[0, 1, 2], [2], [0, 2]])
def test_they_go_on_in_the_middle_for_those_that_are_left(rows: list[int]) -> None:
    rates = Rates.of(JOBS, SCALE, BEGUN, torch.device("cpu"))
    for _ in range(5):
        rates.next()
    left = rates.select(torch.tensor(rows))
    later = Rates.of(JOBS, SCALE, BEGUN, torch.device("cpu")).after(5)
    for done in range(5, 9):
        torch.testing.assert_close(left.next(), wanted(done, rows))
        torch.testing.assert_close(later.next(), wanted(done, [0, 1, 2]))
    torch.testing.assert_close(rates.next(), wanted(5, [0, 1, 2]))  # on their own
