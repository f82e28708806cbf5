"""Picture files that a word of the manifest stands for: a file, a folder, a glob.

In: a pattern. Out: pictures with labels; what cannot be found is reported.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import ImageError
from pipeline.manifest.document import Report
from pipeline.manifest.model import Picture
from pipeline.manifest.paths import is_file, is_folder, nearby, path_in
from pipeline.pictures import check_header, is_image_name


def find_pictures(
    report: Report, base: Path, pattern: str, folders: list[Path] | None = None
) -> Iterator[Picture]:
    """The pictures that a file, folder or glob stands for, sorted.

    Args:
        folders: the folder or the glob's root is added.
    """
    whole = path_in(base, pattern)
    names: Iterable[Path]
    if is_folder(whole):
        root, names = whole, whole.rglob("*")
    elif is_file(whole):
        yield from one_file(report, whole)
        return
    elif glob.has_magic(pattern):
        root, names = glob_root(whole), map(Path, glob.iglob(str(whole), recursive=True))
    else:
        report((), f"{pattern}: no such file or folder" + nearby(whole))
        return
    try:
        found = sorted({path for path in names if is_image_name(path) and path.is_file()})
    except OSError as error:
        where = error.filename or root
        report((), f"{where}: cannot be read ({error.strerror}); check the rights")
        return
    if not found:
        report((), f"{pattern}: no picture there; check the pattern")
    elif folders is not None:
        folders.append(root)
    for path in found:
        yield Picture(path, path.relative_to(root).with_suffix("").as_posix())


def one_file(report: Report, path: Path) -> Iterator[Picture]:
    """A file named as it is; reported if it is no picture."""
    try:
        check_header(path)
    except ImageError as error:
        report((), str(error))
        return
    yield Picture(path, path.stem)


def glob_root(pattern: Path) -> Path:
    """The folder above a pattern's first part that has a wildcard."""
    parts = pattern.parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])
