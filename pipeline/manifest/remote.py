"""Pictures of remote storage that a word of the manifest stands for; addresses without secrets.

In: an address: a file, a folder, a glob. Out: pictures with labels, as of local folders, from one
listing; what cannot be found is reported. No picture is fetched for it, but one that is named.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from pipeline.address import SCHEMES, Address, as_path, is_address, secret_of
from pipeline.errors import ImageError, ManifestError
from pipeline.manifest.document import Document, Report
from pipeline.manifest.folders import (
    HIDDEN,
    RUN_PICTURES,
    RUNS,
    SYSTEMS,
    Passed,
    Pattern,
)
from pipeline.manifest.model import Picture
from pipeline.manifest.reading import Reading
from pipeline.pictures import check_header, is_image_name, is_video_name
from pipeline.remote import Found, listing, look, note_listed

WEB = ("http", "https")
_WRITTEN = ("s3", "gs", "memory")
_States = frozenset[int]


def without_secrets(value: Any) -> Any:
    """A value of a manifest with its addresses as they may be shown; their secrets are kept for
    this process.

    Raises:
        ManifestError: two addresses that differ in nothing that may be shown.
    """
    queries: dict[str, str] = {}

    def cleaned(given: Any) -> Any:
        if isinstance(given, Mapping):
            return {cleaned(key): cleaned(inner) for key, inner in given.items()}
        if isinstance(given, list):
            return [cleaned(inner) for inner in given]
        if not isinstance(given, str) or not is_address(given):
            return given
        address = as_path(given)
        assert isinstance(address, Address)
        query = secret_of(address)[1] if "?" in given else ""
        if queries.setdefault(str(address), query) != query:
            raise ManifestError(
                [
                    f"{address}: stands twice with other words behind `?`, which no record keeps, "
                    f"so that the two could not be told apart; copy one to another name"
                ]
            )
        return str(address)

    return cleaned(value)


def clean_document(document: Document) -> None:
    """Takes the secrets of addresses out of a manifest that was read.

    Raises:
        ManifestError: as `without_secrets`.
    """
    try:
        document.data = without_secrets(document.data)
    except ManifestError as error:
        raise ManifestError([document.at(1, problem) for problem in error.problems]) from error


# A drive of Windows has one letter.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def scheme_problem(word: str) -> str:
    """What is wrong with a word that is spelled as an address and is none; empty for any other.

    >>> scheme_problem("ftp://host/a.jpg")
    'ftp:// is no storage that is read; known are s3://, gs://, hf://, https://, http://, memory://'
    >>> scheme_problem("s3://"), scheme_problem("s3://bucket/a.jpg"), scheme_problem("C:/a.jpg")
    ('s3:// names no bucket or host', '', '')
    """
    found = _SCHEME.match(word)
    if found is None:
        return ""
    if not is_address(word):
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        return f"{found[1]}:// is no storage that is read; known are {known}"
    return "" if word[found.end() :].strip("/") else f"{found[0]} names no bucket or host"


def check_schemes(document: Document) -> None:
    """Reports what is spelled as an address and is none: it would be a local path."""

    def look_at(given: Any, position: tuple[str | int, ...]) -> None:
        if isinstance(given, Mapping):
            for key, inner in given.items():
                look_at(key, (*position, key))
                look_at(inner, (*position, key))
        elif isinstance(given, list):
            for number, inner in enumerate(given):
                look_at(inner, (*position, number))
        elif isinstance(given, str) and (problem := scheme_problem(given)):
            document.report(position, problem)

    look_at(document.data, ())


def output_problem(output: Path) -> str:
    """Why nothing can be written at an address, or empty."""
    if not isinstance(output, Address) or output.scheme in _WRITTEN:
        return ""
    named = ", ".join(f"{scheme}://" for scheme in _WRITTEN)
    return f"{output}: is only read; a run folder is local or at one of {named}"


def remote_pictures(
    reading: Reading, report: Report, address: Address, folders: list[Path] | None
) -> Iterator[Picture]:
    """The pictures at an address, sorted; the run folder is left out.

    Args:
        folders: the folder or the glob's root is added.
    """
    pattern = glob.has_magic(address.place)
    try:
        if address.scheme in WEB:
            found = _of_the_web(report, address, pattern)
        elif look(address) is not None:
            found = list(_one(report, address))
        else:
            root, parts = _split(address) if pattern else (address, ("**",))
            found = list(_below(reading, report, root, parts, address))
            if found and folders is not None:
                folders.append(root)
    except OSError as error:
        report((), f"{address}: {error.strerror}")
        return
    yield from found


def _of_the_web(report: Report, address: Address, pattern: bool) -> list[Picture]:
    if pattern:
        report(
            (),
            f"{address}: a glob cannot be looked for on the web, whose servers list no files; name "
            f"each file, in a map of pairs if they are many",
        )
        return []
    return list(_one(report, address))


def _one(report: Report, address: Address) -> Iterator[Picture]:
    """A picture that is named as it is; reported if it is none."""
    if is_video_name(address):
        report((), f"{address}: videos are read from local disks; copy it to one")
        return
    try:
        check_header(address)
    except ImageError as error:
        report((), str(error))
        return
    name = unquote(address.name) if address.scheme in WEB else address.name
    yield Picture(address, PurePosixPath(name).stem, name)


def _split(address: Address) -> tuple[Address, tuple[str, ...]]:
    """The folder that a glob begins at, and its parts from there."""
    parts = address.place.split("/")
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    root = as_path(f"{address.scheme}://{'/'.join(parts[:first])}")
    assert isinstance(root, Address)
    return root, tuple(parts[first:])


def _below(
    reading: Reading, report: Report, root: Address, parts: tuple[str, ...], address: Address
) -> Iterator[Picture]:
    if not root.place:
        report((), f"{address}: name the bucket; only what is in it may be a pattern")
        return
    there, passed = listing(root), Passed()
    reading.passed[root, parts] = passed
    if not there:
        report((), f"{address}: no such file or folder; check the address")
        return
    found = []
    for below in _taken(there, Pattern(parts), _own(root, reading.output), passed):
        path = root / below
        if is_image_name(path):
            note_listed(path, there[below])
            found.append(Picture(path, below.removesuffix(path.suffix), below))
        else:
            passed.suffixes[path.suffix.lower()] += 1
    if not found:
        over = f" (passed over: {passed.text()})" if passed.text() else ""
        report((), f"{address}: no picture there{over}; check the pattern")
    yield from sorted(found, key=lambda picture: picture.file.split("/"))


def _own(root: Address, output: Path) -> tuple[str, ...]:
    """Where the run's own pictures lie below a root."""
    if not isinstance(output, Address) or not output.is_relative_to(root):
        return ()
    below = output.relative_to(root).as_posix()
    return (below,) if below != "." else tuple(RUN_PICTURES)


