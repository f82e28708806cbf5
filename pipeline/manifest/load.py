"""The way from a manifest's file to a valid manifest, step by step.

In: a file. Out: a frozen `Manifest` whose pictures exist and whose settings are all valid. Every
problem is reported at once, each with the manifest's line. Knows nothing of jobs, devices or the
run folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.address import clean
from pipeline.errors import ManifestError
from pipeline.files import real
from pipeline.manifest.backbone import check_backbones, check_layers
from pipeline.manifest.check import check_grid, check_settings, check_together, concerns_others
from pipeline.manifest.clips import check_clips, find_contents
from pipeline.manifest.consistency import check_blends, check_init, check_pairing
from pipeline.manifest.contents import Contents
from pipeline.manifest.document import document_of, read_document
from pipeline.manifest.folders import Passed
from pipeline.manifest.given import take_given
from pipeline.manifest.job_names import JobNames, named_jobs
from pipeline.manifest.masks import add_masks, without_masks
from pipeline.manifest.model import Manifest, Pair, Picture, Style
from pipeline.manifest.networks import Network, network_of
from pipeline.manifest.old_names import take_old_names
from pipeline.manifest.pairs import explicit_pairs, map_rows, mapped_pairs
from pipeline.manifest.paths import path_in
from pipeline.manifest.pictures import find_pictures
from pipeline.manifest.reading import Reading, with_path, with_paths
from pipeline.manifest.remote import check_schemes, clean_document, output_problem
from pipeline.manifest.sets import check_cut, is_whole_set, whole_sets
from pipeline.manifest.structure import check_structure
from pipeline.manifest.styles import several_pictures
from pipeline.remote import forget_listed

DEFAULT_MAX_JOBS = 10_000_000


def load_manifest(
    path: Path | str | Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> Manifest:
    """Reads and validates a manifest, finds its pictures, checks every setting and grid value.

    Args:
        path: its file; or a manifest as a mapping, whose paths are relative to the working folder.
        given: settings that take the place of the manifest's own.

    Raises:
        ManifestError: with one message per problem, all of them at once.
    """
    document = document_of(path) if isinstance(path, Mapping) else read_document(Path(path))
    check_schemes(document)
    document.raise_if_any()
    clean_document(document)
    map_name = document.data.get("pairs")
    if isinstance(map_name, str):
        document.data["pairs"] = []
    spelled = take_old_names(document)
    take_given(document, given or {})
    file = check_structure(document)
    settings = check_settings(document)
    reading = Reading(document, file, settings, check_grid(document, settings), spelled)
    rows = map_rows(reading, map_name) if isinstance(map_name, str) else []
    problem = output_problem(reading.output)
    if problem:
        document.report(("output", "path"), problem)
        document.raise_if_any()
    forget_listed()
    _find_contents(reading)
    _find_styles(reading)
    without_masks(reading)
    paired = (len(reading.contents.items), len(reading.styles.items))
    pairs = [*explicit_pairs(reading), *mapped_pairs(reading, rows)]
    if all(paired) or not pairs or not all(concerns_others(pair.settings) for pair in pairs):
        check_together(document, settings, reading.axes)  # else no job has them without its own
    check_cut(reading)
    check_pairing(reading, paired, pairs)
    own = check_backbones(reading)
    check_layers(reading)
    check_init(reading)
    check_blends(reading, pairs)
    add_masks(reading, paired, pairs)
    check_clips(reading)
    exclude = _excluded(reading)
    document.raise_if_any()
    return replace(_manifest(reading, paired, pairs, own), exclude=exclude)


def output_of(path: Path) -> Path:
    """Where a manifest's run goes, whatever else is wrong with it.

    Raises:
        ManifestError: it cannot be read, or says no output.
    """
    document = read_document(path)
    given = document.data.get("output")
    given = given.get("path") if isinstance(given, Mapping) else given
    if not isinstance(given, str) or not given:
        raise ManifestError([document.at(document.line_of(("output",)), "names no `output`")])
    return real(path_in(real(path).parent, given))


def _excluded(reading: Reading) -> JobNames:
    """The jobs that `exclude` names; lists that cannot be read are reported."""
    found: list[str] = []
    for index, entry in reading.document.places("exclude", reading.file.exclude):
        try:
            found += named_jobs([entry], reading.base).entries
        except ManifestError as error:
            for problem in error.problems:
                reading.at("exclude", index)((), problem)
    return JobNames(tuple(dict.fromkeys(found)))


def _find_contents(reading: Reading) -> None:
    """The content pictures of `content`."""
    for index, pattern in reading.document.places("content", reading.file.content):
        report = reading.at("content", index)
        if is_whole_set(reading.base, pattern):
            for pictures in whole_sets(reading, report, reading.base, pattern):
                reading.contents.add_set(pictures)
            continue
        for picture in find_contents(reading, report, reading.base, pattern, reading.folders):
            reading.contents.add(picture)


def _find_styles(reading: Reading) -> None:
    """The styles of `style`."""
    for index, entry in reading.document.places("style", reading.file.style):
        report = reading.at("style", index)
        if isinstance(entry, str):
            for picture in find_pictures(reading, report, reading.base, entry):
                reading.styles.add(Style(Path(picture.label).name, ((picture.path, 1.0),)))
        else:
            reading.styles.add(several_pictures(reading, report, reading.base, entry))


def _manifest(
    reading: Reading, paired: tuple[int, int], pairs: list[Pair], own: Network
) -> Manifest:
    """What was read, as the value that the stages after this one work on.

    Args:
        own: the network of jobs that name none.
    """
    base, file, document = reading.base, reading.file, reading.document
    settings = with_paths(base, {k: v for k, v in reading.settings.items() if k != "backbone"})
    axes = {
        name: tuple(with_path(base, name, value) for value in values)
        for name, values in reading.axes.items()
    }
    used = _network_used(own, axes, paired, pairs)
    return Manifest(
        path=document.path,
        text=clean(document.text),
        output=reading.output,
        contents=_unchanging(reading.contents.items),
        styles=tuple(reading.styles.items),
        pairing=file.pairing,
        pairs=tuple(pairs),
        paired=paired,
        backbone=used.name,
        weights=used.weights,
        settings=settings,
        axes=axes,
        folders=tuple(dict.fromkeys(reading.folders)),
        form=file.output,
        spelled=dict(reading.spelled),
        warnings=tuple(document.warnings),
        preprocessing=used.preprocessing,
        passed=_all_passed(reading),
    )


def _network_used(
    own: Network,
    axes: Mapping[str, tuple[Any, ...]],
    paired: tuple[int, int],
    pairs: Sequence[Pair],
) -> Network:
    """The network of jobs that name none; the first of the others where all name one."""
    if "backbone" in axes:
        return network_of(axes["backbone"][0])
    if pairs and not all(paired) and all("backbone" in pair.settings for pair in pairs):
        return network_of(pairs[0].settings["backbone"])
    return own


def _unchanging(items: Sequence[Picture]) -> Sequence[Picture]:
    return items if isinstance(items, Contents) else tuple(items)


def _all_passed(reading: Reading) -> str:
    """What the folders hold beside the pictures that were taken."""
    every = Passed()
    for passed in reading.passed.values():
        every.add(passed)
    return every.text()
