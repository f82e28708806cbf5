"""Which GPU a process sees: a worker's own alone, as `cuda:0`, whatever its number on the machine.

In: a device as the user knows it. Out: environment variables for the process. Must not load torch.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pipeline.errors import DeviceError

# What says which GPUs a process sees, of NVIDIA's and of AMD's.
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
# What tells torch's allocator how to go about it; older versions know the second and third alone.
_ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
# Of cuBLAS, which else refuses deterministic products; it is read when torch first multiplies.
CUBLAS, CUBLAS_ORDERED = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
_WSL = Path("/dev/dxg")
OWN = "cuda:0"


def visible_gpus(variable: str = _VISIBLE[0]) -> list[str] | None:
    """What a variable says that this process sees: indices, UUIDs or MIG UUIDs, in the order of
    `cuda:0`, `cuda:1`, ...; None where it is not set."""
    said = os.environ.get(variable)
    if said is None:
        return None
    names: list[str] = []
    for word in map(str.strip, said.split(",")):
        if not word or word.startswith("-"):  # no GPU, and none after it, as CUDA reads it
            break
        names.append(word)
    return names


def own_environment(device: str, deterministic: bool = False) -> dict[str, str]:
    """What the environment of a process gets that is to see this GPU alone, as `OWN`; nothing for
    other devices.

    Args:
        deterministic: whether its products are to be the same every time.

    Raises:
        DeviceError: a GPU that this process does not see itself.
    """
    if not device.startswith("cuda"):
        return {}
    index = int(device.partition(":")[2] or 0)
    seen = {variable: visible_gpus(variable) for variable in _VISIBLE}
    named: dict[str, str] = {}
    for variable, names in seen.items():
        if names is None:
            continue
        if index >= len(names):
            raise DeviceError(f"{device}: {variable}={os.environ[variable]} does not name it")
        named[variable] = names[index]
    named = (named or {_VISIBLE[0]: str(index)}) | allocator_environment()
    if deterministic and not os.environ.get(CUBLAS):
        named[CUBLAS] = CUBLAS_ORDERED
    return named


def allocator_environment() -> dict[str, str]:
    """What the environment gets that torch's allocator reads, before it is first used; nothing
    where the user has said it.

    Where memory runs short, segments that can grow leave less of it in pieces too small to use;
    Linux below Windows has drivers that fail with them.
    """
    can_grow = sys.platform == "linux" and not _WSL.exists()
    if not can_grow or any(map(os.environ.get, _ALLOCATOR)):
        return {}
    return {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}


def in_own_process(device: str) -> str:
    """What a device is called in a process that has `own_environment(device)`."""
    return OWN if device.startswith("cuda") else device
