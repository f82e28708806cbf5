"""A tar shard as WebDataset has them: files of one name but for the extension are one sample.

In: a tar file. Out: its pictures, and what lies beside each; read at their offsets, never unpacked.
Must not load torch.
"""

from __future__ import annotations

import contextlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import ImageError
from pipeline.pictures.formats import SUFFIXES
from pipeline.pictures.plain_tars import plain_entries
from pipeline.pictures.set_member import Member

# WebDataset's own: a sample's key ends at the first dot of the file's name.
_NAME = re.compile(r"^((?:.*/|)[^./][^./]*)[.]([^/]*)$", re.DOTALL)
_TEXTS = ("cls", "cls2", "class", "id", "index", "label", "labels", "txt", "text", "caption")
_MOST_TEXT = 2**20
_CLASS_BYTES = 200
_ENTRY_BYTES = 300  # of memory, about, for a file of a shard


class TarSet:
    """A shard, looked through once.

    Raises:
        ImageError: no tar file, a packed one, or damaged before its first file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.problem, self.passed = path, "", 0
        self._places: dict[str, tuple[int, int]] = {}
        self._samples: dict[str, dict[str, str]] = {}  # key -> extension -> name
        self._look_through()
        self._pictures = {key: _picture_of(found) for key, found in self._samples.items()}
        self.passed = sum(extension is None for extension in self._pictures.values())

    @property
    def weight(self) -> int:
        """About how many bytes of memory it takes."""
        return _ENTRY_BYTES * len(self._places)

    def _look_through(self) -> None:
        try:
            with self.path.open("rb") as file:
                found = plain_entries(file)
            for entry in _entries(self.path) if found is None else found:
                self._add(*entry)
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            why = getattr(error, "strerror", None) or error
            self.problem = f"{self.path}: damaged or cut short after {len(self._places)} files"
            if not self._places:
                raise ImageError(
                    f"{self.path}: no tar shard that can be read ({why}); a packed one, such as "
                    f".tar.gz, has to be unpacked to .tar, since its pictures are read in place"
                ) from error

    def _add(self, name: str, offset: int, size: int) -> None:
        name = "/".join(part for part in name.split("/") if part not in ("", ".", ".."))
        found = _NAME.match(name)
        if found is None or name in self._places:
            return
        self._places[name] = (offset, size)
        self._samples.setdefault(found[1], {})[found[2].lower()] = name

    def members(self) -> Iterator[Member]:
        """Its pictures, in order; a sample of several has its first."""
        with self.path.open("rb") as file:
            for key, extension in self._pictures.items():
                if extension is not None:
                    name = self._samples[key][extension]
                    yield Member(name, name, self._class_of(key, file))

    def _class_of(self, key: str, file: BinaryIO) -> str:
        """The class that a sample's `cls` names."""
        name = self._samples[key].get("cls")
        if name is None or self._places[name][1] > _CLASS_BYTES:
            return ""
        return self._bytes(name, file).decode(errors="replace").strip()

    def read(self, name: str) -> bytes:
        """The bytes of one of its files.

        Raises:
            ImageError: there is none of this name, or the shard ends within it.
        """
        if name not in self._places:
            raise ImageError(f"{self.path}/{name}: no such picture in the shard any more")
        return self._bytes(name)

    def _bytes(self, name: str, opened: BinaryIO | None = None) -> bytes:
        offset, size = self._places[name]
        try:
            with contextlib.nullcontext(opened) if opened else self.path.open("rb") as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise ImageError(f"{self.path}: cannot be read ({error.strerror}); check it") from error
        if len(data) < size:
            raise ImageError(f"{self.path}/{name}: the shard is cut short within it; replace it")
        return data

    def _beside(self, name: str) -> dict[str, str]:
        found = _NAME.match(name)
        files = self._samples.get(found[1], {}) if found else {}
        return {extension: file for extension, file in files.items() if file != name}

    def others(self, name: str) -> dict[str, bytes]:
        """The other files of a picture's sample; `json` is `source.json`, since records are JSON.

        Raises:
            ImageError: the shard cannot be read.
        """
        every = self._beside(name)
        return {
            "source.json" if extension == "json" else extension: self._bytes(file)
            for extension, file in every.items()
        }

    def labels(self, name: str) -> dict[str, Any]:
        """Those of them that are text, numbers or JSON; text that is no JSON is itself."""
        labels: dict[str, Any] = {}
        for extension, file in self._beside(name).items():
            last = extension.rpartition(".")[2]
            if (last not in _TEXTS and last != "json") or self._places[file][1] > _MOST_TEXT:
                continue
            text = self._bytes(file).decode(errors="replace").strip()
            labels[extension] = _number(text) if last in ("cls", "cls2", "index") else text
            if last == "json":
                labels[extension] = _parsed(text)
        return labels


def _entries(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, offset and bytes of each file of a tar."""
    with tarfile.open(path, "r:") as tar:
        for info in tar:
            if info.isreg() and not info.issparse():
                yield info.name, info.offset_data, info.size
        ended = tar.offset
    with path.open("rb") as file:
        file.seek(ended)
        if file.read(tarfile.BLOCKSIZE).strip(tarfile.NUL):  # half an entry, which tarfile leaves
            raise tarfile.ReadError("ends within an entry")


def _picture_of(files: dict[str, str]) -> str | None:
    """The extension of a sample's picture: one that is a picture's as it is, else ends in one."""
    plain = [extension for extension in files if f".{extension}" in SUFFIXES]
    longer = [e for e in files if f".{e.rpartition('.')[2]}" in SUFFIXES]
    return next(iter([*plain, *longer]), None)


def _number(text: str) -> int | str:
    return int(text) if re.fullmatch(r"-?\d{1,15}", text) else text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
