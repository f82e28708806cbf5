"""What a device says of itself, and whether it convolves as the CPU does."""

import json

import gpus
import pytest
import torch

from pipeline.slot import health as module
from pipeline.slot.health import deviation, examine

OLD_DRIVER = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU "
    "driver by downloading and installing a new version from the URL: ..."
)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """The types in which kernels were run, which all go well."""
    ran: list[torch.dtype] = []

    def run(device: str, dtype: torch.dtype) -> float:
        ran.append(dtype)
        return 0.001

    monkeypatch.setattr(module, "deviation", run)
    return ran


@pytest.mark.parametrize(
    ("card", "dtype"),
    [
        (gpus.RTX_4090, torch.bfloat16),
        (gpus.H100, torch.bfloat16),
        (gpus.MIG_SLICE, torch.bfloat16),
        (gpus.T4, torch.float16),
        (gpus.GTX_1660, torch.float32),
        (gpus.GTX_1080, torch.float32),
    ],
)
def test_a_card_is_described_and_runs_a_kernel_in_its_own_precision(
    card: gpus.Card, dtype: torch.dtype, kernels: list[torch.dtype], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.install(monkeypatch, card)
    health = examine("cuda:0")
    assert not health.problem and health.name == card.name and kernels == [dtype]
    assert health.capability == ".".join(map(str, card.capability))
    assert health.total == card.memory * gpus.GIB and health.free == health.total - gpus.GIB


@pytest.mark.parametrize(
    ("card", "built_for", "mend"),
    [
        (gpus.GTX_1080, gpus.CU130, "/cu126"),
        (gpus.RTX_5090, gpus.CU126, "/cu128"),
        (gpus.K80, gpus.CU126, "leave the card out"),
        (gpus.RTX_4090, ["sm_90a", "compute_90"], "/cu126"),
        (gpus.Card("GB200", (10, 3), 180), ["sm_100a"], "/cu128"),
    ],
)
def test_no_kernel_is_run_on_a_card_that_torch_is_not_built_for(
    card: gpus.Card, built_for: list[str], mend: str, kernels: list[torch.dtype],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    gpus.install(monkeypatch, card, built_for=built_for)
    health = examine("cuda:0")
    assert "is not built for its capability" in health.problem and health.mend.endswith(mend)
    assert health.name == card.name and not kernels


@pytest.mark.parametrize(
    ("capability", "built_for", "is_built"),
    [
        ((8, 9), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_86"], False),
        ((9, 0), ["sm_90a"], True),
        ((10, 3), ["sm_100f"], True),
        ((12, 1), ["sm_75", "compute_90"], True),
        ((7, 0), ["compute_75"], False),
    ],
)
def test_kernels_run_within_a_major_version_or_are_compiled_for_newer_ones(
    capability: tuple[int, int], built_for: list[str], is_built: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built_for)
    assert module._is_built_for(*capability) is is_built


def test_a_card_without_free_memory_is_left_out(
    kernels: list[torch.dtype], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.install(monkeypatch, gpus.RTX_4090)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100 * 2**20, 24 * gpus.GIB))
    health = examine("cuda:0")
    assert health.problem == "only 100 MiB of its memory are free" and not kernels
    assert "nvidia-smi names them" in health.mend


def test_amds_cards_are_not_judged_by_nvidias_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.4")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["gfx90a", "gfx942"])
    assert module._is_built_for(9, 4)


@pytest.mark.parametrize(
    ("error", "problem", "mend"),
    [
        (RuntimeError(OLD_DRIVER), "The NVIDIA driver on your system is too old", "update it"),
        (
            RuntimeError("Found no NVIDIA driver on your system. Please check"),
            "Found no",
            "install",
        ),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "CUDA out of memory", "other proc"),
        (RuntimeError("CUDA error: an illegal memory access\nmore"), "CUDA error", "nvidia-smi"),
        (
            AssertionError("Torch not compiled with CUDA enabled"),
            "Torch not compiled",
            "nvidia-smi",
        ),
        (RuntimeError(), "RuntimeError", "nvidia-smi"),
    ],
)
def test_torchs_errors_are_put_in_words(
    error: Exception, problem: str, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(device: str, dtype: torch.dtype) -> float:
        raise error

    gpus.install(monkeypatch, gpus.RTX_4090)
    monkeypatch.setattr(module, "deviation", fail)
    health = examine("cuda:0")
    assert health.problem.startswith(problem) and health.mend.startswith(mend)
    assert "Please" not in health.problem and "\n" not in health.reason


@pytest.mark.parametrize("apart", [0.5, float("nan"), float("inf")])
def test_a_card_that_computes_wrongly_is_sick(
    apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.install(monkeypatch, gpus.RTX_4090)
    monkeypatch.setattr(module, "deviation", lambda device, dtype: apart)
    assert "convolutions are wrong" in examine("cuda:0").problem


def test_half_precision_deviates_by_its_rounding_and_a_spoilt_kernel_by_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert deviation("cpu", torch.float32) < 1e-6
    assert 1e-4 < deviation("cpu", torch.bfloat16) < 0.02
    right = torch.nn.functional.conv2d

    def wrong_in_half(x, weight, **more):  # type: ignore[no-untyped-def]
        found = right(x, weight, **more)
        return found * 1.5 if x.dtype == torch.bfloat16 else found

    monkeypatch.setattr(torch.nn.functional, "conv2d", wrong_in_half)
    assert deviation("cpu", torch.bfloat16) > 0.4


def test_apples_gpu_says_how_much_memory_it_has(
    kernels: list[torch.dtype], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12 * gpus.GIB)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: gpus.GIB)
    health = examine("mps")
    assert (health.free, health.total) == (11 * gpus.GIB, 12 * gpus.GIB)
    assert health.precision == "fp32" and kernels == [torch.float32]


def test_what_is_said_is_a_line_of_json() -> None:
    said = module.to_json(examine("cpu"))
    assert "\n" not in said and json.loads(said)["device"] == "cpu"
