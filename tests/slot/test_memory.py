"""How much memory there is."""

import math
import os
from pathlib import Path

import pytest
import torch

from pipeline.slot import PROCESS_BYTES, SHARE, budget, total_memory


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "limit").write_text("5000000000\n")
    (tmp_path / "none").write_text("max\n")
    names = tuple(str(tmp_path / name) for name in ("limit", "none", "gone"))
    monkeypatch.setattr("pipeline.slot.memory._CGROUP_LIMITS", names)
    monkeypatch.setattr(os, "sysconf", lambda name: 10**6 if "PHYS" in name else 10**4)
    assert total_memory() == 5 * 10**9
    assert budget("cpu", 2) == SHARE * 5e9 / 2 - PROCESS_BYTES


def test_a_system_that_does_not_say_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf_names", {})
    assert total_memory() == 0 and budget("cpu", 4) == math.inf


def test_apples_gpu_has_what_the_system_recommends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 1000)
    assert budget("mps", 1) == SHARE * 1000 and budget("mps", 2) == SHARE * 500


def test_a_gpus_free_memory_counts_with_what_torch_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (800, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 150)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 50)
    assert budget("cuda:0", 1) == 0.9 * 900
    assert budget("cuda:0", 2) == 0.9 * 500  # the other slot has not yet begun to take its own
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    assert budget("cuda:0", 2) == 0.9 * 200
