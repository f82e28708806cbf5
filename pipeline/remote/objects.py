"""Files of remote storage, one whole object each: listing, reading, writing and deleting.

In: addresses. Out: bytes, and what there is. Every call is tried again where that may help.

Every function raises an `OSError` where the storage cannot be reached, refuses, or has no such
file, and a `MissingPackageError` where its driver is not installed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.address import Address
from pipeline.remote.drivers import file_system, spelled
from pipeline.remote.steady import steadily

WEB = ("http", "https")
_BLOCK = 8 * 2**20
# What tells one version of an object from the next, in drivers' words.
_VERSIONS = ("ETag", "etag", "md5Hash", "blob_id", "Content-MD5", "Digest")
_TIMES = ("LastModified", "Last-Modified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True)
class Found:
    """What a storage says of an object.

    Attributes:
        size: its bytes; -1 where that is not said.
        stamp: what another version of it would not have; empty where nothing is said.
    """

    size: int
    stamp: str


def look(address: Address) -> Found | None:
    """What there is at an address; None where no file is there, but perhaps a folder."""
    system = file_system(address)
    try:
        about = steadily(address, lambda: system.info(spelled(address)))
    except FileNotFoundError:
        return None
    return _found(about) if about.get("type") == "file" else None


def listing(folder: Address) -> dict[str, Found]:
    """All files below an address, by path below it with `/`; none where there is no such folder."""
    system = file_system(folder)
    root = spelled(folder).strip("/")
    try:
        every = steadily(folder, lambda: system.find(root, detail=True))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found = {}
    for name, about in every.items():
        below = name.lstrip("/").removeprefix(root).lstrip("/")
        if below and about.get("type") == "file":
            found[below] = _found(about)
    return found


def names_in(folder: Address) -> dict[str, Found]:
    """The files that lie in a folder itself, by name; none where there is no such folder."""
    system = file_system(folder)
    try:
        every = steadily(folder, lambda: system.ls(spelled(folder), detail=True))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    files = (about for about in every if about.get("type") == "file")
    return {about["name"].rstrip("/").rpartition("/")[2]: _found(about) for about in files}


def _found(about: Mapping[str, Any]) -> Found:
    size = about.get("size")
    said = [str(about[name]) for name in (*_VERSIONS, *_TIMES) if about.get(name)]
    text = f"{size} {said[0]}" if said else ""
    stamp = hashlib.sha256(text.encode()).hexdigest()[:20] if text else ""
    return Found(-1 if size is None else int(size), stamp)


def get(address: Address, most: int) -> bytes:
    """A file's bytes, in one request where the storage gives parts of files; one of more than
    `most` is an `OSError`."""

    def once() -> bytes | None:
        system = file_system(address)
        try:
            data: bytes = system.cat_file(spelled(address), start=0, end=most + 1)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return None  # nothing has no part
        return data

    if address.scheme not in WEB and (found := steadily(address, once)) is not None:
        if len(found) > most:
            raise OSError(errno.EFBIG, f"larger than {most / 2**20:,.0f} MiB", str(address))
        return found
    buffer = io.BytesIO()
    download(address, buffer, most)
    return buffer.getvalue()


def download(address: Address, file: BinaryIO, most: int) -> None:
    """A file's bytes, a block at a time, into a file that is open; of more than `most` no more."""

    def once() -> None:
        file.seek(0)
        file.truncate()
        system = file_system(address)
        # The web's servers need not give parts of a file: there it is one stream.
        block = 0 if address.scheme in WEB else _BLOCK
        read = 0
        with system.open(spelled(address), "rb", block_size=block) as remote:
            while data := remote.read(_BLOCK if block else 2**20):
                read += len(data)
                if read > most:
                    why = f"larger than {most / 2**20:,.0f} MiB"
                    raise OSError(errno.EFBIG, why, str(address))
                file.write(data)

    steadily(address, once)


def put(address: Address, data: bytes | Path) -> None:
    """Writes an object whole; whoever reads sees the one before, or this one.

    Args:
        data: its bytes, or a local file of them.
    """
    system, place = file_system(address), spelled(address)
    action: Callable[[], object]
    if isinstance(data, bytes):
        known = data
        action = lambda: system.pipe_file(place, known)  # noqa: E731
    else:
        file = str(data)
        action = lambda: system.put_file(file, place)  # noqa: E731
    steadily(address, action)


def delete(address: Address) -> None:
    """Deletes an object, if it is there."""
    system = file_system(address)
    with contextlib.suppress(FileNotFoundError):
        steadily(address, lambda: system.rm_file(spelled(address)))


def delete_tree(folder: Address) -> None:
    """Deletes all that lies below an address."""
    system = file_system(folder)
    with contextlib.suppress(FileNotFoundError):
        steadily(folder, lambda: system.rm(spelled(folder), recursive=True))


def copy(address: Address, new: Address) -> None:
    """Copies an object within a storage."""
    system = file_system(address)
    steadily(address, lambda: system.cp_file(spelled(address), spelled(new)))
