"""A tar shard as WebDataset has them: files of one name but for the extension are one sample.

In: a tar file. Out: its pictures, and what lies beside each; read at their offsets, never unpacked.
Must not load torch.
"""

from __future__ import annotations

import contextlib
import itertools
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
from pipeline.terminal import counted

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
        self._keys: dict[str, str] = {}  # key in the shard -> that of its latest sample
        self._numbers: dict[str, Iterator[int]] = {}  # of further samples of one key
        self._given: set[str] = set()  # the keys of those
        self._last, self._scattered = "", False  # whether samples' files lie side by side
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
            if not self._places:
                raise ImageError(
                    f"{self.path}: no tar shard that can be read ({why}); a packed one, such as "
                    f".tar.gz, has to be unpacked to .tar, since its pictures are read in place"
                ) from error
            self._leave_out_the_last()

    def _leave_out_the_last(self) -> None:
        """What a shard that is cut short has of its last sample: its class, and so its name, or
        the picture itself may be in what is missing."""
        self.problem = (
            f"{self.path}: damaged or cut short after {counted(len(self._places), 'file')}"
        )
        if self._scattered:
            raise ImageError(
                f"{self.path}: damaged or cut short, and its samples' files do not lie side by "
                f"side, so that what is whole of it cannot be told; replace it"
            )
        for name in self._samples.pop(self._last).values():
            del self._places[name]

    def _add(self, name: str, offset: int, size: int) -> None:
        name = "/".join(part for part in name.split("/") if part not in ("", ".", ".."))
        found = _NAME.match(name)
        if found is None:
            return
        key, extension = self._keys.get(found[1], found[1]), found[2].lower()
        # Another sample of the same name; or of a name that such a one was given before.
        is_another = extension in self._samples.get(key, {})
        if is_another or (key in self._given and found[1] not in self._keys):
            numbers = self._numbers.setdefault(found[1], itertools.count(2))
            numbered = (f"{found[1]}~{number}" for number in numbers)
            key = next(free for free in numbered if free not in self._samples)
            self._keys[found[1]] = key
            self._given.add(key)
        self._scattered |= key != self._last and key in self._samples
        self._last, name = key, f"{key}.{found[2]}"
        self._places[name] = (offset, size)
        self._samples.setdefault(key, {})[extension] = name

    def members(self) -> Iterator[Member]:
        """Its pictures, in order; a sample of several has its first."""
        with self.path.open("rb") as file:
            for key, extension in self._pictures.items():
                if extension is not None:
                    name, label = self._samples[key][extension], self._class_of(key, file)
                    number = _number(label)
                    yield Member(name, name, label, number if isinstance(number, int) else None)

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
            cut = ", which is damaged or cut short; replace it" if self.problem else " any more"
            raise ImageError(f"{self.path}/{name}: no such picture in the shard{cut}")
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
        rest = file.read(tarfile.BLOCKSIZE)
    if not rest or rest.strip(
        tarfile.NUL
    ):  # no mark of the end, or half an entry: tarfile leaves it
        raise tarfile.ReadError("ends before the mark of its end")


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
