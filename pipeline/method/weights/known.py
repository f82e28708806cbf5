"""What planning needs to know of a network: its digest and its layers.

In: a backbone's name and where its weights are to come from. Out: `Known`; of a well-known file as
it was when last read, so that most plans load no arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import WeightsError
from pipeline.layers import BACKBONES, LAYERS
from pipeline.manifest import WANTED_PREPROCESSING
from pipeline.method.weights.sources import Source, find_source, recall, remember


@dataclass(frozen=True)
class Known:
    """What planning needs to know of a network.

    Attributes:
        digest: SHA-256 over its numbers.
        layers: that it has, in order.
        about: what it is and where it is from, in a line.
        choice: where its weights come from, as a manifest would say it; None for the shipped one.
        widths, heads: channels of its layers, in order, and of their projections.
    """

    digest: str
    layers: tuple[str, ...]
    about: str
    choice: Path | str | None
    widths: Mapping[str, int] = field(default_factory=dict)
    heads: Mapping[str, int] = field(default_factory=dict)


def source_of(
    name: str, choice: Path | str | None, preprocessing: str | None, cache: Path | None
) -> Source:
    """Where a backbone's weights are; the arguments are those of `read_weights`.

    Raises:
        WeightsError: unknown name, no weights, a preprocessing that known weights do not want.
    """
    if name not in BACKBONES:
        raise WeightsError(f"backbone {name!r} is unknown; known are {', '.join(BACKBONES)}")
    source = find_source(name, choice, cache)
    known = source.choice if isinstance(source.choice, str) else ""
    wanted = WANTED_PREPROCESSING.get(known)
    if wanted and preprocessing not in (None, wanted):
        raise WeightsError(
            f"{source.file}: {known}'s weights want preprocessing {wanted}, not {preprocessing}; "
            f"leave preprocessing out"
        )
    return source


def weights_digest(
    name: str,
    choice: Path | str | None = None,
    preprocessing: str | None = None,
    cache: Path | None = None,
) -> str:
    """The digest of a backbone's weights, as `load_weights(...).digest`.

    Raises:
        WeightsError: as `read_weights`.
    """
    return inspect_weights(name, choice, preprocessing, cache).digest


def inspect_weights(
    name: str,
    choice: Path | str | None = None,
    preprocessing: str | None = None,
    cache: Path | None = None,
) -> Known:
    """What planning needs to know of a network; of a well-known file as it was when last read.

    Args:
        cache: as in `find_source`; the others as in `read_weights`.

    Raises:
        WeightsError: as `read_weights`.
    """
    source = source_of(name, choice, preprocessing, cache)
    remembered = recall(source) if preprocessing is None else {}
    widths = _widths(remembered.get("widths", ""))
    if widths and len(remembered.get("digest", "")) == 64:
        heads = _widths(remembered.get("heads", ""))
        digest = remembered["digest"]
        return Known(digest, tuple(widths), source.about, source.choice, widths, heads)
    from pipeline.method.weights.network import read_source  # here alone: arrays take a while

    arrays = read_source(source, preprocessing)
    digest = arrays.digest()
    widths, heads = (
        {layer: len(bias) for layer, (_, bias) in pairs.items()}
        for pairs in (arrays.convs, arrays.heads)
    )
    if preprocessing is None:
        noted = {"widths": _noted(widths), "heads": _noted(heads)}
        remember(source, {"digest": digest, **noted})
    return Known(digest, tuple(widths), source.about, source.choice, widths, heads)


def _noted(widths: Mapping[str, int]) -> str:
    return " ".join(f"{layer}:{width}" for layer, width in widths.items())


def _widths(noted: str) -> dict[str, int]:
    """What `_noted` wrote; empty if it is anything else."""
    parts = [word.partition(":") for word in noted.split()]
    if not all(layer in LAYERS and width.isdigit() for layer, _, width in parts):
        return {}
    return {layer: int(width) for layer, _, width in parts}
