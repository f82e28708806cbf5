"""Picture files that a word of the manifest stands for: a file, a folder, a glob.

In: a pattern. Out: pictures with labels; what cannot be found is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.address import Address
from pipeline.errors import ImageError
from pipeline.files import real
from pipeline.manifest.document import Report
from pipeline.manifest.folders import RUN_PICTURES, Passed, split_pattern, walk
from pipeline.manifest.model import Picture
from pipeline.manifest.paths import is_file, is_folder, is_pattern, path_in
from pipeline.manifest.reading import Reading
from pipeline.manifest.remote import remote_pictures
from pipeline.pictures import check_header, is_image_name, is_set_name


def find_pictures(
    reading: Reading, report: Report, base: Path, pattern: str, folders: list[Path] | None = None
) -> Iterator[Picture]:
    """The pictures that a file, folder or glob stands for, sorted.

    Args:
        base: the folder that the pattern is relative to; never read as a pattern itself.
        folders: the folder or the glob's root is added.
    """
    whole = path_in(base, pattern)
    if isinstance(whole, Address):
        problem = _own_pictures(reading.output, whole, pattern)
        if problem:
            report((), problem)
        else:
            yield from remote_pictures(reading, report, whole, folders)
        return
    parts: tuple[str, ...] = ("**",)
    if is_folder(whole):
        root = whole
    elif is_file(whole):
        yield from one_file(report, whole)
        return
    elif is_pattern(pattern):
        root, parts = split_pattern(base, path_in(Path(), pattern).parts)
    else:
        report((), f"{pattern}: no such file or folder" + reading.nearby(whole))
        return
    problem = _own_pictures(reading.output, root, pattern)
    if problem:
        report((), problem)
        return
    passed = Passed()
    try:
        found = _walked(reading.output, root, parts, passed)
    except OSError as error:
        where = error.filename or root
        report((), f"{where}: cannot be read ({error.strerror}); check the rights")
        return
    reading.passed[root, parts] = passed
    if not found:
        over = f" (passed over: {passed.text()})" if passed.text() else ""
        sets = [suffix for suffix in passed.suffixes if is_set_name(Path(f"a{suffix}"))]
        named = f"{pattern.rstrip('/')}/*{sets[0]}" if sets and is_folder(whole) else ""
        what = f"data sets are named as files: {named}" if named else "check the pattern"
        report((), f"{pattern}: no picture there{over}; {what}")
    elif folders is not None:
        folders.append(root)
    yield from found


def _walked(output: Path, root: Path, parts: tuple[str, ...], passed: Passed) -> list[Picture]:
    found = []
    for below in walk(root, output, passed, parts) if is_folder(root) else ():
        path = root / below
        if is_image_name(path):
            found.append(Picture(path, below.removesuffix(path.suffix), below))
        else:
            passed.suffixes[path.suffix.lower()] += 1
    return sorted(found, key=lambda picture: picture.file.split("/"))


def _own_pictures(output: Path, root: Path, pattern: str) -> str:
    """What is wrong where a run would take its own pictures, or empty."""
    place = real(root)
    if not any(place.is_relative_to(output / name) for name in RUN_PICTURES):
        return ""
    return (
        f"{pattern}: lies where the run's own pictures go, so that each run would find more of "
        f"them; name another folder, or another `output`"
    )


def one_file(report: Report, path: Path) -> Iterator[Picture]:
    """A file named as it is; reported if it is no picture."""
    try:
        check_header(path)
    except ImageError as error:
        report((), str(error))
        return
    yield Picture(path, path.stem, path.name)
