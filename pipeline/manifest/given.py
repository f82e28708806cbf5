"""Settings from the command line in the place of a manifest's own.

In: a document, and settings by their present names. Out: the document with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.manifest.document import Document, Position


def take_given(document: Document, given: Mapping[str, Any]) -> None:
    """Puts settings into a manifest's `settings`.

    What the grid or a pair has values of its own for is a problem of the document.
    """
    data = document.data
    pairs = data.get("pairs")
    entries = dict(enumerate(pairs)) if isinstance(pairs, list) else {}
    places: list[tuple[Position, object]] = [(("grid",), data.get("grid"))]
    places += [
        (("pairs", index, "settings"), entry.get("settings"))
        for index, entry in entries.items()
        if isinstance(entry, dict)
    ]
    for name in given:
        for position, values in places:
            if isinstance(values, dict) and name in values:
                way = f"use --only {name}=..." if position == ("grid",) else "change them there"
                document.report(
                    (*position, name), f"has values here, which --set {name} cannot replace; {way}"
                )
    own = data.get("settings")
    if given.get("backbone") is not None:
        data.pop("backbone", None)  # which this takes the place of
    if given and (own is None or isinstance(own, dict)):
        data["settings"] = {**(own or {}), **given}
