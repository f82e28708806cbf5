"""How much memory there is."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline.slot import PROCESS_BYTES, SHARE, budget, total_memory


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "limit").write_text("5000000000\n")
    (tmp_path / "none").write_text("max\n")
    names = tuple(str(tmp_path / name) for name in ("limit", "none", "gone"))
    monkeypatch.setattr("pipeline.slot.memory._CGROUP_LIMITS", names)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=10**10))
    assert total_memory() == 5 * 10**9
    assert budget("cpu", 2) == SHARE * 5e9 / 2 - PROCESS_BYTES


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="Linux says it there")
def test_memory_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.slot.memory._CGROUP_LIMITS", ())
    said = Path("/proc/meminfo").read_text().split()
    assert total_memory() == 1024 * int(said[said.index("MemTotal:") + 1])


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
