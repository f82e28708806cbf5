"""Explicit pairs, in the manifest or in a map: pictures, style, settings of their own.

In: entries of `pairs`, rows of a map. Out: pairs as indices into contents and styles; what is
wrong is reported with the line of the manifest or the map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.errors import ManifestError
from pipeline.manifest.backbone import check_network, layer_problems, shared_backbones
from pipeline.manifest.check import concerns_others, settings_problems, together_problems
from pipeline.manifest.clips import find_contents
from pipeline.manifest.consistency import init_problem
from pipeline.manifest.document import Document, Position, Report, parse_value, position_text
from pipeline.manifest.explain import explain, is_of_the_form_meant
from pipeline.manifest.levels import swept_twice
from pipeline.manifest.maps import read_map
from pipeline.manifest.model import Pair, Picture, Style
from pipeline.manifest.networks import network_of
from pipeline.manifest.old_names import renamed_row
from pipeline.manifest.paths import has_file, meant, path_in
from pipeline.manifest.pictures import find_pictures
from pipeline.manifest.reading import Reading, with_paths
from pipeline.manifest.remote import without_secrets
from pipeline.manifest.schema import Blend, PairEntry
from pipeline.manifest.settings import Settings
from pipeline.manifest.styles import several_pictures

# Cells of a map that are remembered; most rows have the same.
_MOST_CELLS = 10_000


@dataclass(frozen=True)
class Row:
    """One entry of `pairs`, or one row of a map, and how to report what is wrong with it."""

    entry: PairEntry
    base: Path
    report: Report


def map_rows(reading: Reading, name: str) -> list[Row]:
    """The rows of the map that `pairs` names; what is wrong with them is reported."""
    path = path_in(reading.base, name)
    rows: list[Row] = []
    try:
        for at, values in read_map(path, lru_cache(_MOST_CELLS)(parse_value)):
            report = _report_in_map(reading.document, at)
            entry = _map_entry(reading, at, values, report)
            if entry is not None:
                rows.append(Row(entry, path.parent, report))
    except ManifestError as error:
        reading.document.problems.extend(error.problems)
    return rows


def _map_entry(
    reading: Reading, at: str, values: Mapping[str, Any], report: Report
) -> PairEntry | None:
    """One row, or None where it has been reported."""
    try:
        values = without_secrets(values)
        row = renamed_row(reading.document, at, values, reading.spelled)
        return PairEntry.model_validate(row)
    except ValidationError as error:
        for problem in filter(is_of_the_form_meant, error.errors()):
            parts = tuple(p for p in problem["loc"] if p not in ("str", "Blend"))
            report(parts, explain(problem, ("pairs", 0, *parts)))
    except ValueError as error:
        report(("settings",), str(error))
    return None


def _report_in_map(document: Document, at: str) -> Report:
    def report(position: Position, message: str) -> None:
        what = position_text(position)
        document.problems.append(f"{at}: {what}: {message}" if what else f"{at}: {message}")

    return report


def explicit_pairs(reading: Reading) -> Iterator[Pair]:
    """The pairs that the manifest itself lists."""
    for index, entry in reading.document.places("pairs", reading.file.pairs):
        short = isinstance(reading.document.data["pairs"][index], list)
        row = Row(entry, reading.base, _report_in_pair(reading, index, short))
        own = with_paths(row.base, _pair_settings(reading, row))
        yield from _pairs_of(reading, row, own)


def _report_in_pair(reading: Reading, index: int, short: bool) -> Report:
    """Reports problems of an entry; `[content, style]` has places instead of keys."""
    places: Mapping[Any, int] = {"content": 0, "style": 1} if short else {}

    def report(below: Position, message: str) -> None:
        own = (places.get(below[0], below[0]), *below[1:]) if below else ()
        reading.document.report(("pairs", index, *own), message)

    return report


def mapped_pairs(reading: Reading, rows: Sequence[Row]) -> Iterator[Pair]:
    """The pairs of a map; its rows mostly have settings that another row had before."""
    for row in rows:
        key = ("settings", row.base, repr(row.entry.settings))
        (own,) = reading.once(key, row.report, partial(_own_settings, reading, row))
        yield from _pairs_of(reading, row, own)


def _own_settings(reading: Reading, row: Row, report: Report) -> list[dict[str, Any]]:
    own = _pair_settings(reading, replace(row, report=report))
    return [with_paths(row.base, own)]


def _pairs_of(reading: Reading, row: Row, own: Mapping[str, Any]) -> Iterator[Pair]:
    """All pairs that one row stands for: a folder or a glob is several pictures."""
    styles = _styles_of(reading, row)
    for picture in _contents_of(reading, row):
        for style in styles:
            yield Pair(reading.contents.add(picture), reading.styles.add(style), own)


def _below(report: Report, name: str) -> Report:
    return lambda position, message: report((name, *position), message)


def _contents_of(reading: Reading, row: Row) -> list[Picture]:
    entry = row.entry
    found = reading.once(
        ("content", row.base, entry.content),
        _below(row.report, "content"),
        lambda report: find_contents(reading, report, row.base, meant(row.base, entry.content)),
    )
    if entry.label is not None:
        found = [replace(picture, label=entry.label, file="") for picture in found]
    if entry.mask is not None:
        mask = _named_mask(reading, row, "mask", entry.mask)
        found = [picture.masked(lambda _: mask) for picture in found]
    if entry.keep is not None:
        keep = _named_mask(reading, row, "keep", entry.keep)
        found = [picture.kept(lambda _: keep) for picture in found]
    return found


def _named_mask(reading: Reading, row: Row, name: str, written: str) -> Path:
    mask = path_in(row.base, meant(row.base, written))
    try:
        if not has_file(mask):
            row.report((name,), f"{written}: no such file" + reading.nearby(mask))
    except OSError as error:
        row.report((name,), f"{written}: {error.strerror}")
    return mask


def _styles_of(reading: Reading, row: Row) -> list[Style]:
    style = row.entry.style
    if isinstance(style, Blend):
        return [several_pictures(reading, _below(row.report, "style"), row.base, style)]
    if style in reading.named:
        return [known for known in reading.styles.items if known.label == style][:1]
    found = reading.once(
        ("style", row.base, style),
        _below(row.report, "style"),
        lambda report: find_pictures(reading, report, row.base, meant(row.base, style)),
    )
    return [Style(Path(p.label).name, ((p.path, 1.0),)) for p in found]


def _check_levels(reading: Reading, row: Row) -> None:
    """The levels that the grid sweeps go with what this pair has of its own."""
    own, swept = row.entry.settings, reading.axes
    for level, message in swept_twice({**reading.settings, **own}, swept):
        if level not in dict(swept_twice(reading.settings, swept)):  # that was said of the grid
            row.report(("settings",), f"{level}, swept in `grid`, {message}")


def _pair_settings(reading: Reading, row: Row) -> dict[str, Any]:
    """A pair's own settings as validated."""
    own = row.entry.settings
    wrong = False
    for name in own:
        if name in reading.axes:
            row.report(("settings", name), f"{name} is swept in `grid`; leave it out of one")
            wrong = True
    together = {**reading.settings, **own}
    problems = settings_problems(together)
    for place, message in problems:
        if place and place[0] in own:
            row.report(("settings", *place), message)
            wrong = True
    if wrong or problems:
        return {}
    valid = Settings.model_validate(together)
    if concerns_others(own):
        for problem in together_problems(together, reading.axes):
            row.report(("settings",), problem)
    _check_levels(reading, row)
    problem = init_problem(row.base, valid.init) if "init" in own else ""
    if problem:
        row.report(("settings", "init"), problem)
    _check_backbone(reading, row, valid)
    # Null is what a pair has without it.
    return {n: getattr(valid, n) for n in own if n != "backbone" or valid.backbone is not None}


def _check_backbone(reading: Reading, row: Row, valid: Settings) -> None:
    """The network that a pair names is there, and has the layers that are asked of it; the shared
    ones have those that the pair asks for.

    Args:
        valid: the pair's settings with those of every job.
    """
    own = row.entry.settings
    if own.get("backbone") is None or valid.backbone is None:
        for backbone in shared_backbones(reading):
            for name, lacking in layer_problems(backbone, own):
                row.report(("settings", name), lacking)
        return
    network = network_of(valid.backbone)
    check_network(row.base, network, _below(_below(row.report, "settings"), "backbone"))
    swept = [{axis: value} for axis, values in reading.axes.items() for value in values]
    for asked in ({**reading.settings, **own}, *swept):
        for name, lacking in layer_problems(network.name, asked):
            row.report(("settings", name if name in own else "backbone"), lacking)
