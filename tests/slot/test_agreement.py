"""Two devices compute the same, or it is noticed."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.method import onednn
from pipeline.slot import compare
from pipeline.slot.agreement import Agreement


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_cpu_agrees_with_itself(precision: str) -> None:
    found = compare("cpu", precision)
    assert found.agrees and (found.gradient == 0) == (precision == "fp32")


def test_a_convolution_that_is_a_little_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "__call__", 1.05)
    found = compare("cpu", "bf16")
    assert not found.agrees and found.losses > 0.01


def test_a_gradient_that_is_wrong_is_noticed_though_the_losses_are_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil(monkeypatch, "back", 0.9)
    found = compare("cpu", "bf16")
    assert not found.agrees and found.losses < 0.01


def spoil(patch: pytest.MonkeyPatch, name: str, factor: float) -> None:
    """Makes bfloat16 convolutions, or their gradients, wrong by a factor."""
    patch.setattr(onednn, "_operators", lambda dtype: True)  # a stand-in below: whatever CPU it is
    for kind in ("__call__", "back"):
        patch.setattr(onednn.Kernel, kind, convolving(kind, factor if kind == name else 1.0))


def convolving(kind: str, factor: float) -> Callable[[onednn.Kernel, Tensor], Tensor]:
    """What `Kernel` gives, of torch's own convolution."""

    def convolve(kernel: onednn.Kernel, x: Tensor) -> Tensor:
        way = kernel._onward if kind == "__call__" else kernel._back
        bias = kernel.bias if kind == "__call__" else None
        found = F.conv2d(x, way.plain(), bias, padding=way.padding)
        found = found.relu() if kind == "__call__" and kernel.then == "relu" else found
        found = found.contiguous(memory_format=torch.channels_last)
        return found * factor if x.dtype == torch.bfloat16 else found

    return convolve


def test_nan_agrees_with_nothing() -> None:
    nan = float("nan")
    assert not Agreement("cuda:0", "fp32", nan, 0.0).agrees
    assert not Agreement("cuda:0", "fp32", 0.0, nan).agrees
