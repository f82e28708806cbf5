"""A picture file's bytes, and what decides how it is read.

In: paths. Out: bytes and digests. Loads no arrays but for TIFFs.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import ImageError
from pipeline.pictures.formats import DAMAGED, MARKS, damaged, why_unread
from pipeline.pictures.sets import member_bytes
from pipeline.remote import identified, local_copy

# Bits and color type of PNGs whose transparent level was misread: 16-bit gray and RGB, small gray.
_MISREAD_PNGS = (b"\x10\0", b"\x10\2", b"\2\0", b"\4\0")


def file_bytes(path: Path, sha256: str = "") -> bytes:
    """A file's bytes.

    Args:
        sha256: of the bytes that are wanted, which of a remote file then need not be fetched again.

    Raises:
        ImageError: it is gone, closed, or no file.
    """
    member = member_bytes(path)
    if member is not None:
        return member
    try:
        here = local_copy(path, sha256)
        if not here.is_file() and here.exists():  # a pipe would wait for ever
            raise ImageError(f"{path}: {why_unread(path)}")
        return here.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except OSError as error:
        raise damaged(path, error) from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits.

    Raises:
        ImageError: the file cannot be read.
    """
    member = member_bytes(path)
    if member is not None:
        return hashlib.sha256(member).hexdigest()
    try:
        digest = hashlib.sha256()
        with local_copy(path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); check path and rights"
        raise ImageError(message) from error


def read_identity(path: Path) -> str:
    """What decides how a picture file is read: its digest, and for the few layouts that earlier
    versions read otherwise a mark behind it.

    Raises:
        ImageError: the file cannot be read.
    """
    member = member_bytes(path)
    if member is not None:
        return identity_of(member)
    try:
        return identified(path, _identify)
    except OSError as error:
        raise damaged(path, error) from error


def _identify(path: Path) -> str:
    digest = file_sha256(path)
    with path.open("rb") as file:
        return f"{digest}:2" if _was_misread(file) else digest


def identity_of(data: bytes) -> str:
    """`read_identity` of a file whose bytes were read."""
    digest = hashlib.sha256(data).hexdigest()
    return f"{digest}:2" if _was_misread(io.BytesIO(data)) else digest


def _was_misread(file: BinaryIO) -> bool:
    try:
        head = file.read(64)
        if head[:4] in MARKS:
            # Here alone: arrays take a while to load.
            from pipeline.pictures.deep_tiff import Layout, open_tiff

            return Layout(open_tiff(file).pages.first).was_misread
        if head[:8] != b"\x89PNG\r\n\x1a\n" or head[24:26] not in _MISREAD_PNGS:
            return False
        return b"tRNS" in head + file.read(1 << 16)
    except DAMAGED:
        return False  # it is told when it is read
