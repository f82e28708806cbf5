"""Precision: what `auto` stands for on a device, and setting this process to it.

In: a word of the settings and a device. Out: the precision that is used.
"""

from __future__ import annotations

import torch

from pipeline.errors import DeviceError
from pipeline.notices import Notice

_TYPES = {"bf16": torch.bfloat16}


def auto_precision(device: str) -> str:
    """What `auto` stands for: that of the convolutions that are fastest on this device."""
    return "bf16" if has_fast_bf16(device) else "fp32"


def use_precision(precision: str, device: str) -> str:
    """Sets this process to a precision of the settings; what `auto` stands for on this device.

    Raises:
        DeviceError: tf32 on a device that does not have it.
    """
    if precision == "auto":
        precision = auto_precision(device)
    if precision == "tf32" and not device.startswith("cuda"):
        raise DeviceError(f"precision tf32 is a GPU's; on {device} choose auto, bf16 or fp32")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    # Features of bfloat16 convolutions are exact in bfloat16, and so in tf32: a product of two of
    # them loses nothing, and sums are kept in float32. CPUs take "medium" for bfloat16 factors.
    product = {"tf32": "high", "bf16": "medium"}.get(precision, "highest")
    torch.set_float32_matmul_precision(product)
    return precision


def network_type(precision: str) -> torch.dtype:
    """The type of convolutions in a precision that is used: float32 but for bf16."""
    return _TYPES.get(precision, torch.float32)


def precision_notices(precision: str, device: str) -> tuple[Notice, ...]:
    """What a person should know of the precision that a process was set to."""
    if precision != "bf16" or device != "cpu" or has_fast_bf16(device):
        return ()
    said = "bf16 on this CPU, which only emulates it, takes far longer than fp32; leave it out"
    return (Notice("slow_precision", said),)


def has_fast_bf16(device: str) -> bool:
    """Whether convolutions are faster in bfloat16 than in float32; torch itself also says yes where
    it only emulates them."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device == "cpu" and any(getattr(torch.cpu, name, bool)() for name in checks)
