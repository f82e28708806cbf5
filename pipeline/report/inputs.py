"""The pictures that a run was made of, where they are now.

In: a run folder, paths and digests of its records. Out: files whose bytes are those of the record.
Whatever else a record names is not looked into: it may come from someone else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from pipeline.address import Address, as_path, is_address
from pipeline.errors import ImageError, ManifestError, MissingPackageError
from pipeline.manifest import Passed, load_manifest, walk
from pipeline.pictures import file_sha256, is_image_name, place_in_set
from pipeline.remote import copy_of, is_there, pin
from pipeline.store import RunFolder

_UNREAD = (ImageError, MissingPackageError)  # a package for tables, or for a storage


class Inputs:
    """Finds a run's inputs; each is looked for once.

    Args:
        store: the run. Where it was moved together with its manifest and pictures, these are found
            where they lie from it now. None for a picture that lies in no run.
        folders: where else files may lie, under whatever name.
    """

    def __init__(self, store: RunFolder | None, folders: Sequence[Path] = ()) -> None:
        self._moved = _moved(store) if store else None
        self._store, self._folders = store, folders
        self._known: dict[tuple[str, str], Path | None] = {}
        self._digests: dict[str, Path] = {}

    def find(self, path: str, digest: str) -> Path | None:
        """The file with these bytes, of a remote one the local copy; None if it is gone or another
        one now.

        Args:
            digest: of the record: SHA-256, perhaps with a mark behind it.
        """
        if (path, digest) not in self._known:
            self._known[path, digest] = self._look(path, digest)
        return self._known[path, digest]

    def _look(self, path: str, digest: str) -> Path | None:
        if is_address(path):  # no storage is asked for what a record names
            return copy_of(digest)
        return next((place for place in self._places(path) if _is(place, digest)), None)

    def search(self, path: str, digest: str) -> Path | None:
        """As `find`; what is not there is looked for by its bytes, in the folders and among the
        pictures that the run's manifest finds now, those of the same name first.

        A remote file stays one: for the rest of the command its address stands for these bytes.
        """
        address = as_path(path)
        if isinstance(address, Address):
            found: Path | None = address if pin(address, digest) else None
        else:
            found = self.find(path, digest)
        if found is None and digest:
            named = self._by_name.get(Path(path).name, [])
            found = next((place for place in named if _is(place, digest)), None)
            found = found or self._of_bytes(digest[:64])
        return found

    def _places(self, path: str) -> list[Path]:
        if not path:
            return []
        places = [Path(path)]
        if self._moved is not None:
            before, now = self._moved
            with contextlib.suppress(ValueError):  # on another of Windows' drives
                places.append(Path(os.path.normpath(now / os.path.relpath(path, before))))
        return places

    @cached_property
    def _candidates(self) -> list[Path]:
        found = [place for folder in self._folders for place in _pictures_in(folder)]
        return list(dict.fromkeys([*found, *self._of_manifest()]))

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        named: dict[str, list[Path]] = {}
        for place in self._candidates:
            named.setdefault(place.name, []).append(place)
        return named

    @cached_property
    def _unread(self) -> Iterator[Path]:
        """Those whose digest is not known yet; remote ones, which are fetched for it, last."""
        return iter(sorted(self._candidates, key=lambda place: isinstance(place, Address)))

    def _of_bytes(self, sha256: str) -> Path | None:
        """The first that has these bytes; no more are read than it takes."""
        while sha256 not in self._digests and (place := next(self._unread, None)) is not None:
            with contextlib.suppress(*_UNREAD):  # one that cannot be read is none
                self._digests.setdefault(file_sha256(place), place)
        return self._digests.get(sha256)

    def _of_manifest(self) -> Iterable[Path]:
        """The pictures and masks that the run's manifest finds now; none if it is gone or wrong."""
        header = self._store.header() if self._store else None
        if header is None or self._moved is None:
            return []
        try:
            manifest = load_manifest(self._moved[1] / Path(header.manifest).name)
        except ManifestError:
            return []
        contents = [picture for picture in manifest.contents if picture.clip is None]
        found = [place for one in contents for place in (one.path, one.mask, one.keep)]
        for style in manifest.styles:
            found += [*(path for path, _ in style.parts), *style.masks]
        return [place for place in found if place is not None]


def _pictures_in(folder: Path) -> Iterator[Path]:
    """The picture files below a folder.

    Raises:
        ManifestError: it cannot be read.
    """
    try:
        for below in walk(folder, None, Passed()):
            if is_image_name(folder / below):
                yield folder / below
    except OSError as error:
        where = error.filename or folder
        raise ManifestError([f"{where}: cannot be read ({error.strerror}); check it"]) from error


def _is(path: Path, digest: str) -> bool:
    try:
        if isinstance(path, Address):
            there = is_there(path)
        else:
            there = path.is_file() or place_in_set(path) is not None
        return there and file_sha256(path) == digest.partition(":")[0]
    except (*_UNREAD, OSError, ValueError):
        return False


def _moved(store: RunFolder) -> tuple[Path, Path] | None:
    """The folder that the manifest lay in, and the one that it lies in now if all of it moved."""
    header = store.header()
    if header is None or not header.folder or not header.run:  # of an older version
        return None
    if isinstance(store.path, Address) or is_address(header.run):  # which lies beside nothing
        return None
    try:
        below = os.path.relpath(header.folder, header.run)
    except ValueError:  # on another of Windows' drives
        return None
    now = Path(os.path.normpath(store.path.absolute() / below))
    return Path(header.folder), now
