"""Files written once and whole; the folder for what can be made again."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.address import Address, is_address
from pipeline.errors import DiskFullError, RunFolderError

_READ_WITHIN_S = 3.0  # a file of ours, by whoever looks at it
TEMPORARY_PREFIX = ".tmp-"
# In the cache folder: what well-known weight files were found to be.
WEIGHT_NOTES = "weights.json"
# There too: videos' frames, a folder each.
CLIPS = "clips"
# And what was read from remote storage.
DOWNLOADS = "downloads"


def cache_folder(chosen: Path | None = None) -> Path:
    """The cache folder: `chosen`, else `NST_CACHE_DIR`, else the user's cache folder."""
    if chosen is not None:
        return chosen
    named = os.environ.get("NST_CACHE_DIR")
    if named:
        return Path(named)
    import platformdirs  # here alone: it takes a while to load

    return Path(platformdirs.user_cache_dir("nst", appauthor=False))


def real(path: Path) -> Path:
    """Where a path leads, as far as it can be followed; loops and closed folders end it there, and
    addresses lead nowhere else."""
    if isinstance(path, Address):
        return path
    try:
        return Path(os.path.realpath(path))
    except OSError:
        return path.absolute()


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of a regular file; a pipe or a device, at which reading never ends, is refused.

    Raises:
        OSError: not there, no rights, not a regular file, or larger than `most` bytes.
    """
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most / 2**20:,.0f} MiB", str(path))
    return data


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading.

    Raises:
        OSError: not there, no rights, or not a regular file.
    """
    # Not to wait for whoever writes into a pipe; there is no such thing on Windows.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        kind = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        why = os.strerror(kind) if stat.S_ISDIR(mode) else "not a regular file"
        raise OSError(kind, why, str(path))
    return os.fdopen(handle, "rb")


@contextlib.contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A file to be written within the block, which then takes `path`'s place, or none.

    Raises:
        RunFolderError: no rights or no space; nothing half-written stays.
    """
    _check_local(path)
    draft = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        draft.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes, temporary_folder: Path | None = None) -> None:
    """Writes `data` to a temporary file, flushes it to disk, and renames it to `path`.

    Readers see the old file or the whole new one. Missing folders are made.

    Args:
        temporary_folder: where the temporary file lies, on the same file system as `path`; by
            default in `path`'s own folder.

    Raises:
        RunFolderError: no rights or no space; nothing half-written stays.
    """
    _check_local(path)
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = temporary_folder or path.parent
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        put_in_place(temporary, path)
        temporary = None
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _check_local(path: Path) -> None:
    if is_address(str(path)):
        raise RunFolderError(f"{path}: only a run folder may be remote; name a local file")


def put_in_place(draft: Path | str, path: Path) -> None:
    """Renames a file to `path`, over what is there; on Windows, where a file cannot be replaced
    while someone reads it, again and again for some seconds.

    Raises:
        OSError: no rights.
    """
    deadline = time.monotonic() + _READ_WITHIN_S
    while True:
        try:
            os.replace(draft, path)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def cannot_write(path: Path, error: OSError) -> RunFolderError:
    """The error to raise where a file could not be written."""
    full = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # no quotas on Windows
    if error.errno in full:
        return DiskFullError(f"{path}: cannot be written ({error.strerror}); make room")
    if error.errno == errno.ELOOP:
        mend = "take the link away, or choose another `output`"
    else:
        mend = "check space and rights"
    return RunFolderError(f"{path}: cannot be written ({error.strerror}); {mend}")


def tells_case(folder: Path) -> bool:
    """Whether names that differ in capitals alone are two files in this folder, which is there."""
    with tempfile.NamedTemporaryFile(prefix=f"{TEMPORARY_PREFIX}a", dir=folder) as file:
        place = Path(file.name)
        return not place.with_name(place.name.swapcase()).exists()


@functools.cache
def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_umask()  # now, while there is one thread: reading it is setting it
