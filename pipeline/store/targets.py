"""The style target cache on disk, and the cache of normalization vectors.

One safetensors file a style picture, its sizes, the backbone's digest, pooling, padding, layers
and what is compared, named by the SHA-256 of those. Safe for many processes at once: each file is
computed under a lock, written to a temporary file and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.errors import RunFolderError, WeightsError
from pipeline.files import write_atomic
from pipeline.method import Weights, mean_activations, normalize
from pipeline.pictures import file_sha256, fit_image, read_image, to_tensor
from pipeline.version import PREPROCESSING


def cache_folder(chosen: Path | None = None) -> Path:
    """The cache folder: `chosen`, else `NST_CACHE_DIR`, else the user's cache folder."""
    if chosen is not None:
        return chosen
    named = os.environ.get("NST_CACHE_DIR")
    return Path(named) if named else Path(platformdirs.user_cache_dir("nst", appauthor=False))


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


@dataclass(frozen=True)
class Cached:
    """Tensors from the cache.

    Attributes:
        hit: whether they were there already.
        warnings: what went wrong without harm, such as a damaged file that was computed anew.
    """

    tensors: dict[str, Tensor]
    hit: bool
    warnings: tuple[str, ...] = ()


class TensorCache:
    """A folder of safetensors files, each named by what decides its content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the file of this digest lies."""
        return self.folder / digest[:2] / f"{digest}.safetensors"

    def get(
        self,
        digest: str,
        compute: Callable[[], Mapping[str, Tensor]],
        about: Mapping[str, object],
    ) -> Cached:
        """The tensors of `digest`, computed only if they are not there whole.

        A folder that cannot be written costs the cache, not the job: the warning says so.

        Args:
            compute: gives the tensors.
            about: what the file is of, kept in its header.
        """
        path = self.path(digest)
        warnings: list[str] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                found = self._read(path, warnings)
                if found is not None:
                    return Cached(found, True, tuple(warnings))
                computed = {key: t.detach().cpu().contiguous() for key, t in compute().items()}
                header = {"about": json.dumps(about, sort_keys=True)}
                write_atomic(path, save(computed, header))
        except (RunFolderError, PermissionError, OSError) as error:
            warnings.append(f"the cache could not be used: {error}")
            computed = {key: t.detach().cpu() for key, t in compute().items()}
        return Cached(computed, False, tuple(warnings))

    def _read(self, path: Path, warnings: list[str]) -> dict[str, Tensor] | None:
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            warnings.append(f"{path}: damaged cache file ({error}), computed anew")
            return None

    def files(self) -> list[Path]:
        """All cache files."""
        return sorted(self.folder.glob("??/*.safetensors"))

    def clear(self) -> tuple[int, int]:
        """Deletes all cache files, their locks and leftovers; (files, bytes) of the former."""
        files = self.files()
        size = sum(path.stat().st_size for path in files)
        for path in [
            *files,
            *self.folder.glob("??/*.lock"),
            *self.folder.glob("??/.tmp-*"),
        ]:
            path.unlink(missing_ok=True)
        for folder in self.folder.glob("??"):
            if not any(folder.iterdir()):
                folder.rmdir()
        return len(files), size


def targets_cache(folder: Path) -> TensorCache:
    """The Gram targets below a cache folder."""
    return TensorCache(folder / "targets")


def normalization_cache(folder: Path) -> TensorCache:
    """The vectors of mean activations below a cache folder."""
    return TensorCache(folder / "normalisation")  # as caches have it on disk


# --- the normalized variant -----------------------------------------------------------------------

_MEANS_PICTURES = 64
_MEANS_SIDE = 256


def find_means(weights: Weights, pictures: Sequence[Path], cache: Path) -> dict[str, Tensor]:
    """Mean activations of `weights` over the first 64 pictures at 256 px, perhaps from the cache.

    Args:
        pictures: picture files; sorted by digest, so their order and names do not matter.
    """
    hashes = sorted({file_sha256(path): path for path in pictures[:_MEANS_PICTURES]}.items())
    name = "\n".join([weights.digest, str(PREPROCESSING), *(sha256 for sha256, _ in hashes)])

    def compute() -> dict[str, Tensor]:
        return mean_activations(weights, (_square(path) for _, path in hashes))

    digest = hashlib.sha256(name.encode()).hexdigest()
    about = {"backbone": weights.name, "pictures": len(hashes)}
    return normalization_cache(cache).get(digest, compute, about).tensors


def _square(path: Path) -> Tensor:
    return to_tensor(fit_image(read_image(path), _MEANS_SIDE, _MEANS_SIDE))


def save_means(path: Path, means: Mapping[str, Tensor]) -> None:
    """Stores a vector of mean activations, so that a run keeps the one that it began with."""
    write_atomic(path, save(dict(means)))


def load_means(path: Path) -> dict[str, Tensor]:
    """Reads what `save_means` wrote.

    Raises:
        WeightsError: missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: damaged normalization file ({error}); delete it to have it made again"
        ) from error


def normalized(weights: Weights, means: Mapping[str, Tensor]) -> Weights:
    """`weights` with each filter's mean activation brought to 1."""
    return normalize(weights, means)


# --- shapes of targets ----------------------------------------------------------------------------


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
