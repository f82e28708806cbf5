"""The pictures that a run was made of, where they are now.

In: a run folder, paths and digests of its records. Out: files whose bytes are those of the record.
Whatever else a record names is not looked into: it may come from someone else.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pipeline.errors import ImageError
from pipeline.pictures import file_sha256
from pipeline.store import RunFolder


class Inputs:
    """Finds a run's inputs; each is looked for once.

    Args:
        store: the run. Where it was moved together with its manifest and pictures, these are found
            where they lie from it now.
    """

    def __init__(self, store: RunFolder) -> None:
        self._moved = _moved(store)
        self._known: dict[tuple[str, str], Path | None] = {}

    def find(self, path: str, digest: str) -> Path | None:
        """The file with these bytes; None if it is gone or another one now.

        Args:
            digest: of the record: SHA-256, perhaps with a mark behind it.
        """
        if (path, digest) not in self._known:
            self._known[path, digest] = next(
                (place for place in self._places(path) if _is(place, digest)), None
            )
        return self._known[path, digest]

    def _places(self, path: str) -> list[Path]:
        if not path:
            return []
        places = [Path(path)]
        if self._moved is not None:
            before, now = self._moved
            with contextlib.suppress(ValueError):  # on another of Windows' drives
                places.append(Path(os.path.normpath(now / os.path.relpath(path, before))))
        return places


def _is(path: Path, digest: str) -> bool:
    try:
        return path.is_file() and file_sha256(path) == digest.partition(":")[0]
    except (ImageError, OSError, ValueError):
        return False


def _moved(store: RunFolder) -> tuple[Path, Path] | None:
    """The folder that the manifest lay in, and the one that it lies in now if all of it moved."""
    header = store.header()
    if header is None or not header.folder or not header.run:  # of an older version
        return None
    try:
        below = os.path.relpath(header.folder, header.run)
    except ValueError:  # on another of Windows' drives
        return None
    now = Path(os.path.normpath(store.path.absolute() / below))
    return Path(header.folder), now
