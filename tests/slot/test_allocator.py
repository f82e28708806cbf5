"""A CPU's worker keeps the memory that its steps let go of, where the C library can be told so."""

import ctypes
import sys
from types import SimpleNamespace

import pytest
import torch

from pipeline.slot import process
from pipeline.slot.allocator import keep_freed_memory


def library(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: found)


@pytest.mark.parametrize(
    ("most", "asked"),
    [
        (2**30, [(-3, 2**30), (-1, 2**30)]),
        (2**25, [(-3, 2**30), (-3, 2**25), (-1, 2**30)]),  # an earlier version of glibc
    ],
)
def test_freed_memory_is_kept(
    most: int, asked: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []

    def mallopt(what: int, size: int) -> int:
        said.append((what, size))
        return int(what == -1 or size <= most)

    library(monkeypatch, SimpleNamespace(mallopt=mallopt))
    assert keep_freed_memory() and said == asked


def test_another_c_library_or_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    library(monkeypatch, SimpleNamespace())
    assert not keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "win32")
    assert not keep_freed_memory()


@pytest.mark.parametrize(("device", "times"), [("cpu", 1), ("mps", 0)])
def test_only_a_cpus_worker_does(device: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(process, "keep_freed_memory", lambda: told.append(1))
    threads = torch.get_num_threads()
    process.settle(device)
    assert len(told) == times and torch.get_num_threads() == threads
