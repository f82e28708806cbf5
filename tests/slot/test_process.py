"""What a worker process keeps, and where it sits."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gpus
import pytest
import torch
from filelock import FileLock
from worlds import until

from pipeline.errors import DeviceError, ImageError, WeightsError
from pipeline.manifest import Settings
from pipeline.plan import ContentKey
from pipeline.slot import Health, RunContext, network_type, use_precision
from pipeline.slot.ahead import FILE_THREADS, ReadAhead, StylePixels, StylesAhead
from pipeline.slot.contents import read_content
from pipeline.slot.messages import NetworkFiles
from pipeline.slot.precision import precision_notices
from pipeline.slot.process import Process, settle
from pipeline.slot.seat import Seat, take_seat
from pipeline.slot.visible import allocator_environment


def context(folder: Path, **more: object) -> RunContext:
    return RunContext(folder, folder / "cache", "lite", None, None, **more)  # type: ignore[arg-type]


def test_networks_are_kept_until_they_are_let_go(tmp_path: Path) -> None:
    process, where = Process(), context(tmp_path)

    def get(**settings: object):  # type: ignore[no-untyped-def]
        chosen = Settings(**settings)  # type: ignore[arg-type]
        return process.networks.get(where, chosen, torch.float32, "cpu")

    first = get()
    assert get(seed=1) is first and get(pooling="max") is not first
    process.forget()
    assert get() is not first


def test_the_digest_is_that_of_the_network_that_a_job_names(tmp_path: Path) -> None:
    gone = NetworkFiles("lite", tmp_path / "gone.safetensors")
    process, where = Process(), context(tmp_path, others={"vgg19": gone})
    own = process.networks.get(where, Settings(), torch.float32, "cpu")
    assert process.networks.digest(where, Settings()) == own.digest
    with pytest.raises(WeightsError, match="no such weight file"):
        process.networks.digest(where, Settings(backbone="vgg19"))


def test_weights_that_are_gone_say_so(tmp_path: Path) -> None:
    where = RunContext(tmp_path, tmp_path, "lite", tmp_path / "gone.safetensors", None)
    with pytest.raises(WeightsError, match="no such weight file"):
        Process().networks.get(where, Settings(), torch.float32, "cpu")


class Cuda:
    """Two made-up GPUs."""

    @staticmethod
    def device_count() -> int:
        return 2

    @staticmethod
    def get_device_properties(index: int) -> SimpleNamespace:
        return SimpleNamespace(uuid=f"made-up-{index}")


def test_workers_of_a_host_take_a_gpu_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.slot.process.tempfile.gettempdir", lambda: str(tmp_path))
    for name in ("device_count", "get_device_properties"):
        monkeypatch.setattr(torch.cuda, name, getattr(Cuda, name))
    sick: list[str] = []

    def ask(devices: list[str]) -> list[Health]:
        return [Health(d, problem="broken" if d in sick else "") for d in devices]

    monkeypatch.setattr("pipeline.slot.process.ask_devices", ask)
    settled: list[str] = []
    monkeypatch.setattr("pipeline.slot.process.settle", settled.append)
    first, second = Process(), Process()
    assert first.own_device() == first.own_device() == "cuda:0"
    held = FileLock(tmp_path / f"nst-{os.getuid()}-made-up-1.lock")
    with held:
        assert second.own_device() == "cpu"  # both are taken
    third = Process()
    assert third.own_device() == "cuda:1"
    for process in (first, third):
        process.held[0].release()
    sick.append("cuda:0")
    fourth = Process()
    assert fourth.own_device() == "cuda:1"  # and nobody else tries the broken one
    assert len(fourth.held) == 2 and Process().own_device() == "cpu"
    assert settled == ["cuda:0", "cuda:1", "cuda:1"]  # each once


def test_a_card_that_broke_too_often_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.slot.process.tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("pipeline.slot.process.ask_devices", lambda asked: [Health(asked[0])])
    monkeypatch.setattr("pipeline.slot.process.settle", lambda device: None)
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    for name in ("device_count", "get_device_properties"):
        monkeypatch.setattr(torch.cuda, name, getattr(Cuda, name))
    both = [f"host, GPU made-up-{index}" for index in range(2)]
    first, second, third = Process(), Process(), Process()
    assert (first.own_device(shunned=both[:1]), first.card) == ("cuda:1", both[1])
    assert (first.own_device(shunned=both), first.card) == ("cpu", "")  # since then, too
    assert (second.own_device("cuda"), second.card) == ("cuda:0", both[0])
    assert (second.own_device("cuda", both[:1]), second.card) == ("cpu", "")
    assert (third.own_device("mps"), third.card) == ("mps", "")


def test_a_clusters_worker_tells_the_allocator_before_torch_is_loaded(tmp_path: Path) -> None:
    """In a process of its own: what it says of itself when a batch begins there."""
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from pipeline.slot import RunContext, own_card, work_batch\n"
        "class Loaded:\n"
        "    def find_spec(self, name, *others):\n"
        "        if name == 'torch':\n"
        "            print(os.environ.get('PYTORCH_CUDA_ALLOC_CONF'), own_card() == '')\n"
        "            raise SystemExit\n"
        "sys.meta_path.insert(0, Loaded())\n"
        "work_batch(RunContext(Path('.'), Path('.'), 'lite', None, None), None, None)\n"
    )
    outer = {name: said for name, said in os.environ.items() if "ALLOC_CONF" not in name}
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**outer, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    told = allocator_environment().get("PYTORCH_CUDA_ALLOC_CONF")
    assert ran.stdout == f"{told} True\n"


def test_two_users_do_not_meet_in_a_lock_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a shared folder one may not open the other's."""
    monkeypatch.setattr("pipeline.slot.process.tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("pipeline.slot.process.ask_devices", lambda asked: [Health(asked[0])])
    monkeypatch.setattr("pipeline.slot.process.settle", lambda device: None)
    for name in ("device_count", "get_device_properties"):
        monkeypatch.setattr(torch.cuda, name, getattr(Cuda, name))
    first, second, third = Process(), Process(), Process()
    monkeypatch.setattr("os.getuid", lambda: 1)
    assert first.own_device() == "cuda:0"
    monkeypatch.setattr("os.getuid", lambda: 2)
    assert second.own_device() == "cuda:0"
    monkeypatch.delattr("os.getuid")  # Windows, where each has a folder of their own
    assert third.own_device() == "cuda:0"
    assert len({process.held[0].lock_file for process in (first, second, third)}) == 3


def test_a_seat_is_a_slots_or_a_cluster_workers_own(tmp_path: Path) -> None:
    where = context(tmp_path, slots=("cpu", "cuda:1"), devices="cuda:3, cuda:4")
    assert take_seat(where, 1, Process()).device == "cuda:1"
    assert take_seat(where, None, Process()).device == "cuda:3"
    assert "-" in take_seat(where, None, Process()).name
    alone = take_seat(context(tmp_path), None, Process())
    assert alone.device == ("cuda:0" if torch.cuda.is_available() else "cpu")


def test_a_worker_that_sees_one_gpu_calls_it_by_its_own_name_alone(tmp_path: Path) -> None:
    where = context(tmp_path, slots=("cuda:3", "cpu", "mps"), isolated=True)
    seats = [take_seat(where, slot, Process()) for slot in range(3)]
    assert [(seat.device, seat.label) for seat in seats] == [
        ("cuda:0", "cuda:3"), ("cpu", "cpu"), ("mps", "mps"),
    ]  # fmt: skip


def test_slots_of_one_gpu_share_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus.install(monkeypatch, gpus.H100)
    for name in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda device: 0)
    where = context(tmp_path, slots=("cuda:5", "cuda:1", "cuda:5"), isolated=True)
    budgets = [take_seat(where, slot, Process()).budget() / gpus.GIB for slot in range(3)]
    assert budgets == pytest.approx([0.9 * 40, 0.9 * 79, 0.9 * 40])


