"""Which network a job goes through: its name, and where its weights come from.

In: `backbone` as people write it. Out: one plain form of it, which settings have, and a `Network`.
Looks for no files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.address import as_path
from pipeline.layers import AUTO, BACKBONES
from pipeline.manifest.close_names import nearest

# As settings have it: a name, or a mapping of it and what else is said; None for the manifest's.
Plain = str | dict[str, str] | None

# What `backbone: weights:` may say instead of a file.
WEIGHT_SOURCES = ("caffe", "torchvision")
# What the first convolution of each wants to see.
WANTED_PREPROCESSING = {"caffe": "caffe", "torchvision": "imagenet"}
_PREPROCESSINGS = ("caffe", "imagenet")
_KEYS = ("name", "weights", "preprocessing")
_DEFAULT = "vgg19"  # of a mapping that names none


class Network(NamedTuple):
    """A network.

    Attributes:
        weights: its file, one of `WEIGHT_SOURCES`, or None for the first that is there.
        preprocessing: of its first convolution; None for the weights' own.
    """

    name: str
    weights: Path | str | None = None
    preprocessing: str | None = None


def plain_backbone(value: object) -> Plain:
    """A backbone in its one plain form.

    Raises:
        ValueError: with what is wrong.

    >>> plain_backbone({"name": "lite"}), plain_backbone({"weights": "caffe"})
    ('lite', {'name': 'vgg19', 'weights': 'caffe'})
    """
    if value is None:
        return None
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise ValueError("must be a name, or {name, weights, preprocessing}")
    for key, said in given.items():
        if key not in _KEYS:
            raise ValueError(f"unknown key {key!r}" + nearest(str(key), _KEYS))
        if said is not None and (not isinstance(said, str) or not said):
            raise ValueError(f"{key} must be text")
    said = {key: str(given[key]) for key in _KEYS if given.get(key) is not None}
    name = said.setdefault("name", _DEFAULT)
    if name == AUTO:
        raise ValueError(f"auto stands for one of {', '.join(BACKBONES)}; name it")
    if name not in BACKBONES:
        raise ValueError("no such backbone" + nearest(name, BACKBONES))
    kind = said.get("preprocessing", _PREPROCESSINGS[0])
    if kind not in _PREPROCESSINGS:
        raise ValueError(f"no such preprocessing, {kind!r}" + nearest(kind, _PREPROCESSINGS))
    return name if len(said) == 1 else {key: said[key] for key in _KEYS if key in said}


def backbone_text(value: Plain) -> str:
    """A plain backbone as a name of it; empty for the manifest's own.

    >>> backbone_text("lite"), backbone_text({"name": "vgg19", "weights": "caffe"})
    ('lite', '{"name": "vgg19", "weights": "caffe"}')
    """
    return value or "" if isinstance(value, (str, type(None))) else json.dumps(value)


def as_plain(network: Network) -> Plain:
    """A network in the plain form; the other way round than `network_of`.

    >>> as_plain(Network("vgg19", Path("own.pth"))), as_plain(Network("lite"))
    ({'name': 'vgg19', 'weights': 'own.pth'}, 'lite')
    """
    said = {key: str(value) for key, value in network._asdict().items() if value is not None}
    return said if len(said) > 1 else network.name


def network_of(value: str | Mapping[str, Any]) -> Network:
    """The network that a plain backbone names; what is not one of `WEIGHT_SOURCES` is a file."""
    if isinstance(value, str):
        return Network(value)
    weights, name = value.get("weights"), value["name"]
    if weights is not None and (weights not in WEIGHT_SOURCES or name == "lite"):
        weights = as_path(weights)
    return Network(name, weights, value.get("preprocessing"))
