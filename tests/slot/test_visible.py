"""Which GPU a worker's process sees."""

from pathlib import Path

import pytest

from pipeline.errors import DeviceError
from pipeline.slot import in_own_process, own_environment, visible_gpus


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "win32")  # where the allocator is left alone


@pytest.mark.parametrize(
    ("outer", "device", "own"),
    [
        (None, "cuda:3", "3"),
        (None, "cuda", "0"),
        ("6,7", "cuda:1", "7"),
        ("GPU-aa, GPU-bb", "cuda:1", "GPU-bb"),
        ("MIG-aa,MIG-bb,MIG-cc", "cuda:2", "MIG-cc"),
    ],
)
def test_a_gpu_is_named_as_the_outer_variable_names_it(
    outer: str | None, device: str, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if outer is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", outer)
    assert own_environment(device) == {"CUDA_VISIBLE_DEVICES": own}
    assert in_own_process(device) == "cuda:0"


@pytest.mark.parametrize(
    ("said", "names"),
    [("", []), ("0,1,-1,2", ["0", "1"]), ("-1", []), ("2, 0,", ["2", "0"])],
)
def test_what_ends_the_list_hides_what_follows(
    said: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert visible_gpus() is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert visible_gpus() == names
    with pytest.raises(DeviceError, match=f"cuda:{len(names)}: CUDA_VISIBLE_DEVICES="):
        own_environment(f"cuda:{len(names)}")


def test_amds_variable_is_followed_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "4,5")
    assert own_environment("cuda:1") == {"HIP_VISIBLE_DEVICES": "5"}


def test_other_devices_need_nothing() -> None:
    assert own_environment("cpu") == own_environment("mps") == {}
    assert in_own_process("cpu") == "cpu" and in_own_process("mps") == "mps"


@pytest.mark.parametrize(
    "chosen", [None, "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF"]
)
def test_the_allocator_is_told_unless_the_user_did(
    chosen: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("pipeline.slot.visible._WSL", tmp_path / "dxg")
    if chosen:
        monkeypatch.setenv(chosen, "max_split_size_mb:128")
    told = {} if chosen else {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    assert own_environment("cuda:0") == {"CUDA_VISIBLE_DEVICES": "0", **told}
    assert own_environment("cpu") == {}
    (tmp_path / "dxg").touch()
    assert own_environment("cuda:0") == {"CUDA_VISIBLE_DEVICES": "0"}


@pytest.mark.parametrize("chosen", [None, ":16:8"])
def test_cublas_is_told_before_torch_starts_unless_the_user_did(
    chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "CUBLAS_WORKSPACE_CONFIG"
    monkeypatch.delenv(name, raising=False)
    if chosen:
        monkeypatch.setenv(name, chosen)
    assert own_environment("cuda:0", True).get(name) == (None if chosen else ":4096:8")
    assert name not in own_environment("cuda:0") and own_environment("cpu", True) == {}