def test_a_gpus_worker_takes_one_thread_and_the_cores_near_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.install(monkeypatch, replace(gpus.H100, bus=0x3B))
    (tmp_path / "0000:3b:00.0").mkdir()
    (tmp_path / "0000:3b:00.0/local_cpulist").write_text("0-3,16-19\n")
    monkeypatch.setattr("pipeline.slot.cores._PCI", tmp_path)
    threads, kept = list[int](), list[set[int]]()
    allowed = {2, 3, 4, 16}
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: allowed, raising=False)
    monkeypatch.setattr(
        "os.sched_setaffinity", lambda pid, cores: kept.append(cores), raising=False
    )
    settle("cuda:0")
    assert threads == [1] and kept == [{2, 3, 16}]
    assert Process().cores == 4
    allowed -= {2, 3, 16}  # none of those near it
    settle("cuda:0")
    gpus.install(monkeypatch, replace(gpus.H100, bus=0x3C))  # of which /sys says nothing
    settle("cuda:0")
    settle("cpu")
    monkeypatch.delattr("os.sched_setaffinity")
    settle("cuda:0")
    assert len(kept) == 1 and threads == [1] * 4


def test_an_older_torch_does_not_say_where_a_gpu_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace())
    monkeypatch.setattr("pipeline.slot.process.keep_near", lambda address: pytest.fail(address))
    settle("cuda:0")