def _taken(
    there: Mapping[str, Found], matcher: Pattern, own: Iterable[str], passed: Passed
) -> Iterator[str]:
    """The files of a listing that a glob takes, by the rules of local folders."""
    runs = {*own, *_run_folders(there)}
    known: dict[str, _States] = {"": matcher.begin()}

    def states_in(folder: str) -> _States:
        if folder not in known:
            above, _, name = folder.rpartition("/")
            states = matcher.below(before, name) if (before := states_in(above)) else before
            hidden = name[:1] == "." or name in SYSTEMS
            if states and hidden and not matcher.names(before, name):
                passed.reasons[HIDDEN] += 1
                states = frozenset()
            if states and folder in runs:
                passed.reasons[RUNS] += 1
                states = frozenset()
            known[folder] = states
        return known[folder]

    for below in there:
        folder, _, name = below.rpartition("/")
        states = states_in(folder)
        if not (states and name and matcher.takes(states, name)):
            continue
        if name[0] == "." and not matcher.names(states, name):
            passed.reasons[HIDDEN] += 1
            continue
        yield below


def _run_folders(there: Mapping[str, Found]) -> set[str]:
    plans = {below[: -len("/plan.json")] for below in there if below.endswith("/plan.json")}
    return {folder for folder in plans if f"{folder}/manifest.yaml" in there}
