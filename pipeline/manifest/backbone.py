"""The backbones in a manifest: their weights, their preprocessing, and layers that they lack.

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
from pipeline.manifest.document import Report
from pipeline.manifest.networks import WANTED_PREPROCESSING, WEIGHT_SOURCES, Network, network_of
from pipeline.manifest.paths import is_file, nearby, path_in
from pipeline.manifest.reading import Reading
from pipeline.manifest.settings import Settings


def check_backbones(reading: Reading) -> Network:
    """The network of `backbone`, or of `settings` if it stands there; those of the grid are looked
    at as well, and what is wrong with any of them is reported."""
    for index, value in reading.swept("backbone"):
        check_network(reading.base, network_of(value), reading.at("grid", "backbone", index))
    own = reading.settings.get("backbone")
    if own is not None:
        if "backbone" in reading.document.data:
            said = "stands beside `settings` as well; leave one out"
            reading.document.report(("settings", "backbone"), said)
        valid = Settings.model_validate({"backbone": own}).backbone or ""
        return check_network(reading.base, network_of(valid), reading.at("settings", "backbone"))
    given = reading.file.backbone
    if given.name == AUTO and (given.weights or given.preprocessing):
        message = "auto goes without weights and preprocessing; name the backbone that they are of"
        reading.document.report(("backbone",), message)
        return Network(AUTO)
    named = network_of(given.model_dump(exclude_none=True))
    return check_network(reading.base, named, reading.at("backbone"))


def check_network(base: Path, network: Network, report: Report) -> Network:
    """The network, its weight file as it lies from a folder; reported if it is not there, or wants
    another preprocessing."""
    named = network.weights
    if named is None:
        return network
    if isinstance(named, str):
        _check_preprocessing(network, named, report)
        return network
    weights = path_in(base, str(named))
    if isinstance(weights, Address):
        said = f"{weights}: weights are read from local disks; copy the file to one"
        report(("weights",), said)
    elif not is_file(weights):
        report(("weights",), _no_file(network.name, str(named), weights))
    return network._replace(weights=weights)


def _check_preprocessing(network: Network, source: str, report: Report) -> None:
    """What is said of the input of weights that are known goes with them."""
    given, wanted = network.preprocessing, WANTED_PREPROCESSING[source]
    if given not in (None, wanted):
        report(
            ("preprocessing",),
            f"{source}'s weights want preprocessing {wanted}, not {given}; leave preprocessing out",
        )


def _no_file(backbone: str, named: str, weights: Path) -> str:
    source = source_meant(named)
    if source and backbone == "lite":
        return f"lite has no weights of {source}; leave weights out for its own, or name a file"
    near = f"; did you mean {source}?" if source else nearby(weights)
    return f"{weights}: no such weight file" + near


def shared_backbones(reading: Reading) -> list[str]:
    """The names of the networks that jobs without one of their own go through."""
    axis = reading.axes.get("backbone", ())
    own = reading.settings.get("backbone")
    if not axis and own is None:
        return [reading.file.backbone.name]
    values = axis or (Settings.model_validate({"backbone": own}).backbone,)
    return list(dict.fromkeys(network_of(value).name for value in values))


def check_layers(reading: Reading) -> None:
    """The settings and the grid ask for layers that the networks of these names have."""
    shared = {k: v for k, v in reading.settings.items() if k not in reading.axes}
    for backbone in shared_backbones(reading):
        for name, problem in layer_problems(backbone, shared):
            reading.document.report(("settings", name), problem)
        for axis in sorted(_LAYERED & reading.axes.keys()):
            for index, value in reading.swept(axis):
                for _, problem in layer_problems(backbone, {axis: value}):
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
