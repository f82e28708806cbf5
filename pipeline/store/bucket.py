"""The files of a run folder in remote storage: an object each, written whole.

In: addresses below the run folder. Out: bytes, local copies, listings; see `inside.py`, whose
methods these are. There are no folders to be made, no links and no renaming: an object is there
whole or not at all, and what is moved is copied, then deleted. Must not load torch.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.address import Address
from pipeline.errors import RunFolderError
from pipeline.files import cannot_write, put_in_place
from pipeline.remote import (
    copy,
    delete,
    delete_tree,
    forget_listed,
    fresh_copy,
    get,
    listing,
    look,
    names_in,
    put,
)

_LONGEST_IN_MEMORY = 2**26


@contextlib.contextmanager
def _reached(path: Address) -> Iterator[None]:
    """A storage that is not reached, or refuses, is no empty folder: nothing goes on without it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EIO, errno.EACCES):
            raise RunFolderError(
                f"{path}: {error.strerror}; the same command goes on once it can be read"
            ) from error
        raise


class Bucket:
    """Reading, writing and deleting below an address. What cannot be reached is a RunFolderError.

    Args:
        root: of the run folder.
        state: the local folder of what is not sent, or not yet.
    """

    def __init__(self, root: Address, state: Path) -> None:
        self._root, self._out = root, state / "out"
        self._begun: set[Address] = set()  # what `writable` gave
        # Sizes of what lies in folders that are remembered, by the hash of the address: a million
        # addresses would take a gigabyte.
        self._sizes: dict[int, int] = {}
        self._remembered: set[Address] = set()
        self._ahead: dict[Address, bytes] = {}
        self._lock = threading.Lock()

    def check(self, folder: Address) -> None:
        """Whether a folder lies inside."""
        if not folder.is_relative_to(self._root) or ".." in folder.parts:
            raise OSError(errno.ELOOP, "leads out of the run folder", str(folder))

    def place(self, path: Address) -> Path:
        """A local copy."""
        self.check(path)
        with _reached(path):
            return fresh_copy(path)

    # -- reading --

    def read(self, path: Address, most: int) -> bytes:
        """An object's bytes."""
        self.check(path)
        known = self._ahead.pop(path, None)
        if known is not None:
            return known
        with _reached(path):
            return get(path, most)

    def open(self, path: Address) -> BinaryIO:
        """An object, open for reading."""
        self._check_known(path)
        if path.suffix == ".json":
            return io.BytesIO(self.read(path, _LONGEST_IN_MEMORY))
        return self.place(path).open("rb")

    def size(self, path: Address) -> int:
        """An object's length in bytes."""
        self._check_known(path)
        if (known := _short(path)) in self._sizes:
            return self._sizes[known]
        self.check(path)
        with _reached(path):
            found = look(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return found.size

    def _check_known(self, path: Address) -> None:
        """Of a folder that was listed no storage is asked for what it lacks."""
        lacks = _short(path) not in self._sizes
        if lacks and any(folder in self._remembered for folder in path.parents):
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))

    def files(self, folder: Address, pattern: str) -> Iterator[Path]:
        """Objects below a folder, by path."""
        self.check(folder)
        deep = "**/" in pattern
        with _reached(folder):
            there = listing(folder) if deep else names_in(folder)
        last = pattern.rpartition("/")[2]
        found = (below for below in there if fnmatch.fnmatchcase(below.rpartition("/")[2], last))
        yield from sorted(folder / below for below in found)

    def walk(self, folder: Address) -> Iterator[str]:
        """All objects below a folder, as paths below it."""
        self.check(folder)
        with _reached(folder):
            there = listing(folder)
        yield from there

    def remember(self, folder: Address) -> None:
        """Lists a folder, once: from then on lengths and what is not there are known."""
        with self._lock:
            if folder in self._remembered:
                return
            self.check(folder)
            with _reached(folder):
                there = listing(folder)
            sizes = ((hash(f"{folder}/{name}"), found.size) for name, found in there.items())
            self._sizes.update(sizes)
            self._remembered.add(folder)

    def look_ahead(self, path: Address) -> None:
        """Fetches an object that the next `open` or `read` is for."""
        self._check_known(path)
        self._ahead[path] = self.read(path, _LONGEST_IN_MEMORY)

    def forget_ahead(self, path: Address) -> None:
        """Lets go of what was fetched for a read that did not come."""
        self._ahead.pop(path, None)

    # -- writing --

    def write(self, path: Address, data: bytes) -> None:
        """Writes an object whole."""
        try:
            self.check(path)
            put(path, data)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._note(path, len(data))

    def _note(self, path: Address, size: int) -> None:
        forget_listed(path)
        self._ahead.pop(path, None)
        if any(folder in self._remembered for folder in path.parents):
            self._sizes[_short(path)] = size

    def remove(self, path: Address) -> None:
        """Deletes an object, if it is there."""
        self.check(path)
        delete(path)
        self._sizes.pop(_short(path), None)
        self._ahead.pop(path, None)
        forget_listed(path)

    def remove_tree(self, folder: Address) -> None:
        """Deletes all objects below a folder, as far as that can be."""
        with contextlib.suppress(OSError):
            self.check(folder)
            delete_tree(folder)
        self._remembered.clear()
        self._sizes.clear()

    def replace(self, draft: Path, path: Address) -> None:
        """Sends a local file that is done, and deletes it here."""
        self.check(path)
        size = draft.stat().st_size
        put(path, draft)
        draft.unlink(missing_ok=True)
        self._note(path, size)

    def move(self, path: Address, new: Address) -> None:
        """Copies an object, or all below a folder, then deletes it; if it is there."""
        self.check(path)
        self.check(new)
        if look(path) is not None:
            self._move(path, new)
            return
        for below in listing(path):
            self._move(path / below, new / below)

    def _move(self, path: Address, new: Address) -> None:
        size = self._sizes.get(_short(path), -1)
        copy(path, new)
        self._note(new, size)
        self.remove(path)

    def writable(self, path: Address) -> Path:
        """A local file with what is there so far, to be written and then sent.

        Raises:
            RunFolderError: it leads out, cannot be read, or not be written here.
        """
        try:
            self.check(path)
            local = self._out / path.relative_to(self._root)
            if path in self._begun:
                return local
            local.parent.mkdir(parents=True, exist_ok=True)
            local.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                draft = local.with_name(f".tmp-{local.name}")
                draft.write_bytes(fresh_copy(path).read_bytes())
                put_in_place(draft, local)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._begun.add(path)
        return local

    def send(self, path: Address) -> int:
        """Sends what was written at `writable`, if anything was; how many bytes.

        Raises:
            RunFolderError: not reached, or refused.
        """
        local = self._out / path.relative_to(self._root)
        if path not in self._begun or not local.exists():
            return 0
        size = local.stat().st_size
        try:
            put(path, local)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._note(path, size)
        return size


def _short(path: Address) -> int:
    return hash(str(path))
