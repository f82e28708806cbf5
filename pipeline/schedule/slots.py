"""Devices and shares of them: one slot each.

In: words such as `auto` or `cuda:0,cpu`. Out: the device of each slot, its threads, its batch
limit. Must not touch CUDA but to count GPUs, nor know the plan.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import DeviceError
from pipeline.schedule.cores import available_cores
from pipeline.slot import PROCESS_BYTES, SHARE, total_memory

# What a Linux machine has where torch could find a GPU: NVIDIA's driver, that of Windows below
# Linux, AMD's.
_GPU_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd", "/proc/driver/nvidia")


def find_slots(devices: str = "auto") -> tuple[str, ...]:
    """The device of each slot.

    Args:
        devices: `auto` (every CUDA GPU, else Apple's MPS, else the CPU), or names separated by
            commas, such as `cuda:0,cuda:2` or `cpu,cpu`.

    Raises:
        DeviceError: a device that is not there.
    """
    there = _devices_here() if _may_have_gpu(devices) else ["cpu"]
    if devices == "auto":
        return tuple(there[1:]) or ("cpu",)
    slots = tuple("cuda:0" if d.strip() == "cuda" else d.strip() for d in devices.split(","))
    missing = [slot for slot in slots if slot not in there]
    if missing:
        raise DeviceError(
            f"--devices {devices}: {', '.join(missing)} is not on this machine; there are "
            f"{', '.join(there)}"
        )
    return slots


def _may_have_gpu(devices: str) -> bool:
    """Whether it is worth asking torch, which takes seconds to load."""
    if {word.strip() for word in devices.split(",")} == {"cpu"}:
        return False
    return sys.platform != "linux" or any(Path(name).exists() for name in _GPU_FILES)


def _devices_here() -> list[str]:
    """The CPU, and what else torch can use."""
    import torch

    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() and not gpus else []
    return ["cpu", *gpus, *mps]


def share_cpu(
    slots: tuple[str, ...], jobs: int, job_bytes: float, workers: int | None = None
) -> tuple[str, ...]:
    """The CPU as several workers where there are so many jobs and the memory for it.

    Workers of one thread each make more pictures an hour than one worker of all threads: on two
    cores 1.3 times as many at 256 px, 1.4 times at 512 px.

    Args:
        slots: what `find_slots("auto")` gave; anything but the CPU alone is left as it is.
        job_bytes: memory that one job takes, apart from what each process does.
        workers: as measured on this machine; None takes one a core.
    """
    if slots != ("cpu",):
        return slots
    memory = total_memory()
    fitting = int(SHARE * memory / (PROCESS_BYTES + job_bytes)) if memory else 1
    return ("cpu",) * max(1, min(workers or available_cores(), jobs, fitting))


def threads_per_slot(slots: Sequence[str]) -> int:
    """CPU threads for each slot: the cores shared out among the CPU slots; 0 leaves torch's own."""
    shares = sum(slot == "cpu" for slot in slots)
    return max(1, available_cores() // shares) if shares > 1 else 0


def limit_of(slots: Sequence[str]) -> Callable[[int, int], int]:
    """The smallest batch limit of these slots, for a canvas of width x height."""
    devices = set(slots) or {"cpu"}
    return lambda width, height: min(batch_limit(device, width, height) for device in devices)


def batch_limit(device: str, width: int, height: int) -> int:
    """How many pictures of this size to put in a batch at most.

    On a CPU larger batches leave its caches: with a worker of one thread on each of two cores (32
    MiB of third-level cache), `lite` takes 15% less time a picture at 256 px and 29% at 128 px in
    batches of 4, VGG-19 4% and 14%, and VGG-19 at 512 px 20% more. For a GPU this is only a bound:
    CUDA is touched by workers alone, and each takes as many at once as its memory holds.
    """
    pixels = width * height
    if device.startswith("cuda"):
        return max(1, min(64, 2**24 // pixels))
    return max(1, min(16, 2 * 512 * 384 // pixels))
