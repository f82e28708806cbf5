"""Two devices compute the same, or it is noticed."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.slot import compare
from pipeline.slot.agreement import Agreement


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_cpu_agrees_with_itself(precision: str) -> None:
    found = compare("cpu", precision)
    assert found.agrees and (found.gradient == 0) == (precision == "fp32")


def test_a_convolution_that_is_a_little_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = F.conv2d

    def wrong(x: Tensor, *more: object, **named: object) -> Tensor:
        found: Tensor = right(x, *more, **named)  # type: ignore[call-overload]
        return found * 1.05 if x.dtype == torch.bfloat16 else found

    monkeypatch.setattr(F, "conv2d", wrong)
    found = compare("cpu", "bf16")
    assert not found.agrees and found.losses > 0.01


def test_a_gradient_that_is_wrong_is_noticed_though_the_losses_are_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = F.relu

    def wrong(x: Tensor, inplace: bool = False) -> Tensor:
        found = right(x, inplace)
        if x.requires_grad and x.dtype == torch.bfloat16:
            found.register_hook(lambda gradient: gradient * 0.9)
        return found

    monkeypatch.setattr(F, "relu", wrong)
    found = compare("cpu", "bf16")
    assert not found.agrees and found.losses < 0.01


def test_nan_agrees_with_nothing() -> None:
    nan = float("nan")
    assert not Agreement("cuda:0", "fp32", nan, 0.0).agrees
    assert not Agreement("cuda:0", "fp32", 0.0, nan).agrees
