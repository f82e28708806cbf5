"""The files of one folder, and nothing else, on a disk or in remote storage: the one way to a run
folder's files.

In: paths below the folder, or addresses below a remote one. Out: bytes, and files written whole. A
run folder may come from someone else: what its links or records name elsewhere is neither read,
changed nor deleted. Of a remote one, what only this machine needs (its lock, temporary files,
checkpoints) lies in a local folder, whose files these are, too. Must not load torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from pipeline.address import Address
from pipeline.files import cache_folder, cannot_write
from pipeline.remote import mapped_ahead
from pipeline.store.bucket import Bucket
from pipeline.store.disk import Disk

Entry = TypeVar("Entry")
Result = TypeVar("Result")
_MOST_BYTES = 64 * 2**20  # of a record, a summary or another file of text


def state_of(run: Path) -> Path:
    """Where a run folder's lock and temporary files lie: in it, or in the cache folder where it is
    remote."""
    if not isinstance(run, Address):
        return run / ".nst"
    digest = hashlib.sha256(str(run).encode()).hexdigest()[:16]
    return cache_folder() / "runs" / f"{run.name[:40]}-{digest}"


class Inside:
    """Reading, writing and deleting below a folder.

    Every method raises an OSError where a path leads out of it, as where a file cannot be read;
    what writes raises a RunFolderError.

    Args:
        root: the folder, which need not be there yet.
    """

    def __init__(self, root: Path) -> None:
        state = state_of(root)
        self._bucket = Bucket(root, state) if isinstance(root, Address) else None
        self._disk = Disk(root if self._bucket is None else state)

    def check(self, folder: Path) -> None:
        """Whether a folder lies inside."""
        if self._bucket and isinstance(folder, Address):
            self._bucket.check(folder)
        else:
            self._disk.check(folder)

    def place(self, path: Path) -> Path:
        """The path itself, if neither its folder nor itself leads out; of a remote file a local
        copy."""
        if self._bucket and isinstance(path, Address):
            return self._bucket.place(path)
        return self._disk.place(path)

    # -- reading --

    def read(self, path: Path, most: int = _MOST_BYTES) -> bytes:
        """The bytes of a regular file of at most so many."""
        if self._bucket and isinstance(path, Address):
            return self._bucket.read(path, most)
        return self._disk.read(path, most)

    def open(self, path: Path) -> BinaryIO:
        """A regular file, open for reading."""
        if self._bucket and isinstance(path, Address):
            return self._bucket.open(path)
        return self._disk.open(path)

    def size(self, path: Path) -> int:
        """The length of a regular file in bytes."""
        if self._bucket and isinstance(path, Address):
            return self._bucket.size(path)
        return self._disk.size(path)

    def is_file(self, path: Path) -> bool:
        """Whether a regular file is there, inside."""
        try:
            self.size(path)
        except OSError:
            return False
        return True

    def files(self, folder: Path, pattern: str) -> Iterator[Path]:
        """Files below a folder, by path; links to folders are not gone into.

        Args:
            pattern: a glob such as `*.tar`, or `**/*.json` for folders within folders, too.
        """
        if self._bucket and isinstance(folder, Address):
            return self._bucket.files(folder, pattern)
        return self._disk.files(folder, pattern)

    def walk(self, folder: Path) -> Iterator[str]:
        """All files below a folder, as paths below it with `/`, in no order; none where there is no
        such folder. Links to folders are not gone into."""
        if self._bucket and isinstance(folder, Address):
            return self._bucket.walk(folder)
        return self._disk.walk(folder)

    def remember(self, folder: Path) -> None:
        """Has a remote folder listed, once, so that what is not there need not be asked for by
        itself; what other processes write there later is then not seen by `size` and `open`."""
        if self._bucket and isinstance(folder, Address):
            self._bucket.remember(folder)

    def each(self, entries: Iterable[Entry], read: Callable[[Entry], Result]) -> Iterator[Result]:
        """What a function that reads here makes of each entry, in order; of a remote folder several
        are read at once, in threads."""
        return mapped_ahead(entries, read) if self._bucket else map(read, entries)

    def look_ahead(self, path: Path) -> None:
        """Fetches a remote file that the next `open` or `read` is for; from any thread.

        Raises:
            FileNotFoundError: it is not there.
        """
        if self._bucket and isinstance(path, Address):
            self._bucket.look_ahead(path)

    def forget_ahead(self, path: Path) -> None:
        """Lets go of what was fetched for a read that did not come."""
        if self._bucket and isinstance(path, Address):
            self._bucket.forget_ahead(path)

    # -- writing --

    def write(self, path: Path, data: bytes, temporary: Path | None = None) -> None:
        """Writes a file whole; missing folders are made.

        Args:
            temporary: where the temporary file lies, inside too; by default beside.

        Raises:
            RunFolderError: no space, no rights, or it leads out; nothing half-written stays.
        """
        if self._bucket and isinstance(path, Address):
            self._bucket.write(path, data)
        else:
            self._disk.write(path, data, temporary)

    def make_folder(self, folder: Path) -> None:
        """Makes a folder and those above it, if they are not there; remote ones need none."""
        if not isinstance(folder, Address):
            self._disk.make_folder(folder)

    def remove(self, path: Path) -> None:
        """Deletes a file, or a link and not what it leads to, if it is there."""
        if self._bucket and isinstance(path, Address):
            self._bucket.remove(path)
        else:
            self._disk.remove(path)

    def drop(self, path: Path) -> None:
        """As `remove`.

        Raises:
            RunFolderError: no rights, a storage that is not reached, or it leads out.
        """
        try:
            self.remove(path)
        except OSError as error:
            raise cannot_write(path, error) from error

    def remove_tree(self, folder: Path) -> None:
        """Deletes a folder with all that is in it, as far as that can be; of a link, itself."""
        if self._bucket and isinstance(folder, Address):
            self._bucket.remove_tree(folder)
        else:
            self._disk.remove_tree(folder)

    def remove_empty(self, folder: Path) -> None:
        """Deletes the folders below one that have nothing in them; links stay."""
        if not isinstance(folder, Address):
            self._disk.remove_empty(folder)

    def replace(self, draft: Path, path: Path) -> None:
        """Renames a file that is done; both lie inside. To a remote place it is sent, whole."""
        if self._bucket and isinstance(path, Address):
            self._bucket.replace(draft, path)
        else:
            self._disk.replace(draft, path)

    def move(self, path: Path, new: Path) -> None:
        """Renames a file or a folder, if it is there, into folders that are made where needed."""
        if self._bucket and isinstance(path, Address) and isinstance(new, Address):
            self._bucket.move(path, new)
        else:
            self._disk.move(path, new)

    def writable(self, path: Path) -> Path:
        """The path, for what opens it to write there by itself, such as a log or a lock; of a
        remote file a local one with what is there so far, and `send` sends it.

        Raises:
            RunFolderError: it leads out, or is no regular file.
        """
        if self._bucket and isinstance(path, Address):
            return self._bucket.writable(path)
        return self._disk.writable(path)

    def send(self, path: Path) -> int:
        """What was written at `writable(path)` goes where it belongs, whole; how many bytes of a
        remote file that were.

        Raises:
            RunFolderError: it cannot be written there.
        """
        if self._bucket and isinstance(path, Address):
            return self._bucket.send(path)
        return 0
