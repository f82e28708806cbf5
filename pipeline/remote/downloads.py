"""Local copies of remote files, in the cache folder: everything that reads pictures reads these.

In: an address. Out: a local file of its bytes. Copies are named by the SHA-256 of what is in them;
beside them notes say which address was what when it was last looked at, so that no version of a
file is fetched twice. What was used least lately goes first where they take more than allowed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.address import Address
from pipeline.errors import RunFolderError
from pipeline.files import (
    DOWNLOADS,
    TEMPORARY_PREFIX,
    cache_folder,
    cannot_write,
    put_in_place,
    write_atomic,
)
from pipeline.json_text import read_json
from pipeline.remote.objects import Found, download, look

MOST_BYTES = 2**30  # of one file
_TRIMMED_EVERY = 2**30  # bytes fetched by this process


@dataclass
class _Kept:
    """What this process knows: where copies lie, how much they may take, and what a listing or a
    look said of addresses, so that each is looked at once; and for which bytes alone some stand."""

    cache: Path | None = None
    limit: float = 20e9
    stamps: dict[Address, int] = field(default_factory=dict)
    pins: dict[Address, str] = field(default_factory=dict)
    fetched: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


_KEPT = _Kept()


def keep_downloads_in(cache: Path | None, limit: float | None = None) -> None:
    """Has this process keep its copies below another cache folder than the user's.

    Args:
        limit: bytes that they may take.
    """
    _KEPT.cache = cache
    if limit is not None:
        _KEPT.limit = limit


def begin_downloads(cache: Path | None) -> None:
    """Has a command begin that knows nothing of what earlier ones saw.

    Args:
        cache: as `keep_downloads_in`.
    """
    keep_downloads_in(cache)
    forget_listed()
    _KEPT.pins.clear()


def downloads_folder() -> Path:
    """Where the copies lie."""
    return cache_folder(_KEPT.cache) / DOWNLOADS


def note_listed(address: Address, found: Found) -> None:
    """Takes what a listing says of a file, which is then not looked at by itself."""
    if found.stamp:
        _KEPT.stamps[address] = _short(found.stamp)


def forget_listed(address: Address | None = None) -> None:
    """Has an address looked at anew, since it was written; or all, since a new command begins."""
    if address is None:
        _KEPT.stamps.clear()
    else:
        _KEPT.stamps.pop(address, None)


def fresh_copy(address: Address) -> Path:
    """A local copy of what is at an address now, whatever was known of it.

    Raises:
        OSError: as `local_copy`.
    """
    forget_listed(address)
    return local_copy(address)


def is_there(address: Address) -> bool:
    """Whether a file is at an address; of one that was listed no storage is asked.

    Raises:
        OSError: not reached, or refused.
    """
    if address in _KEPT.pins:
        return True
    try:
        _stamp(address)
    except FileNotFoundError:
        return False
    return True


def is_here(path: Path) -> bool:
    """Whether `local_copy` of a path fetches nothing. No storage is asked: of an address that was
    not looked at yet it is not known."""
    if not isinstance(path, Address):
        return True
    if path in _KEPT.pins:
        return copy_of(_KEPT.pins[path]) is not None
    note, stamp = _note(path), _KEPT.stamps.get(path)
    return bool(stamp) and note.get("stamp") == stamp and copy_of(str(note["sha256"])) is not None


def local_copy(path: Path, sha256: str = "") -> Path:
    """A path that can be opened here: of an address a local copy, any other as it is.

    Args:
        sha256: of the bytes that are wanted: a copy of these is taken without asking the storage;
            64 hex digits, or more, of which the first count.

    Raises:
        OSError: not there, not reached, refused, or larger than 1 GiB.
    """
    if not isinstance(path, Address):
        return path
    wanted = sha256 or _KEPT.pins.get(path, "")
    if wanted and _is_used(kept := _place(wanted[:64])):
        return kept
    note = _note(path)
    stamp = _stamp(path)
    if stamp and note.get("stamp") == stamp and _is_used(kept := _place(str(note["sha256"]))):
        return kept
    return _fetch(path, stamp)


def identified(path: Path, identify: Callable[[Path], str]) -> str:
    """What a function says of a file, by which it is known again; of a remote one it is noted, so
    that a file that has not changed is not fetched for it.

    Args:
        identify: is given a local file.

    Raises:
        OSError: as `local_copy`.
    """
    if not isinstance(path, Address):
        return identify(path)
    if path in _KEPT.pins:
        return identify(local_copy(path))
    note, stamp = _note(path), _stamp(path)
    if stamp and note.get("stamp") == stamp and note.get("identity"):
        return str(note["identity"])
    copy = local_copy(path)
    identity = identify(copy)
    _write_note(path, {"stamp": stamp, "sha256": copy.name, "identity": identity})
    return identity


def pin(address: Address, sha256: str) -> bool:
    """Has an address stand for bytes with this digest, for this command, if there is a copy of
    them; whether there is one. No storage is asked.

    Args:
        sha256: 64 hex digits, or more, of which the first count.
    """
    there = copy_of(sha256) is not None
    if there:
        _KEPT.pins[address] = sha256[:64]
    return there


def copy_of(sha256: str) -> Path | None:
    """The local copy of bytes with this digest, if there is one. No storage is asked.

    Args:
        sha256: as `pin`.
    """
    if len(sha256) >= 64 and _is_used(kept := _place(sha256[:64])):
        return kept
    return None


def _place(sha256: str) -> Path:
    return downloads_folder() / sha256[:2] / sha256


def _is_used(copy: Path) -> bool:
    """Whether a copy is there; it then counts as used."""
    try:
        os.utime(copy)
    except OSError:
        return copy.is_file()  # in a cache that only others may write
    return True


def _short(stamp: str) -> int:
    return int(stamp[:15], 16)


def _stamp(address: Address) -> int:
    """What the file's version is known by; 0 where the storage does not say."""
    if address not in _KEPT.stamps:
        found = look(address)
        if found is None:
            raise FileNotFoundError(2, "no such file or bucket", str(address))
        _KEPT.stamps[address] = _short(found.stamp) if found.stamp else 0
    return _KEPT.stamps[address]


