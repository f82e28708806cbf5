"""What a worker process keeps, and where it sits."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock

from pipeline.errors import DeviceError, WeightsError
from pipeline.manifest import Settings
from pipeline.slot import RunContext, use_precision
from pipeline.slot.precision import precision_notices
from pipeline.slot.process import FILE_THREADS, Process, ReadAhead
from pipeline.slot.seat import Seat, take_seat


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
    first, second = Process(), Process()
    assert first.own_device == first.own_device == "cuda:0"
    held = FileLock(tmp_path / "nst-made-up-1.lock")
    with held:
        assert second.own_device == "cpu"  # both are taken
    assert Process().own_device == "cuda:1"


def test_a_seat_is_a_slots_or_a_cluster_workers_own(tmp_path: Path) -> None:
    where = context(tmp_path, slots=("cpu", "cuda:1"), devices="cuda:3, cuda:4")
    assert take_seat(where, 1, Process()).device == "cuda:1"
    assert take_seat(where, None, Process()).device == "cuda:3"
    assert "-" in take_seat(where, None, Process()).name
    alone = take_seat(context(tmp_path), None, Process())
    assert alone.device == ("cuda:0" if torch.cuda.is_available() else "cpu")


def test_file_threads_follow_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)

    def threads(**more: object) -> int:
        return Seat(context(tmp_path, **more), Process(), "0", "cpu").file_threads

    assert threads(threads=3) == 3 and threads(threads=50) == FILE_THREADS
    assert threads(slots=("cpu",) * 4) == 2 and threads(slots=("cpu",) * 40) == 1
    assert threads() == 8


@pytest.mark.parametrize(("capability", "auto"), [((7, 5), "fp32"), ((8, 0), "bf16")])
def test_auto_is_what_the_hardware_is_fast_with(
    capability: tuple[int, int], auto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert use_precision("auto", "cuda:0") == auto
    assert use_precision("tf32", "cuda:0") == "tf32" and torch.backends.cudnn.allow_tf32
    assert use_precision("fp32", "cpu") == "fp32" and not torch.backends.cudnn.allow_tf32
    with pytest.raises(DeviceError, match="tf32 is a GPU's; on cpu choose"):
        use_precision("tf32", "cpu")


@pytest.mark.parametrize("is_fast", [True, False])
def test_a_precision_that_is_only_emulated_is_told(
    is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: is_fast)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    said = [notice.code for notice in precision_notices("bf16", "cpu")]
    assert said == ([] if is_fast else ["slow_precision"])
    assert precision_notices("fp32", "cpu") == precision_notices("bf16", "cuda:0") == ()


def test_what_is_read_ahead_is_handed_out_once_or_let_go(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    keys = [(picture(f"{name}.png"), "white", False, None) for name in "ab"]
    ahead = ReadAhead()
    ahead.begin(keys)
    ahead.begin(keys[1:])  # nobody asked for the first one
    assert ahead.take(keys[0]) is None
    reading = ahead.take(keys[1])
    assert reading is not None and reading.result().image.size == (72, 56)
    assert ahead.take(keys[1]) is None
