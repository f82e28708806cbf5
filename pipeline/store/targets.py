"""The style targets on disk.

In: all that decides a style picture's targets. Out: its targets per scale and layer, blended where
a style is several pictures. One file a style picture, its sizes, the backbone's digest, pooling,
padding, layers and what is compared, named by the SHA-256 of those.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from pipeline.store.cache import CACHES
from pipeline.store.tensor_cache import TensorCache
from pipeline.version import PREPROCESSING


@dataclass(frozen=True)
class TargetsKey:
    """All that decides a style picture's targets.

    Attributes:
        style: SHA-256 of the picture file.
        sizes: width and height in px at each scale.
        backbone: digest of the weights as used (normalized or not).
        layers: style layers in the network's order.
        background: color under transparency.
        statistic: what is compared.
        mask: SHA-256 of the style's mask, or empty.
        color: mode, transfer and SHA-256 of the content picture to whose colors it is matched;
            empty where it keeps its own.
        stretch: whether it is resized without regard to its aspect ratio.
    """

    style: str
    sizes: tuple[tuple[int, int], ...]
    backbone: str
    pooling: str
    pooling_scale: float
    padding: str
    layers: tuple[str, ...]
    background: str
    statistic: str
    mask: str = ""
    color: tuple[str | int, ...] = ()
    stretch: bool = False
    preprocessing: int = PREPROCESSING

    def digest(self) -> str:
        """Name of the cache file: SHA-256 of the above, 64 hex digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def targets_cache(folder: Path) -> TensorCache:
    """The Gram targets below a cache folder."""
    return TensorCache(folder / CACHES["style targets"])


def split_scales(tensors: Mapping[str, Tensor], scales: int) -> list[dict[str, Tensor]]:
    """Tensors named `scale.layer` as one mapping from layer to Gram matrix a scale."""
    return [
        {
            key.split(".")[1]: tensor
            for key, tensor in tensors.items()
            if key.startswith(f"{scale}.")
        }
        for scale in range(scales)
    ]


def blend_targets(
    parts: Sequence[tuple[Mapping[str, Tensor], float]],
) -> dict[str, Tensor]:
    """The weighted mean of several styles' targets per layer; weights sum to 1."""
    layers = parts[0][0].keys()
    return {
        layer: sum((g[layer] * w for g, w in parts[1:]), parts[0][0][layer] * parts[0][1])
        for layer in layers
    }
