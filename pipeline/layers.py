"""The layer names of VGG-shaped networks, as in the paper; in the order of the network."""

BLOCKS = (2, 2, 4, 4, 4)
LAYERS = tuple(f"conv{b}_{i}" for b, n in enumerate(BLOCKS, 1) for i in range(1, n + 1))
