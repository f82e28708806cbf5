"""Styles of several pictures: blends, and a picture for each region.

In: an entry of `style`. Out: one style; pictures that cannot be found are reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.address import Address
from pipeline.manifest.document import Position, Report
from pipeline.manifest.model import Style
from pipeline.manifest.paths import is_file, path_in
from pipeline.manifest.pictures import one_file
from pipeline.manifest.reading import Reading
from pipeline.manifest.schema import Blend
from pipeline.pictures import region_name


def several_pictures(reading: Reading, report: Report, base: Path, entry: Blend) -> Style:
    """A blend, or a style of several regions."""
    if entry.regions:
        return _by_regions(reading, report, base, entry)
    total = sum(entry.blend.values())
    parts = []
    for name, weight in entry.blend.items():
        for path in _part_file(reading, report, ("blend", name), base, name):
            parts.append((path, weight / total))
    return Style(entry.name, tuple(parts))


def _by_regions(reading: Reading, report: Report, base: Path, entry: Blend) -> Style:
    found: dict[str, Path] = {}
    for color, name in entry.regions.items():
        try:
            region = region_name(color)
        except ValueError:
            report(
                ("regions", color),
                "must be a CSS color name, such as white, #rrggbb, or a level 0 to 255",
            )
            continue
        if region in found:
            report(("regions", color), f"{region} stands twice")
        for path in _part_file(reading, report, ("regions", color), base, name):
            found[region] = path
    parts = tuple((path, 1.0) for path in found.values())
    return Style(entry.name, parts, regions=tuple(found))


def _part_file(
    reading: Reading, report: Report, position: Position, base: Path, name: str
) -> Iterator[Path]:
    path = path_in(base, name)
    if not isinstance(path, Address) and not is_file(path):
        report(position, f"{name}: no such file" + reading.nearby(path))
        return
    for picture in one_file(lambda below, message: report((*position, *below), message), path):
        yield picture.path
