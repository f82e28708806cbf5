"""Devices, and shares of the CPU."""

from collections.abc import Sequence
from pathlib import Path

import gpus
import pytest
import torch

from pipeline.errors import DeviceError
from pipeline.schedule import examine_devices, find_slots, share_cpu, threads_per_slot
from pipeline.schedule.slots import limit_of
from pipeline.slot import Health, RunContext, available_cores, batch_limit, own_environment
from pipeline.slot.precision import auto_precision
from pipeline.slot.process import Process
from pipeline.slot.seat import take_seat


@pytest.fixture
def sick(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Why devices cannot be used, as a test sets it; all others can."""
    why: dict[str, str] = {}

    def ask(devices: Sequence[str]) -> list[Health]:
        return [Health(device, "A card", problem=why.get(device, "")) for device in devices]

    monkeypatch.setattr("pipeline.schedule.slots.ask_devices", ask)
    monkeypatch.setattr("pipeline.schedule.slots.cards", lambda: [])
    return why


def test_devices_are_checked_and_cores_shared() -> None:
    assert find_slots("cpu,cpu").slots == ("cpu", "cpu")
    with pytest.raises(DeviceError, match="cuda:99"):
        find_slots("cpu,cuda:99")
    assert threads_per_slot(("cpu",)) == 0
    assert share_cpu(("cuda:0",), 100, 1e6) == ("cuda:0",)
    assert share_cpu(("cpu",), 1, 1e6) == ("cpu",)
    assert len(share_cpu(("cpu",), 10**6, 1e6)) <= available_cores()
    assert share_cpu(("cpu",), 10**6, 1e15) == ("cpu",)
    assert threads_per_slot(("cpu",) * 64) == 1


@pytest.mark.parametrize(
    ("slots", "threads"),
    [
        (("cpu",), 0),
        (("cuda:0", "cuda:1"), 0),
        (("cpu", "cpu"), 8),
        (("cuda:0", "cpu"), 15),
        (("cuda:0", "cuda:1", "cpu", "cpu"), 7),
        (("mps", "cpu"), 15),
        ((*("cuda:0",) * 16, "cpu"), 1),
    ],
)
def test_a_core_is_left_for_each_gpu(
    slots: tuple[str, ...], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.schedule.slots.available_cores", lambda: 16)
    assert threads_per_slot(slots) == threads


def test_every_gpu_is_a_slot_and_words_choose(
    sick: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.install(monkeypatch, *[gpus.H100] * 3)
    assert find_slots("auto") == (("cuda:0", "cuda:1", "cuda:2"), ())
    assert find_slots("cuda, cuda:2,cpu").slots == ("cuda:0", "cuda:2", "cpu")
    assert find_slots("cuda:1,cuda:1").slots == ("cuda:1", "cuda:1")
    with pytest.raises(DeviceError, match="cuda:3 is not on this machine; there are cpu, cuda:0"):
        find_slots("cuda:3")


def test_torch_is_asked_only_where_there_may_be_a_gpu(
    sick: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.install(monkeypatch, *[gpus.H100] * 3)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("pipeline.schedule.slots._GPU_FILES", ("/nowhere",))
    assert find_slots("auto") == find_slots("cpu") == (("cpu",), ())
    assert examine_devices() == ([], None)
    monkeypatch.setattr("pipeline.schedule.slots._GPU_FILES", ("/nowhere", "/"))
    assert find_slots("cpu,cpu").slots == ("cpu", "cpu") and len(find_slots("auto").slots) == 3
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("pipeline.schedule.slots._GPU_FILES", ())
    assert len(find_slots("auto").slots) == 3


def test_apples_gpu_comes_before_the_cpu(
    sick: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.install(monkeypatch)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert find_slots("auto").slots == ("mps",) and find_slots("mps,cpu").slots == ("mps", "cpu")


# --- devices that cannot be used ------------------------------------------------------------------


def test_a_sick_gpu_is_left_out_with_the_reason_and_an_error_by_name(
    sick: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.install(monkeypatch, *[gpus.H100] * 3)
    sick["cuda:1"] = "CUDA error: an illegal memory access"
    slots, left_out = find_slots("auto")
    assert slots == ("cuda:0", "cuda:2")
    assert left_out == ("left out: cuda:1 (A card): CUDA error: an illegal memory access",)
    assert find_slots("cuda:0,cuda:2") == (("cuda:0", "cuda:2"), ())
    with pytest.raises(DeviceError, match=r"--devices cuda:1,cpu: cuda:1 \(A card\): CUDA error"):
        find_slots("cuda:1,cpu")
    assert find_slots("auto", examines=False) == (("cuda:0", "cuda:1", "cuda:2"), ())
    assert [health.problem for health in examine_devices()[0]] == ["", sick["cuda:1"], ""]


def test_where_all_gpus_are_sick_the_cpu_is_taken(
    sick: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.install(monkeypatch, gpus.T4)
    sick["cuda:0"] = "its driver is too old"
    slots, left_out = find_slots("auto")
    assert slots == ("cpu",) and len(left_out) == 1


def test_torch_without_cuda_beside_a_card_is_told_with_the_cure(
    sick: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip installs it on Windows."""
    gpus.install(monkeypatch)
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr("pipeline.schedule.slots.cards", lambda: [("RTX 4090", "8.9")])
    slots, (left_out,) = find_slots("auto")
    assert slots == ("cpu",) and left_out.startswith("left out: RTX 4090: this torch (")
    cure = "pip install --force-reinstall torch torchvision --index-url"
    assert "is built without CUDA" in left_out and cure in left_out
    with pytest.raises(DeviceError, match=f"there are cpu. RTX 4090: .*{cure}"):
        find_slots("cuda:0")
    assert find_slots("cpu") == (("cpu",), ())
    found, unseen = examine_devices()
    assert not found and unseen is not None and cure in unseen.mend


def test_a_card_that_torch_does_not_count_is_asked_why(
    sick: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.install(monkeypatch)
    monkeypatch.setattr("pipeline.schedule.slots.cards", lambda: [("RTX 4090", "8.9")])
    sick["cuda:0"] = "The NVIDIA driver on your system is too old"
    assert find_slots("auto").slots == ("cpu",)
    assert "driver" in find_slots("auto").left_out[0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # hidden on purpose
    assert find_slots("auto") == (("cpu",), ())


# --- machines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "visible", "own", "precision"),
    [
        ([gpus.RTX_4090], None, ["0"], "bf16"),
        ([gpus.H100] * 8, None, list("01234567"), "bf16"),
        ([gpus.T4], None, ["0"], "fp16"),
        ([gpus.H100] * 2, "4,5", ["4", "5"], "bf16"),
        ([gpus.MIG_SLICE], "MIG-aa,MIG-bb,MIG-cc", ["MIG-aa", "MIG-bb", "MIG-cc"], "bf16"),
        ([], "MIG-aa", ["MIG-aa"], "bf16"),  # of slices torch asks CUDA itself
    ],
    ids=["one 4090", "eight H100", "a T4", "two of eight", "three slices", "a slice"],
)
def test_each_machine_is_shared_out(
    cards: list[gpus.Card], visible: str | None, own: list[str], precision: str,
    sick: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its slots, and in each one's process the card, its precision and its memory."""
    gpus.install(monkeypatch, *cards)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    slots, left_out = find_slots("auto")
    assert slots == tuple(f"cuda:{index}" for index in range(len(own))) and not left_out
    assert threads_per_slot(slots) == 0 and share_cpu(slots, 10**6, 1e6) == slots
    assert [own_environment(slot)["CUDA_VISIBLE_DEVICES"] for slot in slots] == own
    assert limit_of(slots)(512, 384) == 64

    card = cards[0] if cards else gpus.MIG_SLICE
    gpus.install(monkeypatch, card)  # as its worker sees it
    for name in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda device: 0)
    context = RunContext(tmp_path, tmp_path, "lite", None, None, slots=slots, isolated=True)
    seat = take_seat(context, len(slots) - 1, Process())
    assert (seat.device, seat.label) == ("cuda:0", slots[-1])
    assert auto_precision(seat.device) == precision
    assert seat.budget() == pytest.approx(0.9 * (card.memory - 1) * gpus.GIB)


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


@pytest.mark.parametrize(
    ("slots", "limit"), [(("cuda:0", "cpu"), 64), (("cpu", "cpu"), 6), ((), 6), (("mps",), 6)]
)
def test_batches_are_packed_for_the_largest_slot(slots: tuple[str, ...], limit: int) -> None:
    assert limit_of(slots)(256, 256) == limit
