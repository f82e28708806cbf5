"""Picture files that a word of the manifest stands for: a file, a folder, a glob.

In: a pattern. Out: pictures with labels; what cannot be found is reported.
"""

from __future__ import annotations

import difflib
import glob
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import ImageError
from pipeline.manifest.document import Report
from pipeline.manifest.model import Picture
from pipeline.pictures import check_header, is_image_name


def find_pictures(
    report: Report, base: Path, pattern: str, folders: list[Path] | None = None
) -> Iterator[Picture]:
    """The pictures that a file, folder or glob stands for, sorted.

    Args:
        folders: the folder or the glob's root is added.
    """
    expanded = Path(pattern).expanduser()
    whole = base / expanded
    if whole.is_dir():
        root = whole
        found = sorted(p for p in root.rglob("*") if p.is_file() and is_image_name(p))
    elif whole.is_file():
        yield from one_file(report, whole)
        return
    elif glob.has_magic(pattern):
        root = _glob_root(whole)
        names = glob.iglob(str(whole), recursive=True)
        found = sorted({Path(n) for n in names if is_image_name(Path(n)) and Path(n).is_file()})
    else:
        report((), f"{pattern}: no such file or folder" + nearby(whole))
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


def _glob_root(pattern: Path) -> Path:
    """The folder above the first part that has a wildcard."""
    parts = pattern.parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def nearby(path: Path) -> str:
    """`; did you mean 'x'?` for the nearest name in the path's folder, or what to do else."""
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else "; check the path"
