"""The other files of a dataset, such as labels, beside its stylized pictures.

In: content folders. Out: the same files at the same relative places below the output's `images/`.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from pipeline.errors import RunFolderError
from pipeline.files import cannot_write, real
from pipeline.manifest import Passed, walk
from pipeline.pictures import is_image_name
from pipeline.store.run_folder import RunFolder


def mirror_others(
    folders: Iterable[Path],
    store: RunFolder,
    how: str,
    placed: Callable[[str], str] = str,
    records: Collection[str] = (),
    inputs: Collection[Path] = (),
) -> int:
    """Copies or links every file of `folders` that is no picture and no input; those that are there
    and as new are left alone.

    Args:
        store: the run folder; they go among its pictures, and it is left out where it lies within
            one of `folders`.
        how: `copy`, or `link` for hard links (copies where the file system has none).
        placed: where among the pictures a file goes that lies there below its folder.
        records: paths there that are taken.
        inputs: files that pictures are made of, and whose names do not say that they are pictures;
            where they lie in truth (`real`).

    Returns:
        files that were written.

    Raises:
        RunFolderError: two folders have a file of one name, a folder cannot be read, or a file not
            be written.
    """
    written = 0
    taken: dict[Path, Path] = {}
    for source, relative in _others(folders, store.path):
        if inputs and real(source) in inputs:
            continue
        below = placed(relative)
        place = store.images / below
        if below in records:
            raise RunFolderError(
                f"{source} would be where a record belongs, {place}; let {{name}} or {{style}} in "
                f"`output.name`, or leave `others` out"
            )
        if place in taken:
            raise RunFolderError(
                f"{source} and {taken[place]} would both be {place}; take one folder out of "
                f"`content`, or leave `others` out"
            )
        taken[place] = source
        try:
            store.inside.place(place)
            if place.exists() and place.stat().st_mtime_ns >= source.stat().st_mtime_ns:
                continue
            store.inside.make_folder(place.parent)
            _place(source, place, how, store.temporary / "other")
        except OSError as error:
            raise cannot_write(place, error) from error
        written += 1
    return written


def _others(folders: Iterable[Path], skip: Path) -> Iterator[tuple[Path, str]]:
    for folder in folders:
        try:
            found = sorted(walk(folder, real(skip), Passed()))
        except OSError as error:
            where = error.filename or folder
            raise RunFolderError(
                f"{where}: cannot be read ({error.strerror}), so its files cannot go along; check "
                f"the rights, or leave `others` out"
            ) from error
        for below in found:
            path = folder / below
            if not is_image_name(path):
                yield path, below


def _place(source: Path, place: Path, how: str, draft: Path) -> None:
    draft.unlink(missing_ok=True)
    try:
        if how == "link":
            os.link(source, draft)
        else:
            shutil.copy2(source, draft)
    except OSError as error:
        if how != "link" or error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        shutil.copy2(source, draft)
    draft.replace(place)
