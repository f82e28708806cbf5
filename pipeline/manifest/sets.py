"""Contents that are data sets already: tar shards, and Parquet and Arrow tables.

In: a word of the manifest, such as `shards/{000000..000009}.tar` or `data/*.parquet`. Out: a
picture for each of their members, read where it lies; what is wrong is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.address import Address
from pipeline.errors import ImageError, MissingPackageError
from pipeline.files import real
from pipeline.manifest.contents import SetPictures
from pipeline.manifest.document import Report
from pipeline.manifest.folders import RUN_PICTURES, Passed, split_pattern, walk
from pipeline.manifest.model import Picture
from pipeline.manifest.paths import is_file, is_folder, is_pattern, path_in
from pipeline.manifest.reading import Reading
from pipeline.notices import Notice
from pipeline.pictures import is_set_name, place_in_set, set_members, set_passed, set_problem

_RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
_MOST_SHARDS = 100_000
SAMPLES = "samples of data sets without a picture"


def is_whole_set(base: Path, pattern: str) -> bool:
    """Whether a word of the manifest means whole data sets."""
    whole = path_in(base, pattern)
    return is_set_name(whole) and not is_folder(whole)


def is_of_sets(base: Path, pattern: str) -> bool:
    """Whether a word of the manifest means data sets, or a picture of one."""
    return is_whole_set(base, pattern) or place_in_set(path_in(base, pattern)) is not None


def whole_sets(reading: Reading, report: Report, base: Path, pattern: str) -> Iterator[SetPictures]:
    """The data sets that a file, a glob or a range of numbers stands for."""
    for path in _files(reading, report, base, pattern):
        found = _members(reading, report, path)
        named = ("set", path) in reading.known  # some of its pictures were, by themselves
        yield found.without(reading.contents.index) if named else found


def find_in_sets(reading: Reading, report: Report, base: Path, pattern: str) -> Iterator[Picture]:
    """The same, picture by picture.

    A path below a data set's file, as records have it, is that one picture.
    """
    place = place_in_set(path_in(base, pattern))
    if place is not None:
        # Maps name one after the other: each data set is looked through once.
        key = ("set", place[0])
        (found,) = reading.once(key, report, lambda to: [_indexed(reading, to, place[0])])
        pictures, index = found
        if place[1] in index:
            yield pictures[index[place[1]]]
        else:
            report((), f"{pattern}: no such picture in the data set; check the name")
        return
    for path in _files(reading, report, base, pattern):
        yield from _members(reading, report, path)


def _files(reading: Reading, report: Report, base: Path, pattern: str) -> list[Path]:
    """The data sets' files, sorted; none where it was reported."""
    if isinstance(path_in(base, pattern), Address):
        report((), f"{pattern}: data sets are read from local disks; copy it to one")
        return []
    numbered = _RANGE.search(pattern)
    if numbered and not is_file(path_in(base, pattern)):
        return _of_range(report, base, pattern, numbered)
    whole = path_in(base, pattern)
    if is_file(whole):
        found = [whole]
    elif is_pattern(pattern):
        root, parts = split_pattern(base, path_in(Path(), pattern).parts)
        try:
            every = walk(root, reading.output, Passed(), parts) if is_folder(root) else iter(())
            found = [root / below for below in sorted(every) if is_set_name(Path(below))]
        except OSError as error:
            where = error.filename or root
            report((), f"{where}: cannot be read ({error.strerror}); check the rights")
            return []
        if not found:
            report((), f"{pattern}: no data set there; check the pattern")
    else:
        choice = f"; {_CHOICE_SAID}" if _CHOICE.search(pattern) else reading.nearby(whole)
        report((), f"{pattern}: no such file" + choice)
        return []
    own = [reading.output / name for name in RUN_PICTURES]
    if any(real(path).is_relative_to(place) for path in found for place in own):
        message = "lies where the run's own pictures go; name another folder, or another `output`"
        report((), f"{pattern}: {message}")
        return []
    return found


_CHOICE = re.compile(r"\{[^{}]*,[^{}]*\}")
_CHOICE_SAID = "braces with commas are not read; write a pattern for each of them"


def _of_range(report: Report, base: Path, pattern: str, found: re.Match[str]) -> list[Path]:
    """The files of a range such as `{000000..000009}`, all of which have to be there."""
    if _CHOICE.search(pattern):
        report((), f"{pattern}: {_CHOICE_SAID}")
        return []
    first, last = int(found[1]), int(found[2])
    if not 0 <= last - first < _MOST_SHARDS:
        report((), f"{pattern}: a range goes up, over at most {_MOST_SHARDS:,} numbers")
        return []
    width = len(found[1])
    words = [
        f"{pattern[: found.start()]}{number:0{width}}{pattern[found.end() :]}"
        for number in range(first, last + 1)
    ]
    if any(_RANGE.search(word) for word in words[:1]):
        report((), f"{pattern}: has several ranges; write one for each")
        return []
    missing = [word for word in words if not is_file(path_in(base, word))]
    if missing:
        more = f", and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        report((), f"{missing[0]}: no such file{more}; check the range {found[0]}")
        return []
    return [path_in(base, word) for word in words]


def _indexed(reading: Reading, report: Report, path: Path) -> tuple[SetPictures, dict[str, int]]:
    pictures = _members(reading, report, path)
    return pictures, pictures.index()


def _members(reading: Reading, report: Report, path: Path) -> SetPictures:
    """A data set's pictures."""
    found = SetPictures(path)
    try:
        for member in set_members(path):
            found.add(member.name, member.file, member.number)
        problem, passed = set_problem(path), Passed()
    except (ImageError, MissingPackageError) as error:
        report((), str(error))
        return SetPictures(path)
    passed.reasons[SAMPLES] += set_passed(path)
    reading.passed[path] = passed
    if problem:
        reading.cut.add(path)
        said = f"{problem}; its last sample and the rest are left out"
        if not any(said == warning.text for warning in reading.document.warnings):
            reading.document.warnings.append(Notice("cut_shard", said))
    if not len(found):
        report((), f"{path}: no picture in it{' that is whole' if problem else ''}; check the file")
    return found


def check_cut(reading: Reading) -> None:
    """Of pictures of one name the first alone bears it: none may depend on what a cut one lacks."""
    if not reading.cut:
        return
    names: dict[str, Path] = {}
    for picture in reading.contents.items:
        place = next((path for path in reading.cut if path in picture.path.parents), None)
        first = names.get(picture.file) if picture.file else None
        if first not in (None, place):
            where = "content" if reading.file.content else "pairs"
            reading.document.report(
                (where,),
                f"{first}: damaged or cut short, and {picture.path} bears the name of one of its "
                f"pictures, so that names would depend on what is missing; replace it",
            )
            return
        if place:
            names.setdefault(picture.file, place)
