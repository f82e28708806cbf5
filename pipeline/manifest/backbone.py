"""The backbone in a manifest: its weights, their preprocessing, and layers that it lacks.

In: a manifest while it is read. Out: where the weights come from; what is wrong is reported. Looks
for no weights but a named file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.address import Address
from pipeline.layers import AUTO, LAYERS, LAYERS_OF, no_layers
from pipeline.manifest.paths import is_file, nearby, path_in
from pipeline.manifest.reading import Reading
from pipeline.manifest.settings import Settings
from pipeline.manifest.table import WANTED_PREPROCESSING, WEIGHT_SOURCES


def check_weights(reading: Reading) -> Path | str | None:
    """The backbone's weight file, if one is named, reported if it is not there; or a source."""
    backbone = reading.file.backbone
    named = backbone.weights
    if backbone.name == AUTO and (named or backbone.preprocessing):
        message = "auto goes without weights and preprocessing; name the backbone that they are of"
        reading.document.report(("backbone",), message)
        return None
    if not named:
        return None
    if named in WEIGHT_SOURCES and backbone.name != "lite":
        _check_preprocessing(reading, named)
        return named
    weights = path_in(reading.base, named)
    if isinstance(weights, Address):
        said = f"{weights}: weights are read from local disks; copy the file to one"
        reading.document.report(("backbone", "weights"), said)
    elif not is_file(weights):
        reading.document.report(("backbone", "weights"), _no_file(backbone.name, named, weights))
    return weights


def _check_preprocessing(reading: Reading, source: str) -> None:
    """What is said of the input of weights that are known goes with them."""
    given, wanted = reading.file.backbone.preprocessing, WANTED_PREPROCESSING[source]
    if given not in (None, wanted):
        reading.document.report(
            ("backbone", "preprocessing"),
            f"{source}'s weights want preprocessing {wanted}, not {given}; leave preprocessing out",
        )


def _no_file(backbone: str, named: str, weights: Path) -> str:
    source = source_meant(named)
    if source and backbone == "lite":
        return f"lite has no weights of {source}; leave weights out for its own, or name a file"
    near = f"; did you mean {source}?" if source else nearby(weights)
    return f"{weights}: no such weight file" + near


def check_layers(reading: Reading) -> None:
    """The settings and the grid ask for layers that the network of this name has."""
    shared = {k: v for k, v in reading.settings.items() if k not in reading.axes}
    for name, problem in layer_problems(reading.file.backbone.name, shared):
        reading.document.report(("settings", name), problem)
    for axis in _LAYERED & reading.axes.keys():
        for index, value in enumerate(reading.axes[axis]):
            for _, problem in layer_problems(reading.file.backbone.name, {axis: value}):
                reading.document.report(("grid", axis, index), problem)


_LAYERED = {"content_layers", "style_layers"}


def layer_problems(backbone: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each of these valid settings that asks for a layer which no such network has, and which."""
    there = LAYERS_OF.get(backbone, LAYERS)
    for name in sorted(_LAYERED & settings.keys()):
        asked = getattr(Settings.model_validate({name: settings[name]}), name)
        missing = [layer for layer in asked if layer not in there]
        if missing:
            yield name, no_layers(f"backbone {backbone}", missing, there)


def source_meant(word: str) -> str | None:
    """The word of `WEIGHT_SOURCES` that a misspelled one means, or None; paths mean files.

    >>> [source_meant(word) for word in ("Caffe", "torchvison", "mine", "a/caffe", "caffe.pth")]
    ['caffe', 'torchvision', None, None, None]
    """
    if not re.fullmatch(r"[\w -]+", word):
        return None
    close = difflib.get_close_matches(word.strip().lower(), WEIGHT_SOURCES, 1, 0.6)
    return close[0] if close else None
