"""Data sets as files of many pictures: tar shards, and Parquet and Arrow tables.

In: a set's path. Out: its pictures, each as a path below the set's file, `000000.tar/cat/a.jpg` or
`train.parquet/17`; their bytes and labels, read where they lie. Must not load torch.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pipeline.errors import ImageError
from pipeline.pictures.rows import RowSet
from pipeline.pictures.set_member import Member
from pipeline.pictures.tars import TarSet


class PictureSet(Protocol):
    """A file of many pictures.

    Attributes:
        path: the file.
        problem: why not all of it could be looked through, or empty.
        passed: entries that hold no picture.
    """

    path: Path
    problem: str
    passed: int

    @property
    def weight(self) -> int:
        """About how many bytes of memory it takes."""

    def members(self) -> Iterator[Member]:
        """Its pictures, in order."""

    def read(self, name: str) -> bytes:
        """The bytes of one; an ImageError where there is no such one, or it is damaged."""

    def others(self, name: str) -> dict[str, bytes]:
        """What lies beside a picture, by WebDataset's extension: `cls`, `txt`, `source.json`."""

    def labels(self, name: str) -> dict[str, Any]:
        """The same as far as it is text or numbers, for records and tables."""


_KINDS: dict[str, Callable[[Path], PictureSet]] = {
    ".tar": TarSet,
    ".parquet": RowSet,
    ".arrow": RowSet,
}
SET_SUFFIXES = frozenset(_KINDS)
_INSIDE = re.compile(r"\.(?:tar|parquet|arrow)[/\\]", re.IGNORECASE)
_MOST_HELD = 256 * 2**20  # bytes of all sets that a process keeps open
_LONGEST_LABEL = 10_000  # of a label in records, as JSON text

# The names that splits have; a folder or a file's beginning of such a name is a split.
SPLITS = frozenset(
    ["train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "holdout"]
)
_SPLIT = re.compile(rf"({'|'.join(sorted(SPLITS))})(?:[-_.]|$)", re.IGNORECASE)


def is_set_name(path: Path) -> bool:
    """Whether the file's suffix is one of a data set's."""
    return path.suffix.lower() in SET_SUFFIXES


def set_members(path: Path) -> Iterator[Member]:
    """The pictures of a data set, in order, each under a name that has its split and its class.

    Raises:
        ImageError: the file is no data set, or damaged before its first picture.
        MissingPackageError: a table, and pyarrow is missing.
    """
    split = _split_of(path)
    for member in _opened(path).members():
        folders = PurePosixPath(member.file).parts[:-1]
        file = member.file
        if not folders and member.label:
            file = f"{_one_part(member.label)}/{file}"
        if split and (not folders or folders[0].lower() not in SPLITS):
            file = f"{split}/{file}"
        yield replace(member, file=file)


def set_problem(path: Path) -> str:
    """What keeps a part of a data set from being read, such as a shard that is cut; or empty."""
    return _opened(path).problem


def set_passed(path: Path) -> int:
    """How many of a data set's samples hold no picture."""
    return _opened(path).passed


def _split_of(path: Path) -> str:
    found = _SPLIT.match(path.name)
    if found:
        return found[1].lower()
    return path.parent.name if path.parent.name.lower() in SPLITS else ""


def _one_part(label: str) -> str:
    return re.sub(r"[/\\]", "_", label)


# --- one picture ----------------------------------------------------------------------------------


def seems_in_set(path: Path) -> bool:
    """Whether a path may lead into a data set, by its words alone."""
    return _INSIDE.search(str(path)) is not None


def place_in_set(path: Path) -> tuple[Path, str] | None:
    """The data set that a path leads into, and the picture's name in it; None for a plain file."""
    text = str(path)
    for found in _INSIDE.finditer(text):
        file = Path(text[: found.end() - 1])
        if file.is_file():
            return file, Path(text[found.end() :]).as_posix()
    return None


def member_bytes(path: Path) -> bytes | None:
    """The bytes of a data set's picture; None where the path leads into no data set.

    Raises:
        ImageError: there is no such picture in it, or it is damaged.
    """
    place = place_in_set(path)
    return None if place is None else _opened(place[0]).read(place[1])


def member_others(path: Path) -> dict[str, bytes]:
    """What a data set has beside a picture, by WebDataset's extension; nothing of a plain file.

    Raises:
        ImageError: the data set cannot be read.
    """
    place = place_in_set(path)
    return {} if place is None else _opened(place[0]).others(place[1])


def member_labels(path: Path) -> dict[str, Any]:
    """What of it is text or numbers, as plain JSON; very long ones are left out.

    Raises:
        ImageError: the data set cannot be read.
    """
    place = place_in_set(path)
    found = {} if place is None else _opened(place[0]).labels(place[1])
    plain = {name: json.loads(json.dumps(value, default=str)) for name, value in found.items()}
    return {name: v for name, v in plain.items() if len(json.dumps(v)) <= _LONGEST_LABEL}


_held: OrderedDict[Path, tuple[tuple[int, int], PictureSet]] = OrderedDict()
_lock = threading.Lock()  # pictures are read ahead by threads


def _opened(path: Path) -> PictureSet:
    """A data set, kept open with those that were used last; one that was changed is read anew."""
    try:
        known = path.stat()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check it") from error
    stamp = (known.st_mtime_ns, known.st_size)
    with _lock:
        if path in _held and _held[path][0] == stamp:
            _held.move_to_end(path)
            return _held[path][1]
        found = _KINDS[path.suffix.lower()](path)
        _held[path] = (stamp, found)
        _held.move_to_end(path)
        while len(_held) > 1 and sum(each.weight for _, each in _held.values()) > _MOST_HELD:
            _held.popitem(last=False)
        return found
