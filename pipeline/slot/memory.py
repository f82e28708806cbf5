"""How much memory there is, how much a step takes, and what to do when it is too little.

In: a device, a backbone, sizes. Out: how many pictures go into a step at once, and by tiles of
which size. Estimates are counted from the network's shape; on a GPU a step of each size measures
them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import psutil

from pipeline.layers import NEIGHBOR_LAYERS, SHRINK, shrink_of


class Shaped(Protocol):
    """A network, or its `Shape` alone."""

    @property
    def bytes_per_pixel(self) -> float: ...  # noqa: D102
    @property
    def halo(self) -> int: ...  # noqa: D102
    @property
    def smallest_side(self) -> int: ...  # noqa: D102
    def width(self, layer: str) -> int: ...  # noqa: D102


# Of a Python process that has torch loaded.
PROCESS_BYTES = 1e9
# What may be taken of the memory that there is.
SHARE = 0.8
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
# A picture's own tensors in bytes per pixel: pixels, average, gradient, Adam's moments, content
# picture and working copies, 3 float32 channels each.
_OWN_BYTES = 10 * 3 * 4
SMALLEST_TILE = 256


def total_memory() -> int:
    """Bytes of memory of this machine or container."""
    total = int(psutil.virtual_memory().total)
    for name in _CGROUP_LIMITS:
        limit = Path(name).read_text().strip() if Path(name).is_file() else "max"
        if limit.isdigit():
            total = min(total, int(limit))
    return total


def budget(device: str, slots: int, *, whole: bool = False) -> float:
    """Bytes that one slot's step may take.

    Args:
        slots: how many slots share the device's memory.
        whole: if nobody else held any of it. On other devices than GPUs it is all that is counted.
    """
    if device.startswith("cuda"):
        import torch  # here alone, so that plans can be counted without

        free, total = torch.cuda.mem_get_info(device)
        # What torch's own allocator holds is free for the next batch.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        # Slots that begin together all find it free.
        share = total / max(1, slots)
        return 0.9 * (share if whole else min(free + kept, share))
    if device == "mps":
        import torch  # likewise

        return float(SHARE * torch.mps.recommended_max_memory() / max(1, slots))
    return SHARE * total_memory() / max(1, slots) - PROCESS_BYTES


def batch_limit(device: str, width: int, height: int) -> int:
    """How many pictures of this size to put in a batch at most.

    On a CPU larger batches leave its caches: with a worker of one thread on each of two cores (32
    MiB of third-level cache), `lite` takes 15% less time a picture at 256 px and 29% at 128 px in
    batches of 4, VGG-19 4% and 14%, and VGG-19 at 512 px 20% more. For a GPU this is only a bound:
    CUDA is touched by workers alone, and each takes as many at once as its memory holds.

    Args:
        device: such as `cuda:0`.
    """
    pixels = width * height
    if device.startswith("cuda"):
        return max(1, min(64, 2**24 // pixels))
    return max(1, min(16, 2 * 512 * 384 // pixels))


# Of the nearest-neighbor term, float32 values per feature and position: what a step holds for the
# pixels that go through the network; targets and content for the whole picture; and what there is
# beside these while the nearest vectors are sought.
_NEIGHBORS_HELD, _NEIGHBORS_KEPT, _NEIGHBORS_SOUGHT = 6, 2, 3


def _neighbor_bytes(shape: Shaped, values: int) -> float:
    """Bytes per pixel of so many values for each of the term's features."""
    return 4 * values * sum(map(shape.width, NEIGHBOR_LAYERS)) / SHRINK**2


def vector_bytes(shape: Shaped) -> float:
    """Bytes per pixel of a style picture that its vectors are taken from: whole features."""
    own = sum(shape.width(layer) / shrink_of(layer) ** 2 for layer in NEIGHBOR_LAYERS)
    return 4 * own + _neighbor_bytes(shape, 1)


def history_bytes(pairs: int) -> int:
    """Bytes per pixel of what L-BFGS keeps: so many pairs of steps and gradients, and working
    copies; 0 for none."""
    return (2 * pairs + 4) * 3 * 4 if pairs else 0


def step_bytes(
    shape: Shaped, pixels: int, factor: float = 1.0, *, neighbors: bool = False, pairs: int = 0
) -> float:
    """Peak memory in bytes of a step with one picture of so many pixels, taken whole.

    Args:
        factor: measured over counted, where a step was measured; but for the history.
        neighbors: whether there is a nearest-neighbor term.
        pairs: that L-BFGS keeps; 0 for other optimizers.
    """
    each = shape.bytes_per_pixel + _OWN_BYTES
    if neighbors:
        each += _neighbor_bytes(shape, _NEIGHBORS_HELD + _NEIGHBORS_KEPT)
    return pixels * (factor * each + history_bytes(pairs))


def tile_side(
    shape: Shaped,
    width: int,
    height: int,
    allowed: float,
    factor: float = 1.0,
    *,
    neighbors: bool = False,
    pairs: int = 0,
    beside: float = 0.0,
) -> int | None:
    """The side in px of tiles with which one picture's step stays within `allowed` bytes.

    Args:
        neighbors: whether there is a nearest-neighbor term.
        pairs: that L-BFGS keeps; 0 for other optimizers.
        beside: bytes per pixel of the whole picture that are held all the while.

    Returns:
        0 if the picture can be taken whole; None if not even the smallest tiles go.
    """
    allowed -= beside * width * height
    if step_bytes(shape, width * height, factor, neighbors=neighbors, pairs=pairs) <= allowed:
        return 0
    whole, each = float(_OWN_BYTES + history_bytes(pairs)), shape.bytes_per_pixel
    if neighbors:
        whole += _neighbor_bytes(shape, _NEIGHBORS_KEPT + _NEIGHBORS_SOUGHT)
        each += _neighbor_bytes(shape, _NEIGHBORS_HELD)
    left = allowed - whole * width * height
    area = left / (factor * each)
    grid = shape.smallest_side // 2
    margin = math.ceil(shape.halo / grid) * grid
    side = (math.isqrt(int(max(0, area))) - 2 * margin) // grid * grid
    return int(side) if side >= min(SMALLEST_TILE, width, height) else None
