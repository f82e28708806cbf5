"""GPUs that are not there: `torch.cuda` as it would answer on a machine that has them."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

GIB = 2**30
# Of the builds for CUDA 12.6 and for CUDA 13.
CU126 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
CU130 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]


@dataclass(frozen=True)
class Card:
    """A card as torch describes it; memory in GiB."""

    name: str
    capability: tuple[int, int]
    memory: float
    bus: int = 0


RTX_4090 = Card("NVIDIA GeForce RTX 4090", (8, 9), 24)
H100 = Card("NVIDIA H100 80GB HBM3", (9, 0), 80)
T4 = Card("Tesla T4", (7, 5), 15)
GTX_1660 = Card("NVIDIA GeForce GTX 1660", (7, 5), 6)
GTX_1080 = Card("NVIDIA GeForce GTX 1080", (6, 1), 8)
K80 = Card("Tesla K80", (3, 7), 11)
RTX_5090 = Card("NVIDIA GeForce RTX 5090", (12, 0), 32)
MIG_SLICE = Card("NVIDIA H100 80GB HBM3 MIG 1g.10gb", (9, 0), 9.75)


def install(patch: pytest.MonkeyPatch, *cards: Card, built_for: list[str] | None = None) -> None:
    """Has torch answer as with these cards; kernels do not run on them."""

    def card(device: object = 0) -> Card:
        index = torch.device(device).index if isinstance(device, str) else device
        return cards[index or 0]  # type: ignore[call-overload, no-any-return]

    def properties(device: object) -> SimpleNamespace:
        found = card(device)
        major, minor = found.capability
        return SimpleNamespace(
            name=found.name, major=major, minor=minor, total_memory=int(found.memory * GIB),
            pci_domain_id=0, pci_bus_id=found.bus, pci_device_id=0,
        )  # fmt: skip

    def memory(device: object) -> tuple[int, int]:
        total = int(card(device).memory * GIB)
        return total - GIB, total

    patch.setattr("pipeline.schedule.slots._GPU_FILES", ("/",))
    patch.setattr(torch.version, "cuda", "12.6")
    patch.setattr(torch.cuda, "device_count", lambda: len(cards))
    patch.setattr(torch.cuda, "get_device_properties", properties)
    patch.setattr(torch.cuda, "get_device_capability", lambda device=0: card(device).capability)
    patch.setattr(torch.cuda, "get_device_name", lambda device=0: card(device).name)
    patch.setattr(torch.cuda, "get_arch_list", lambda: built_for or CU126)
    patch.setattr(torch.cuda, "mem_get_info", memory)
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    patch.delenv("HIP_VISIBLE_DEVICES", raising=False)
