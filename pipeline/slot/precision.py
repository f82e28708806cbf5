"""Precision: what `auto` stands for on a device, and setting this process to it.

In: a word of the settings and a device. Out: the precision that is used.
"""

from __future__ import annotations

import torch

from pipeline.errors import DeviceError
from pipeline.notices import Notice

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def auto_precision(device: str) -> str:
    """What `auto` stands for: that of the convolutions that are fastest on this device."""
    if has_fast_bf16(device):
        return "bf16"
    return "fp16" if _has_fast_fp16(device) else "fp32"


def use_precision(precision: str, device: str) -> str:
    """Sets this process to a precision of the settings; what `auto` stands for on this device.

    Raises:
        DeviceError: tf32 on a device that does not have it.
    """
    if precision == "auto":
        precision = auto_precision(device)
    if precision == "tf32":
        _check_tf32(device)
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    # Features of bfloat16 convolutions are exact in bfloat16, and so in tf32: a product of two of
    # them loses nothing, and sums are kept in float32. CPUs take "medium" for bfloat16 factors.
    product = {"tf32": "high", "bf16": "medium"}.get(precision, "highest")
    torch.set_float32_matmul_precision(product)
    return precision


def network_type(precision: str) -> torch.dtype:
    """The type of convolutions in a precision that is used: float32 but for the half ones."""
    return _TYPES.get(precision, torch.float32)


def precision_notices(precision: str, device: str) -> tuple[Notice, ...]:
    """What a person should know of the precision that a process was set to."""
    is_known = device == "cpu" or device.startswith("cuda")
    emulates_bf16 = precision == "bf16" and is_known and not has_fast_bf16(device)
    if not emulates_bf16 and (precision, device) != ("fp16", "cpu"):
        return ()
    what = "this CPU" if device == "cpu" else "this GPU"
    better = "fp16" if _has_fast_fp16(device) else "fp32"
    said = f"{precision} on {what}, which only emulates it, takes far longer than {better}"
    return (Notice("slow_precision", f"{said}; leave it out"),)


def has_fast_bf16(device: str) -> bool:
    """Whether convolutions are faster in bfloat16 than in float32; torch itself also says yes where
    it only emulates them."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device == "cpu" and any(getattr(torch.cpu, name, bool)() for name in checks)


def _has_fast_fp16(device: str) -> bool:
    """Whether convolutions are faster in float16 than in float32, of devices without bfloat16:
    from the first tensor cores on, which the GTX 16 series of Turing lacks."""
    if not device.startswith("cuda") or torch.cuda.get_device_capability(device) < (7, 0):
        return False
    return "GTX 16" not in torch.cuda.get_device_name(device)


def _check_tf32(device: str) -> None:
    if not device.startswith("cuda"):
        raise DeviceError(f"precision tf32 is a GPU's; on {device} choose auto, bf16 or fp32")
    capability = torch.cuda.get_device_capability(device)
    if capability < (8, 0):
        card = torch.cuda.get_device_name(device)
        raise DeviceError(
            f"precision tf32 came with capability 8.0; {card} has {capability[0]}.{capability[1]}: "
            f"choose auto, fp16 or fp32"
        )
