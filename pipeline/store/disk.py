"""The files of one folder of this machine, and nothing else: no link leads out of it, for reading
or writing.

In: paths below the folder. Out: bytes, and files written whole; see `inside.py`, whose methods
these are. Must not load torch.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.files import cannot_write, open_regular, put_in_place, read_bytes, real, write_atomic


class Disk:
    """Reading, writing and deleting below a folder.

    Every method raises an OSError where a path leads out of it, as where a file cannot be read;
    what writes raises a RunFolderError.

    Args:
        root: the folder, which need not be there yet.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._real: Path | None = None
        self._inner: set[Path] = set()  # folders that were found to lie inside

    def place(self, path: Path) -> Path:
        """The path itself, if neither its folder nor itself leads out."""
        self._check_folder(path.parent)
        if path.is_symlink():
            self._check(path)
        return path

    def check(self, folder: Path) -> None:
        """Whether a folder lies inside."""
        self._check(folder)

    def _check_folder(self, folder: Path) -> None:
        if folder not in self._inner:
            self._check(folder)
            self._inner.add(folder)

    def _check(self, path: Path) -> None:
        if self._real is None:
            self._real = real(self._root)
        if not real(path).is_relative_to(self._real):
            raise OSError(errno.ELOOP, "leads out of the run folder", str(path))

    # -- reading --

    def read(self, path: Path, most: int) -> bytes:
        """The bytes of a regular file of at most so many."""
        return read_bytes(self.place(path), most)

    def open(self, path: Path) -> BinaryIO:
        """A regular file, open for reading."""
        return open_regular(self.place(path))

    def size(self, path: Path) -> int:
        """The length of a regular file in bytes."""
        found = self.place(path).stat()
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return found.st_size

    def files(self, folder: Path, pattern: str) -> Iterator[Path]:
        """Files below a folder, by path; links to folders are not gone into.

        Args:
            pattern: a glob such as `*.tar`, or `**/*.json` for folders within folders, too.
        """
        self._check(folder)
        for path in sorted(folder.glob(pattern)):
            try:
                self._check_folder(path.parent)  # Python before 3.13 goes into some links
            except OSError:
                continue
            yield path

    def walk(self, folder: Path) -> Iterator[str]:
        """All files below a folder, as paths below it with `/`, in no order; none where there is no
        such folder. Links to folders are not gone into."""
        self._check(folder)
        for place, _, names in os.walk(folder):
            below = "" if place == str(folder) else f"{Path(place).relative_to(folder).as_posix()}/"
            yield from (f"{below}{name}" for name in names)

    # -- writing --

    def write(self, path: Path, data: bytes, temporary: Path | None = None) -> None:
        """Writes a file whole; missing folders are made.

        Args:
            temporary: where the temporary file lies, inside too; by default beside.

        Raises:
            RunFolderError: no space, no rights, or it leads out; nothing half-written stays.
        """
        try:
            self._check_folder(path.parent)
            if temporary is not None:
                self._check_folder(temporary)
        except OSError as error:
            raise cannot_write(path, error) from error
        write_atomic(path, data, temporary)

    def make_folder(self, folder: Path) -> None:
        """Makes a folder and those above it, if they are not there."""
        self._check(folder)
        folder.mkdir(parents=True, exist_ok=True)

    def remove(self, path: Path) -> None:
        """Deletes a file, or a link and not what it leads to, if it is there."""
        self._check_folder(path.parent)
        path.unlink(missing_ok=True)

    def remove_tree(self, folder: Path) -> None:
        """Deletes a folder with all that is in it, as far as that can be; of a link, itself."""
        try:
            self._check_folder(folder.parent)
            if folder.is_symlink():
                folder.unlink()
        except OSError:
            return
        shutil.rmtree(folder, ignore_errors=True)

    def remove_empty(self, folder: Path) -> None:
        """Deletes the folders below one that have nothing in them; links stay."""
        with contextlib.suppress(OSError):
            self._check(folder)
            for place, _, _ in os.walk(folder, topdown=False):  # which follows no links
                if place != str(folder):
                    with contextlib.suppress(OSError):  # one that is not empty
                        Path(place).rmdir()

    def replace(self, draft: Path, path: Path) -> None:
        """Renames a file that is done; both lie inside."""
        self._check_folder(draft.parent)
        self._check_folder(path.parent)
        put_in_place(draft, path)

    def move(self, path: Path, new: Path) -> None:
        """Renames a file or a folder, if it is there, into folders that are made where needed."""
        self._check_folder(path.parent)
        if os.path.lexists(path):
            self.make_folder(new.parent)
            os.replace(path, new)

    def writable(self, path: Path) -> Path:
        """The path, for what opens it to write there by itself, such as a log or a lock.

        Raises:
            RunFolderError: it leads out, or is no regular file.
        """
        try:
            if self.place(path).exists() and not path.is_file():
                raise OSError(errno.EINVAL, "not a regular file", str(path))
        except OSError as error:
            raise cannot_write(path, error) from error
        return path
