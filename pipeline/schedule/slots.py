"""Devices and shares of them: one slot each.

In: words such as `auto` or `cuda:0,cpu`. Out: the device of each slot, its threads, its batch
limit; devices that cannot be used. Must not touch CUDA but to count GPUs, nor know the plan.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import DeviceError
from pipeline.slot import (
    PROCESS_BYTES,
    SHARE,
    Health,
    ask_devices,
    available_cores,
    batch_limit,
    cards,
    install_torch,
    total_memory,
    visible_gpus,
)

# What a Linux machine has where torch could find a GPU: NVIDIA's driver, that of Windows below
# Linux, AMD's.
_GPU_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd", "/proc/driver/nvidia")


class Found(NamedTuple):
    """The slots of a run.

    Attributes:
        slots: the device of each.
        left_out: devices that are there and cannot be used, each with the reason.
    """

    slots: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class Unseen(NamedTuple):
    """A card that torch does not see.

    Attributes:
        problem: its name, and why not.
        mend: what to do about it.
    """

    problem: str
    mend: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.mend}"


def find_slots(devices: str = "auto", *, examines: bool = True) -> Found:
    """The device of each slot.

    Args:
        devices: `auto` (every CUDA GPU, else Apple's MPS, else the CPU), or names separated by
            commas, such as `cuda:0,cuda:2` or `cpu,cpu`.
        examines: have each GPU convolve in a process of its own; those that fail are left out, or
            an error where they were named. Takes seconds where there are GPUs.

    Raises:
        DeviceError: a device that is not there, or is asked for by name and cannot be used.
    """
    there, unseen = _devices_here() if may_have_gpu(devices) else (["cpu"], None)
    is_auto = devices == "auto"
    if is_auto:
        slots = tuple(there[1:])
    else:
        slots = tuple("cuda:0" if d.strip() == "cuda" else d.strip() for d in devices.split(","))
        missing = [slot for slot in slots if slot not in there]
        if missing:
            raise DeviceError(
                f"--devices {devices}: {', '.join(missing)} is not on this machine; there are "
                f"{', '.join(there)}" + (f". {unseen}" if unseen else "")
            )
    asked = [slot for slot in slots if slot != "cpu"] if examines else []
    sick = {health.device: health.reason for health in ask_devices(asked) if health.problem}
    if sick and not is_auto:
        raise DeviceError(f"--devices {devices}: {'. '.join(sick.values())}")
    fit = tuple(slot for slot in slots if slot not in sick)
    said = [*sick.values(), *([str(unseen)] if unseen else [])] if is_auto else []
    return Found(fit or ("cpu",), tuple(f"left out: {why}" for why in said))


def examine_devices() -> tuple[list[Health], Unseen | None]:
    """What each GPU said of itself, and a card that torch does not see."""
    there, unseen = _devices_here() if may_have_gpu() else (["cpu"], None)
    return ask_devices(there[1:]), unseen


def may_have_gpu(devices: str = "auto") -> bool:
    """Whether it is worth asking torch, which takes seconds to load."""
    if {word.strip() for word in devices.split(",")} == {"cpu"}:
        return False
    return sys.platform != "linux" or any(Path(name).exists() for name in _GPU_FILES)


def has_gpu(devices: str = "auto") -> bool:
    """Whether any of these is a GPU.

    Args:
        devices: as `find_slots` has it.
    """
    if devices != "auto":
        return any(word.strip() != "cpu" for word in devices.split(","))
    return may_have_gpu() and len(_devices_here()[0]) > 1


def _devices_here() -> tuple[list[str], Unseen | None]:
    """The CPU and what else torch can use; and a card that there is and torch does not see."""
    import torch

    count = _count_gpus()
    if count:
        return ["cpu", *(f"cuda:{index}" for index in range(count))], None
    if torch.backends.mps.is_available():
        return ["cpu", "mps"], None
    shown = [] if visible_gpus() is not None or torch.version.hip else cards()
    if not shown:  # or hidden on purpose
        return ["cpu"], None
    if torch.version.cuda:
        return ["cpu", "cuda:0"], None  # its check finds why it is not counted
    name, capability = shown[0]
    problem = f"{name}: this torch ({torch.__version__}) is built without CUDA"
    return ["cpu"], Unseen(problem, install_torch(capability))


def _count_gpus() -> int:
    """CUDA's GPUs. A process sees no more than one slice of a GPU that is cut by MIG, so those that
    are named are counted: each worker sees its own."""
    import torch

    named = visible_gpus() or [""]
    if torch.version.cuda and named[0].startswith("MIG-"):
        return len(named)
    return torch.cuda.device_count()


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
    fitting = int(SHARE * total_memory() / (PROCESS_BYTES + job_bytes))
    return ("cpu",) * max(1, min(workers or available_cores(), jobs, fitting))


def threads_per_slot(slots: Sequence[str]) -> int:
    """CPU threads for each slot: the cores shared out among the CPU slots, but for one a GPU slot,
    whose process has to hand its GPU work in time; 0 leaves torch's own."""
    shares = sum(slot == "cpu" for slot in slots)
    others = len(slots) - shares
    if not shares or (shares == 1 and not others):
        return 0
    return max(1, (available_cores() - others) // shares)


def limit_of(slots: Sequence[str]) -> Callable[[int, int], int]:
    """The largest batch limit of these slots, for a canvas of width x height: the others take a
    part of such a batch (`Feed.next`), since their jobs are the same wherever they run."""
    devices = set(slots) or {"cpu"}
    return lambda width, height: max(batch_limit(device, width, height) for device in devices)
