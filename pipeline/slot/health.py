"""What runs in the process that `ask_devices` begins: one convolution, there and back, on a device.

In: a device as this process knows it, as the only argument. Out: a line of JSON on standard output.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from pipeline.slot.precision import auto_precision, network_type
from pipeline.slot.preflight import Health, install_torch, to_json

# How far, relatively, results in half precision may be from the CPU's in float32; rounding makes
# them a hundredth of it.
_ALLOWED = 0.1
# Bytes without which not even the smallest tiles go through a network.
_LEAST_FREE = 2**28
_OTHERS_HOLD_IT = "other processes hold its memory; nvidia-smi names them"
_DRIVERS = "https://www.nvidia.com/drivers"


def examine(device: str) -> Health:
    """What this device is, and whether it convolves as the CPU does."""
    health = Health(device)
    try:
        health = _described(health)
        if health.problem:
            return health
        apart = deviation(device, network_type(health.precision))
    # Torch has a type of its own for each way in which a device fails, most of them RuntimeErrors.
    except (RuntimeError, AssertionError) as error:
        return _failed(health, *_explained(error))
    if not apart < _ALLOWED:  # NaN too
        problem = f"its convolutions are wrong, by {apart:.2g} relatively"
        return _failed(health, problem, "its driver or the card itself is faulty")
    return health


def _failed(health: Health, problem: str, mend: str) -> Health:
    return replace(health, problem=problem, mend=mend)


def _described(health: Health) -> Health:
    """With what the device says of itself, and what is to be known without running a kernel."""
    device = health.device
    if device.startswith("cuda"):
        about = torch.cuda.get_device_properties(device)
        capability = f"{about.major}.{about.minor}"
        health = replace(health, name=about.name, capability=capability, total=about.total_memory)
        if not _is_built_for(about.major, about.minor):
            return _failed(health, *_not_built_for(capability))
        free, total = torch.cuda.mem_get_info(device)
        health = replace(health, free=free, total=total)
        if free < _LEAST_FREE:
            problem = f"only {free / 2**20:.0f} MiB of its memory are free"
            return _failed(health, problem, _OTHERS_HOLD_IT)
    elif device == "mps":
        total = torch.mps.recommended_max_memory()
        free = total - torch.mps.driver_allocated_memory()
        health = replace(health, name="Apple GPU", free=free, total=total)
    return replace(health, precision=auto_precision(device))


def _is_built_for(major: int, minor: int) -> bool:
    """Whether this torch has kernels for such a card: compiled for its own major version up to its
    minor one, or to be compiled by the driver for any that is newer."""
    if torch.version.hip:
        return True  # AMD's builds have names of their own for architectures
    for built in torch.cuda.get_arch_list():
        kind, _, number = built.partition("_")
        digits = number.rstrip("af")
        version = (int(digits[:-1]), int(digits[-1]))
        if number.endswith("a"):  # of one architecture alone
            fits = version == (major, minor)
        elif kind == "sm":
            fits = version[0] == major and version[1] <= minor
        else:
            fits = version <= (major, minor)
        if fits:
            return True
    return False


def _not_built_for(capability: str) -> tuple[str, str]:
    """The problem, and what to do about it."""
    built = ", ".join(torch.cuda.get_arch_list())
    problem = (
        f"this torch ({torch.__version__}) is not built for its capability {capability} ({built})"
    )
    if float(capability) < 5:
        return problem, "no torch that nst runs with is; leave the card out"
    return problem, install_torch(capability)


def _explained(error: BaseException) -> tuple[str, str]:
    """An error of torch as a problem, and what to do about it."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    problem = first.partition(" Please ")[0].rstrip(".")
    if "driver" in first and "too old" in first:
        mend = f"update it ({_DRIVERS}), or install an older torch: {install_torch()}"
    elif "out of memory" in first:
        mend = _OTHERS_HOLD_IT
    elif "no NVIDIA driver" in first:
        mend = f"install it ({_DRIVERS})"
    else:
        mend = "nvidia-smi, and the system's log, may say more"
    return problem, mend


def deviation(device: str, dtype: torch.dtype) -> float:
    """How far a convolution and its gradient on a device are from the CPU's in float32: the largest
    ||a - b|| / ||b|| of the two."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.randn(2, 16, 64, 64, generator=generator)
    kernel = torch.randn(16, 16, 3, 3, generator=generator) / 12

    def both(where: str, dtype: torch.dtype) -> list[Tensor]:
        x = picture.to(where, dtype, memory_format=torch.channels_last).requires_grad_()
        y = F.conv2d(x, kernel.to(where, dtype), padding=1).relu()
        (gradient,) = torch.autograd.grad(y.float().square().sum(), x)
        return [values.detach().float().cpu() for values in (y, gradient)]

    pairs = zip(both(device, dtype), both("cpu", torch.float32), strict=True)
    return max(float((found - wanted).norm() / wanted.norm()) for found, wanted in pairs)


if __name__ == "__main__":
    print(to_json(examine(sys.argv[1])))
