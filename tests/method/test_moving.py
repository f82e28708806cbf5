"""On the way to a device: what is pinned, and what is there already."""

import pytest
import torch

from pipeline.method import moved


def test_a_gpu_is_handed_pinned_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []

    def pin(values: torch.Tensor) -> torch.Tensor:
        said.append(("pinned", values.dtype))
        return values

    def to(values: torch.Tensor, device: str, non_blocking: bool = False) -> torch.Tensor:
        said.append((device, non_blocking))
        return values

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    moved(torch.zeros(2, dtype=torch.uint8), "cuda:0")
    assert said == [("pinned", torch.uint8), ("cuda:0", True)]


def test_what_is_on_a_device_is_not_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what lies in memory can be."""

    def pin(values: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("cannot pin")

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", lambda values, device, **more: values)
    there = torch.zeros(2, device="meta")
    assert moved(there, "cuda:0") is there
    with pytest.raises(RuntimeError, match="cannot pin"):
        moved(torch.zeros(2), torch.device("cuda:0"))


def test_a_cpus_own_are_left_where_they_are() -> None:
    values = torch.zeros(2)
    assert moved(values, "cpu") is values
