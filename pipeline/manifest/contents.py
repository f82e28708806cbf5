"""Content pictures in order, however many: those of data sets take tens of bytes each.

In: pictures, and data sets' members. Out: a sequence of pictures, made when they are asked for.
"""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import overload

from pipeline.manifest.model import Picture


class SetPictures:
    """The pictures of one data set, by their names in it and what output names call them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text, self._ends = bytearray(), array("Q")

    def add(self, name: str, file: str, number: int | None = None) -> None:
        """Adds one, with its class's number; neither name has a NUL."""
        self._text += f"{name}\0{file}".encode(errors="surrogatepass")
        self._text += b"" if number is None else b"\0%d" % number
        self._ends.append(len(self._text))

    def index(self) -> dict[str, int]:
        """The number of each picture by its name in the data set."""
        return {self._at(place)[0]: place for place in range(len(self))}

    def without(self, known: Container[object]) -> SetPictures:
        """Those whose paths are not known."""
        rest = SetPictures(self.path)
        for picture, name in ((self[place], self._at(place)[0]) for place in range(len(self))):
            if picture.path not in known:
                rest.add(name, picture.file, picture.number)
        return rest

    def __len__(self) -> int:
        return len(self._ends)

    def _at(self, index: int) -> tuple[str, str, int | None]:
        begin = self._ends[index - 1] if index else 0
        text = self._text[begin : self._ends[index]].decode(errors="surrogatepass")
        name, file, *number = text.split("\0")
        return name, file, int(number[0]) if number else None

    def __getitem__(self, index: int) -> Picture:
        name, file, number = self._at(index)
        label = file.removesuffix(PurePosixPath(file).suffix)
        return Picture(Path(f"{self.path}/{name}"), label, file, number=number)

    def __iter__(self) -> Iterator[Picture]:
        return map(self.__getitem__, range(len(self)))


class Contents(Sequence[Picture]):
    """Pictures one by one, and whole data sets of them."""

    def __init__(self, pictures: Iterable[Picture] = ()) -> None:
        self._parts: list[list[Picture] | SetPictures] = []
        self._begins: list[int] = []
        self._count = 0
        for picture in pictures:
            self.append(picture)

    def append(self, picture: Picture) -> None:
        """Adds a picture."""
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, list):
            last = []
            self._begin(last)
        last.append(picture)
        self._count += 1

    def append_set(self, pictures: SetPictures) -> None:
        """Adds a data set's pictures, to which nothing may be added any more."""
        if len(pictures):
            self._begin(pictures)
            self._count += len(pictures)

    def _begin(self, part: list[Picture] | SetPictures) -> None:
        self._parts.append(part)
        self._begins.append(self._count)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Picture: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Picture]: ...

    def __getitem__(self, index: int | slice) -> Picture | Sequence[Picture]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        number = index % self._count
        part = bisect.bisect_right(self._begins, number) - 1
        return self._parts[part][number - self._begins[part]]

    def __iter__(self) -> Iterator[Picture]:
        for part in self._parts:
            yield from part
