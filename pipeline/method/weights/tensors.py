"""A network's weights as tensors.

In: a network's arrays, or tensors that were trained. Out: `Weights`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.method.weights.network import Pair, digest_of, read_weights


@dataclass(frozen=True)
class Weights:
    """A network's weights, in memory.

    Attributes:
        name: the backbone's name.
        convs: per layer the 3x3 kernel C_out x C_in x 3 x 3 and the bias C_out.
        heads: per layer an optional 1x1 projection K x C x 1 x 1 and bias K, applied after the
            ReLU to what is handed out as that layer's features, never to what flows on.
        input: 1x1 kernel 3 x 3 x 1 x 1 and bias 3 that turn RGB in [0, 1] into what the first
            convolution wants.
        source: where the weights came from, for messages.
        digest: SHA-256 over all numbers, independent of the file's format.
        channels: per layer the number of channels N of the losses' formulas, where it is not that
            of the features: a small network stands in for one with more.
        means: of a small network, per layer by what the normalized variant of the one that it
            stands in for makes features smaller: about its mean activation.
    """

    name: str
    convs: Mapping[str, tuple[Tensor, Tensor]]
    heads: Mapping[str, tuple[Tensor, Tensor]]
    input: tuple[Tensor, Tensor]
    source: str
    digest: str = field(default="")
    channels: Mapping[str, int] = field(default_factory=dict)
    means: Mapping[str, float] = field(default_factory=dict)

    def with_digest(self) -> Weights:
        """The same weights with `digest` computed."""
        convs = {layer: _arrays(pair) for layer, pair in self.convs.items()}
        heads = {layer: _arrays(pair) for layer, pair in self.heads.items()}
        first = _arrays(self.input)
        return replace(self, digest=digest_of(first, convs, heads, self.channels, self.means))


def load_weights(
    name: str,
    choice: Path | str | None = None,
    preprocessing: str | None = None,
    cache: Path | None = None,
) -> Weights:
    """Loads the weights of backbone `name`; see `read_weights`.

    Raises:
        WeightsError: unknown name, missing or damaged file, missing layer, wrong shape, another
            network, no network to fetch it from.
    """
    read = read_weights(name, choice, preprocessing, cache)
    return Weights(
        name=read.name,
        convs={layer: _tensors(pair) for layer, pair in read.convs.items()},
        heads={layer: _tensors(pair) for layer, pair in read.heads.items()},
        input=_tensors(read.input),
        source=read.source,
        digest=read.digest(),
        channels=read.channels,
        means=read.means,
    )


def _tensors(pair: Pair) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(pair[0]), torch.from_numpy(pair[1])


def _arrays(pair: tuple[Tensor, Tensor]) -> Pair:
    def array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
        found: np.ndarray[Any, np.dtype[np.float32]] = (
            tensor.detach().float().contiguous().cpu().numpy()
        )
        return found

    return array(pair[0]), array(pair[1])
