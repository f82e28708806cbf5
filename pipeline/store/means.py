"""Mean activations, for the normalized variant of a network: found once, kept in cache and run
folder.

In: weights and pictures. Out: a vector a layer, and the weights brought to a mean of 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.errors import ImageError, WeightsError
from pipeline.files import write_atomic
from pipeline.method import Weights, mean_activations, normalize
from pipeline.pictures import check_header, fit_image, read_identity, read_image, to_tensor
from pipeline.remote import local_copy
from pipeline.store.cache import CACHES
from pipeline.store.tensor_cache import TensorCache
from pipeline.version import PREPROCESSING

_MEANS_PICTURES = 64
_MEANS_SIDE = 256
Read = TypeVar("Read")


def normalization_cache(folder: Path) -> TensorCache:
    """The vectors of mean activations below a cache folder."""
    return TensorCache(folder / CACHES["normalization"])


def find_means(weights: Weights, pictures: Sequence[Path], cache: Path) -> dict[str, Tensor]:
    """Mean activations of `weights` over the first 64 pictures at 256 px, perhaps from the cache.

    Args:
        pictures: picture files; sorted by digest, so their order and names do not matter. Those
            that cannot be read are left out.

    Raises:
        ImageError: none of the pictures can be read.
    """
    hashes = sorted(dict(_each_that_can(pictures[:_MEANS_PICTURES], _with_digest)).items())
    name = "\n".join([weights.digest, str(PREPROCESSING), *(sha256 for sha256, _ in hashes)])

    def compute() -> dict[str, Tensor]:
        return mean_activations(weights, _each_that_can((p for _, p in hashes), _square))

    digest = hashlib.sha256(name.encode()).hexdigest()
    about = {"backbone": weights.name, "pictures": len(hashes)}
    return normalization_cache(cache).get(digest, compute, about).tensors


def _each_that_can(paths: Iterable[Path], read: Callable[[Path], Read]) -> Iterator[Read]:
    """What `read` makes of each picture; those that cannot be read are left out, since of them only
    their own jobs are to fail.

    Raises:
        ImageError: none of them can.
    """
    problem: ImageError | None = None
    some = False
    for path in paths:
        try:
            found = read(path)
        except ImageError as error:
            problem = problem or error
            continue
        some = True
        yield found
    if problem is not None and not some:
        raise problem


def _with_digest(path: Path) -> tuple[str, Path]:
    check_header(path)  # what cannot be read here is no part of the name that others will look for
    return read_identity(path), path


def _square(path: Path) -> Tensor:
    return to_tensor(fit_image(read_image(path), _MEANS_SIDE, _MEANS_SIDE))


def save_means(path: Path, means: Mapping[str, Tensor], digest: str) -> None:
    """Stores a vector of mean activations, so that a run keeps the one that it began with.

    Args:
        digest: of the weights that they are of.
    """
    write_atomic(path, save(dict(means), {"weights": digest}))


def means_made_for(path: Path) -> str:
    """The digest of the weights that stored means are of; empty where an older version kept them.

    Raises:
        WeightsError: missing or damaged.
    """
    try:
        with safe_open(local_copy(path), framework="pt") as file:
            return str((file.metadata() or {}).get("weights", ""))
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def load_means(path: Path) -> dict[str, Tensor]:
    """Reads what `save_means` wrote.

    Raises:
        WeightsError: missing or damaged.
    """
    try:
        with safe_open(local_copy(path), framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path}: damaged normalization file ({error}); delete it to have it made again"
    )


def normalized(weights: Weights, means: Mapping[str, Tensor]) -> Weights:
    """`weights` with each filter's mean activation brought to 1."""
    return normalize(weights, means)
