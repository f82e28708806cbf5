"""Clips among the contents: videos, and numbered pictures such as `frames/%04d.png`.

In: a word of the manifest. Out: a picture with a clip; what is wrong is reported. Videos are only
looked into, not decoded.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.address import Address
from pipeline.errors import ImageError, MissingPackageError
from pipeline.manifest.document import Report
from pipeline.manifest.folders import Passed, split_pattern, walk
from pipeline.manifest.model import Clip, Picture
from pipeline.manifest.paths import is_file, is_folder, is_pattern, path_in
from pipeline.manifest.pictures import find_pictures
from pipeline.manifest.reading import Reading
from pipeline.manifest.sets import find_in_sets, is_of_sets
from pipeline.pictures import check_header, check_video, is_video_name

_NUMBER = re.compile(r"%(?:0(\d{1,2}))?d")


def find_contents(
    reading: Reading, report: Report, base: Path, pattern: str, folders: list[Path] | None = None
) -> Iterator[Picture]:
    """The pictures and clips that a file, folder, glob or numbered pattern stands for, sorted.

    Folders and globs are searched for pictures; only a glob that ends in a video's or a data set's
    suffix is searched for these.

    Args:
        folders: the folder or the glob's root is added.
    """
    whole = path_in(base, pattern)
    if is_of_sets(base, pattern):
        yield from find_in_sets(reading, report, base, pattern)
    elif isinstance(whole, Address):
        if _NUMBER.search(whole.name) or is_video_name(whole):
            report((), f"{whole}: clips are read from local disks; copy it to one")
        else:
            yield from find_pictures(reading, report, base, pattern, folders)
    elif is_file(whole) and is_video_name(whole):
        yield from _video(report, whole, whole.stem)
    elif _NUMBER.search(whole.name) and not is_file(whole):
        yield from _numbered(report, pattern, whole)
    elif is_video_name(whole) and is_pattern(pattern):
        root, parts = split_pattern(base, path_in(Path(), pattern).parts)
        try:
            found = walk(root, reading.output, Passed(), parts) if is_folder(root) else iter(())
            videos = sorted(below for below in found if is_video_name(Path(below)))
        except OSError as error:
            where = error.filename or root
            report((), f"{where}: cannot be read ({error.strerror}); check the rights")
            return
        if not videos:
            report((), f"{pattern}: no video there; check the pattern")
        for below in videos:
            yield from _video(report, root / below, below.removesuffix(Path(below).suffix))
    else:
        yield from find_pictures(reading, report, base, pattern, folders)


def _video(report: Report, path: Path, label: str) -> Iterator[Picture]:
    try:
        check_video(path)
    except (ImageError, MissingPackageError) as error:
        report((), str(error))
        return
    yield Picture(path, label, clip=Clip())


def _numbered(report: Report, pattern: str, path: Path) -> Iterator[Picture]:
    """All files whose names are the pattern's with a number, by number."""
    numbers = list(_NUMBER.finditer(path.name))
    if len(numbers) > 1 or is_pattern(pattern):
        report((), f"{pattern}: one %d, or one such as %04d, is one clip; name each clip by itself")
        return
    before, after = path.name[: numbers[0].start()], path.name[numbers[0].end() :]
    name = re.compile(re.escape(before) + rf"(\d{{{int(numbers[0][1] or 1)},}})" + re.escape(after))
    try:
        found = {int(m[1]): p for p in path.parent.iterdir() if (m := name.fullmatch(p.name))}
        order = sorted(found)
        if not order:
            report((), f"{pattern}: no picture with such a number there; check the pattern")
            return
        check_header(found[order[0]])
    except OSError as error:
        report((), f"{path.parent}: cannot be read ({error.strerror}); check the path")
        return
    except ImageError as error:
        report((), str(error))
        return
    gap = next((n for n, later in itertools.pairwise(order) if later != n + 1), None)
    if gap is not None:
        report((), f"{pattern}: number {gap + 1} is missing after {found[gap].name}; add it")
        return
    label = before.strip(" ._-") or path.resolve().parent.name
    frames = tuple(Picture(found[number], found[number].stem) for number in order)
    yield Picture(path, label, clip=Clip(frames))


def check_clips(reading: Reading) -> None:
    """What clips need beside each other: their results as loose files that can be read back."""
    if all(picture.clip is None for picture in reading.contents.items):
        return
    if reading.file.output.format != "files":
        message = "does not go with clips, whose frames go on from each other; use files"
        reading.document.report(("output", "format"), f"{reading.file.output.format} {message}")
    if isinstance(reading.output, Address):
        message = "does not go with clips, whose frames go on from each other; use a local folder"
        reading.document.report(("output",), f"{reading.output} {message}")
    swept = [{name: value} for name, values in reading.axes.items() for value in values]
    given = [reading.settings, *swept]
    if any(v.get("depth") == 16 for v in given) and any(v.get("format") == "tiff" for v in given):
        reading.document.report(
            ("settings",), "depth 16 with format tiff does not go with clips; use png"
        )