def test_file_threads_follow_the_cores(tmp_path: Path) -> None:
    def threads(**more: object) -> int:
        return Seat(context(tmp_path, **more), Process(cores=8), "0", "cpu", "cpu").file_threads

    assert threads(threads=3) == 3 and threads(threads=50) == FILE_THREADS
    assert threads(slots=("cpu",) * 4) == 2 and threads(slots=("cpu",) * 40) == 1
    assert threads() == 8


@pytest.mark.parametrize(
    ("card", "auto", "dtype"),
    [
        (gpus.H100, "bf16", torch.bfloat16),
        (gpus.T4, "fp16", torch.float16),
        (gpus.GTX_1660, "fp32", torch.float32),
        (gpus.GTX_1080, "fp32", torch.float32),
    ],
)
def test_auto_is_what_the_hardware_is_fast_with(
    card: gpus.Card, auto: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.install(monkeypatch, card)
    assert use_precision("auto", "cuda:0") == auto and network_type(auto) == dtype
    assert use_precision("auto", "mps") == "fp32"


def test_tf32_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus.install(monkeypatch, gpus.H100, gpus.T4)
    assert use_precision("tf32", "cuda:0") == "tf32" and torch.backends.cudnn.allow_tf32
    assert use_precision("fp32", "cpu") == "fp32" and not torch.backends.cudnn.allow_tf32
    with pytest.raises(DeviceError, match="tf32 is a GPU's; on cpu choose"):
        use_precision("tf32", "cpu")
    with pytest.raises(DeviceError, match=r"8.0; Tesla T4 has 7.5: choose auto, fp16 or fp32"):
        use_precision("tf32", "cuda:1")
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("is_fast", [True, False])
def test_a_precision_that_is_only_emulated_is_told(
    is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: is_fast)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    gpus.install(monkeypatch, gpus.H100, gpus.T4, gpus.GTX_1080)

    def said(precision: str, device: str) -> str:
        return " ".join(f"{n.code}: {n.text}" for n in precision_notices(precision, device))

    assert said("bf16", "cpu").startswith("slow_precision: bf16 on this CPU") == (not is_fast)
    assert "fp16 on this CPU" in said("fp16", "cpu") and said("fp32", "cpu") == ""
    assert said("bf16", "cuda:0") == said("fp16", "cuda:1") == said("bf16", "mps") == ""
    longer = "on this GPU, which only emulates it, takes far longer than"
    assert f"bf16 {longer} fp16" in said("bf16", "cuda:1")
    assert f"bf16 {longer} fp32" in said("bf16", "cuda:2")


def test_what_is_read_ahead_is_handed_out_once_or_let_go(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    keys = [ContentKey(picture(f"{name}.png")) for name in "abc"]
    ahead, read = ReadAhead(), list[int]()
    for some in (keys[:1], keys[1:2], keys[2:]):  # nobody asked for the first one
        ahead.begin(some, 1, lambda contents: read.append(len(contents)))
    until(lambda: len(read) == 3)
    for key in keys:
        key.path.unlink()
    assert ahead.take(keys[1]).result().image.size == (72, 56)  # of the last time
    assert ahead.take(keys[2]).result().image.size == (72, 56)
    for key in keys:
        with pytest.raises(ImageError, match="no such file"):
            ahead.take(key).result()


def test_what_two_batches_want_is_read_once_and_let_go(
    picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that were announced together, or one after the other before the first one began."""
    key, ahead = ContentKey(picture("c.png")), ReadAhead()
    reads: list[Path] = []

    def reading(path: Path, *others: Any) -> Any:
        reads.append(path)
        return read_content(path, *others)

    monkeypatch.setattr("pipeline.slot.ahead.read_content", reading)
    for _ in range(3):
        ahead.begin([key])
    assert ahead.take(key).result() is ahead.take(key).result() and len(reads) == 1
    assert not ahead._before and not ahead._reading
    ahead.begin([key])
    ahead.begin([])  # taken back
    assert ahead._before.keys() == {key}
    ahead.begin([])
    assert not ahead._before


def test_what_follows_on_reading_ahead_does_not_follow_on_an_error(tmp_path: Path) -> None:
    ahead, read = ReadAhead(), list[str]()
    ahead.begin([ContentKey(tmp_path / "gone.png")], 1, lambda contents: read.append("gone"))
    ahead.begin([], 1, lambda contents: read.append("none"))
    until(lambda: bool(read))
    assert read == ["none"]


def test_styles_read_ahead_are_kept_for_two_batches() -> None:
    ahead, pixels = StylesAhead(), StylePixels([], None, ())
    for name in "abc":
        ahead.begin()
        ahead.put(name, pixels)
    assert ahead.take("a") is None and ahead.take("b") is ahead.take("c") is pixels
    assert ahead.take("b") is ahead.take("c") is None
