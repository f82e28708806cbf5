"""The mean activations by which networks are normalized, as a run folder keeps them.

In: a network, a manifest's pictures, a run folder. Out: where the means lie, the digest of the
normalized variant. Loads torch only for means that have to be found, or a digest made.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from pipeline.manifest import Manifest, Network
from pipeline.store import RunFolder


def means_file(store: RunFolder, digest: str, *, several: bool) -> Path:
    """Where the means of a network lie in a run folder, or are to lie.

    Args:
        digest: of its plain weights.
        several: the run has other networks beside it, each of which has its own.

    Raises:
        WeightsError: damaged.
    """
    own = store.means.with_stem(f"{store.means.stem}-{digest[:16]}")
    if store.inside.is_file(own):
        return own
    if several and _made_for(store) != digest:
        return own
    return store.means


def kept_means(store: RunFolder, digest: str) -> Path | None:
    """The means of a network that a run folder has, or None.

    Raises:
        WeightsError: damaged.
    """
    path = means_file(store, digest, several=False)
    if not store.inside.is_file(path):
        return None
    return path if path != store.means or _made_for(store) in ("", digest) else None


def _made_for(store: RunFolder) -> str | None:
    """The digest that the means of a run's one network are of; empty of an older version's, None
    where there are none."""
    from pipeline.store import means_made_for  # here alone: it loads torch

    return means_made_for(store.means) if store.inside.is_file(store.means) else None


def normalized_digest(
    network: Network, digest: str, manifest: Manifest, cache: Path, store: RunFolder, *, keep: bool
) -> str:
    """The digest of the normalized variant of a network.

    Args:
        digest: of its plain weights.
        cache: the cache folder.
        keep: store the means in the run folder.

    Raises:
        WeightsError: the weights or the means are damaged.
    """
    # Here alone: most plans need no torch, and it takes seconds to load.
    from pipeline.method import load_weights
    from pipeline.store import find_means, load_means, normalized, save_means

    weights = load_weights(*network, cache)
    kept = kept_means(store, digest)
    if kept is not None:
        return normalized(weights, load_means(kept)).digest
    means = find_means(weights, pictures_to_normalize_by(manifest), cache.resolve())
    if keep:
        path = means_file(store, digest, several=len(manifest.backbones) > 1)
        save_means(store.inside.writable(path), means, weights.digest)
        store.inside.send(path)
    return normalized(weights, means).digest


def pictures_to_normalize_by(manifest: Manifest) -> list[Path]:
    """The manifest's pictures, for the normalized variant: contents, then styles."""
    frames = (frame for content in manifest.contents for frame in content.frames)
    contents = [frame.path for frame in itertools.islice(frames, 32)]
    styles = [path for style in manifest.styles for path, _ in style.parts][:32]
    return contents + styles
