"""Tensors on their way to a device.

In: tensors of this process. Out: the same on the device, while the process goes on.
"""

from __future__ import annotations

import torch
from torch import Tensor


def moved(values: Tensor, device: str | torch.device) -> Tensor:
    """Values on a device; from memory to a GPU they go while this process goes on.

    A copy of what is not pinned waits for all that the GPU was told to do before.
    """
    if values.device.type != "cpu" or not str(device).startswith("cuda"):
        return values.to(device)
    # The allocator keeps what is pinned until it has been read.
    return values.pin_memory().to(device, non_blocking=True)
