"""A manifest while it is read: what has been found so far, and where problems go.

In: a document and its valid parts. Out: what the steps of `load.py` share.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pipeline.files import real
from pipeline.manifest.contents import Contents, SetPictures
from pipeline.manifest.document import MOST_PROBLEMS, Document, Position, Report, report_at
from pipeline.manifest.folders import Passed
from pipeline.manifest.model import Picture, Style
from pipeline.manifest.networks import network_of
from pipeline.manifest.paths import nearby, path_in
from pipeline.manifest.schema import Blend, ManifestFile
from pipeline.manifest.table import INITS

Found = TypeVar("Found")


class Gathered:
    """Pictures or styles in order, each once, with their index by identity.

    A picture that a map gives a label or a mask is another one than without.
    """

    def __init__(self) -> None:
        self.items: Any = []
        self.index: dict[object, int] = {}
        self._sets: dict[Path, SetPictures] = {}  # whose pictures are not in the index one by one
        self._numbers: dict[Path, dict[str, int]] = {}  # of those, when a picture is asked for

    def add(self, item: Picture | Style) -> int:
        """Adds what is new; its index."""
        keys = _identities(item)
        index = next((self.index[key] for key in keys if key in self.index), None)
        if index is None:
            index = self._in_sets(item)
        if index == len(self.items):
            self.items.append(item)
        for key in keys:
            self.index.setdefault(key, index)
        return index

    def add_set(self, pictures: SetPictures) -> None:
        """Adds a data set's pictures, unless it was added before; of them none is to have been
        added by itself, see `SetPictures.without`."""
        if pictures.path not in self._sets and len(pictures):
            self.index[pictures.path] = len(self.items)
            self._sets[pictures.path] = pictures
            self.items = self.items if isinstance(self.items, Contents) else Contents(self.items)
            self.items.append_set(pictures)

    def _in_sets(self, item: Picture | Style) -> int:
        """The index of a picture that a data set which was added holds; that of a new item else."""
        if isinstance(item, Style) or item.mask or item.keep or not self._sets:
            return len(self.items)
        for place in filter(self._sets.__contains__, item.path.parents):
            pictures = self._sets[place]
            numbers = self._numbers[place] = self._numbers.get(place) or pictures.index()
            number = numbers.get(item.path.relative_to(place).as_posix())
            if number is not None and set(_identities(item)) & set(_identities(pictures[number])):
                return self.index[place] + number
        return len(self.items)

    def keep(self, wanted: Callable[[Any], bool]) -> None:
        """Lets go of what is not wanted."""
        items, self.items, self.index = self.items, [], {}
        self._sets, self._numbers = {}, {}
        for item in filter(wanted, items):
            self.add(item)


def _identities(item: Picture | Style) -> list[object]:
    """What an item is known by, the closest first."""
    if isinstance(item, Style):
        return [(item.parts, item.regions)]
    masks = item.mask, item.keep
    if not item.file:
        return [(item.path, item.label, *masks)]
    plain = [] if any(masks) else [item.path]
    return [*plain, *((item.path, label, *masks) for label in (item.file, item.label))]


@dataclass
class Reading:
    """What the steps of reading a manifest share.

    Attributes:
        file: the manifest as written, each part of the right type.
        settings: those of every job that are right.
        axes: the grid's values that are right.
        spelled: today's name of a setting -> an older one that the manifest sweeps it by.
        folders: those whose content pictures were taken.
        passed: what was passed over, by the folder and the pattern looked through.
        cut: data sets of which a part cannot be read.
        known: what steps found that were taken before, and what they reported.
    """

    document: Document
    file: ManifestFile
    settings: Mapping[str, Any]
    axes: Mapping[str, tuple[Any, ...]]
    spelled: dict[str, str]
    contents: Gathered = field(default_factory=Gathered)
    styles: Gathered = field(default_factory=Gathered)
    folders: list[Path] = field(default_factory=list)
    passed: dict[object, Passed] = field(default_factory=dict)
    cut: set[Path] = field(default_factory=set)
    known: dict[Hashable, tuple[list[Any], list[tuple[Position, str]]]] = field(
        default_factory=dict
    )

    @property
    def output(self) -> Path:
        """The run folder."""
        return real(path_in(self.base, self.file.output.path))

    @property
    def base(self) -> Path:
        """The manifest's folder, to which its paths are relative."""
        return real(self.document.path).parent

    def swept(self, axis: str) -> Iterable[tuple[int, Any]]:
        """The values of an axis of the grid that are right, each with its place there."""
        return self.document.places(f"grid.{axis}", self.axes.get(axis, ()))

    @property
    def named(self) -> set[str]:
        """Names of blends and regions, which pairs may use."""
        return {entry.name for entry in self.file.style if isinstance(entry, Blend)}

    def at(self, *position: str | int) -> Report:
        """Reports problems below a position of the manifest."""
        return report_at(self.document, *position)

    def once(
        self, key: Hashable, report: Report, step: Callable[[Report], Iterable[Found]]
    ) -> list[Found]:
        """What a step finds; for a key that was there before, found and reported again without it.

        The rows of a map mostly name what other rows named.
        """
        if key not in self.known:
            said: list[tuple[Position, str]] = []
            self.known[key] = list(step(lambda *told: said.append(told))), said
        found, said = self.known[key]
        for told in said:
            report(*told)
        return found

    def nearby(self, path: Path) -> str:
        """As `paths.nearby`, for as many problems as are shown: it looks through a folder."""
        return nearby(path) if len(self.document.problems) < MOST_PROBLEMS else ""


def with_path(base: Path, name: str, value: Any) -> Any:
    """A setting's value, with the path of the file that it names: `init` may be a picture's, and a
    backbone's weights a file's."""
    if name == "init":
        return value if value in INITS else str(path_in(base, str(value)))
    if name == "backbone" and isinstance(value, Mapping) and value.get("weights"):
        is_file = isinstance(network_of(value).weights, Path)
        return {**value, "weights": str(path_in(base, value["weights"]))} if is_file else value
    return value


def with_paths(base: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with the paths of the files that they name."""
    return {name: with_path(base, name, value) for name, value in settings.items()}
