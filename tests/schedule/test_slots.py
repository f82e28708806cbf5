"""Devices, and shares of the CPU."""

import pytest
import torch

from pipeline.errors import DeviceError
from pipeline.schedule import available_cores, find_slots, share_cpu, threads_per_slot
from pipeline.schedule.slots import batch_limit


def test_devices_are_checked_and_cores_shared() -> None:
    assert find_slots("cpu,cpu") == ("cpu", "cpu")
    with pytest.raises(DeviceError, match="cuda:99"):
        find_slots("cpu,cuda:99")
    assert threads_per_slot(("cpu",)) == 0
    assert share_cpu(("cuda:0",), 100, 1e6) == ("cuda:0",)
    assert share_cpu(("cpu",), 1, 1e6) == ("cpu",)
    assert len(share_cpu(("cpu",), 10**6, 1e6)) <= available_cores()
    assert share_cpu(("cpu",), 10**6, 1e15) == ("cpu",)
    assert threads_per_slot(("cpu",) * 64) == 1


def test_every_gpu_is_a_slot_and_words_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.schedule.slots._GPU_FILES", ("/",))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert find_slots("auto") == ("cuda:0", "cuda:1", "cuda:2")
    assert find_slots("cuda, cuda:2,cpu") == ("cuda:0", "cuda:2", "cpu")
    with pytest.raises(DeviceError, match="cuda:3 is not on this machine; there are cpu, cuda:0"):
        find_slots("cuda:3")


def test_torch_is_asked_only_where_there_may_be_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("pipeline.schedule.slots._GPU_FILES", ("/nowhere",))
    assert find_slots("auto") == find_slots("cpu") == ("cpu",)
    monkeypatch.setattr("pipeline.schedule.slots._GPU_FILES", ("/nowhere", "/"))
    assert find_slots("cpu,cpu") == ("cpu", "cpu") and len(find_slots("auto")) == 3
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("pipeline.schedule.slots._GPU_FILES", ())
    assert len(find_slots("auto")) == 3


def test_apples_gpu_comes_before_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.schedule.slots._GPU_FILES", ("/",))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert find_slots("auto") == ("mps",) and find_slots("mps,cpu") == ("mps", "cpu")


def test_where_the_system_does_not_say_memory_one_worker_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.schedule.slots.total_memory", lambda: 0)
    assert share_cpu(("cpu",), 100, 1e6) == ("cpu",)


def test_cores_are_counted_also_where_no_share_of_them_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert available_cores() == 1


@pytest.mark.parametrize(
    ("device", "side", "limit"),
    [
        ("cuda:0", 256, 64),
        ("cuda:0", 1024, 16),
        ("cuda:0", 8192, 1),
        ("cpu", 256, 6),
        ("cpu", 64, 16),
    ],
)
def test_batches_have_a_limit(device: str, side: int, limit: int) -> None:
    assert batch_limit(device, side, side) == limit
