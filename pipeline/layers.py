"""The layer names of VGG-shaped networks, as in the paper; in the order of the network."""

from __future__ import annotations

BLOCKS = (2, 2, 4, 4, 4)
LAYERS = tuple(f"conv{b}_{i}" for b, n in enumerate(BLOCKS, 1) for i in range(1, n + 1))


def block_of(layer: str) -> int:
    """The number of a layer's block, from 1.

    >>> block_of("conv4_2")
    4
    """
    return int(layer.removeprefix("conv").partition("_")[0])


def shrink_of(layer: str) -> int:
    """How many px of a picture's side one position of a layer spans: pooling halves between blocks.

    >>> shrink_of("conv4_2")
    8
    """
    return 1 << (block_of(layer) - 1)