def _note_place(address: Address) -> Path:
    name = hashlib.sha256(str(address).encode(errors="surrogateescape")).hexdigest()
    return downloads_folder() / "notes" / name[:2] / f"{name}.json"


def _note(address: Address) -> Mapping[str, Any]:
    try:
        note = read_json(_note_place(address).read_bytes())
        return note if isinstance(note, dict) and len(str(note["sha256"])) == 64 else {}
    except (OSError, ValueError, KeyError):
        return {}


def _write_note(address: Address, note: Mapping[str, Any]) -> None:
    with contextlib.suppress(RunFolderError):  # without it the file is fetched again next time
        write_atomic(_note_place(address), json.dumps(note).encode())


def _fetch(address: Address, stamp: int) -> Path:
    folder = downloads_folder()
    draft = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        with os.fdopen(handle, "w+b") as file:
            download(address, file, MOST_BYTES)
            size = file.tell()
        sha256 = _sha256(draft)
        copy = _place(sha256)
        copy.parent.mkdir(exist_ok=True)
        put_in_place(draft, copy)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(draft)
    _write_note(address, {"stamp": stamp, "sha256": sha256})
    _count(size)
    return copy


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _count(size: int) -> None:
    with _KEPT.lock:
        _KEPT.fetched += size
        due = _KEPT.fetched >= _TRIMMED_EVERY
        if due:
            _KEPT.fetched = 0
    if due:
        trim_downloads(_KEPT.limit)


def download_files() -> list[Path]:
    """All copies that there are."""
    return sorted(downloads_folder().glob("[0-9a-f][0-9a-f]/*"))


def clear_downloads() -> tuple[int, int]:
    """Deletes all copies, and the notes on them; (files, bytes) of the former."""
    files = download_files()
    size = sum(path.stat().st_size for path in files)
    shutil.rmtree(downloads_folder(), ignore_errors=True)
    return len(files), size


def trim_downloads(limit: float) -> int:
    """Deletes the copies that were used least lately, until the rest take no more than `limit`
    bytes; how many. Who is reading one keeps it, who comes later fetches it again."""
    known = []
    for path in download_files() if limit < math.inf else ():
        with contextlib.suppress(OSError):
            about = path.stat()
            known.append((about.st_mtime_ns, about.st_size, path))
    total, deleted = sum(size for _, size, _ in known), 0
    for _, size, path in sorted(known):
        if total <= limit:
            break
        with contextlib.suppress(OSError):  # somebody else's, in a shared cache
            path.unlink()
            total, deleted = total - size, deleted + 1
    return deleted
