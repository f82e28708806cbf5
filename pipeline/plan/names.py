"""Names of outputs: each depends on what it is the name of, and on nothing else that is there.

In: a manifest. Out: the labels of contents, styles and values, and names made of them. Exceptions
are told at `Names`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pipeline.address import Address, as_path
from pipeline.manifest import Manifest, Picture, Style
from pipeline.plan.first_names import FirstNames
from pipeline.plan.labels import marked, own_label, own_path, own_value_label, short_hash
from pipeline.version import NAMING

_LONGEST_NAME = 200  # bytes of a file's name without its suffix; file systems take 255


class Naming(Protocol):
    """How outputs are named. Which naming a run folder has is written in its `plan.json`."""

    def contents(self) -> list[str]:
        """Each content's label."""

    def styles(self) -> list[str]:
        """Each style's label."""

    def axis(self, name: str, values: Sequence[Any]) -> list[str]:
        """A label for each value of a swept setting."""

    def own(self, many: Sequence[Mapping[str, Any]]) -> list[str]:
        """A label for the settings that each of some pairs have of their own."""

    def join(self, content: str, style: str, values: Sequence[str]) -> str:
        """A job's name: its path below `images/`, without the picture's suffix."""


def naming_of(manifest: Manifest) -> Naming:
    """How the outputs of a manifest are named."""
    first = manifest.naming < NAMING and manifest.form.name is None
    return FirstNames(manifest) if first else Names(manifest)


class Names:
    """`<content's path below its root, suffix and all>__<style>__<values>`.

    Where two files have one path below two roots, the one that the manifest names later is marked
    by its path from the manifest. Of styles of one name the later ones get their suffix or such a
    mark too; the run folder keeps styles' names, so that they stay when others come or go.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self._base = manifest.path.resolve().parent
        self._template = manifest.form.name

    def contents(self) -> list[str]:
        """Each content's label."""
        labels = [own_path(picture.file or picture.label) for picture in self.manifest.contents]
        taken: set[str] = set()
        for index, (label, picture) in enumerate(zip(labels, self.manifest.contents, strict=True)):
            if label in taken:
                labels[index] = label = _free(self._marks(label, picture, index), taken)
            taken.add(label)
        return labels

    def _marks(self, label: str, picture: Picture, index: int) -> Iterable[str]:
        whole = self._from_manifest(picture.path)
        if picture.mask is not None:
            whole += f"\n{self._from_manifest(picture.mask)}"
        folder, slash, last = label.rpartition("/")
        for mark in (short_hash(whole), short_hash(f"{whole}\n{index}")):
            yield f"{folder}{slash}{marked(last, mark)}"

    def styles(self) -> list[str]:
        """Each style's label."""
        kept = {identity: name for name, identity in self.manifest.style_names.items()}
        known = [self.style_identity(style) for style in self.manifest.styles]
        taken = set(self.manifest.style_names)
        labels = []
        for style, identity in zip(self.manifest.styles, known, strict=True):
            label = kept.get(identity) or _free(_style_labels(style, identity), taken)
            taken.add(label)
            labels.append(label)
        return labels

    def style_identity(self, style: Style) -> str:
        """What a style is the same by, wherever manifest and pictures lie: its path, or its name
        with its pictures."""
        paths = [self._from_manifest(path) for path, _ in style.parts]
        if len(paths) == 1 and not style.regions and paths[0]:
            return paths[0]
        parts = [[path, weight] for path, (_, weight) in zip(paths, style.parts, strict=True)]
        return json.dumps([style.label, parts, style.regions])

    def axis(self, name: str, values: Sequence[Any]) -> list[str]:
        """A label for each value of a swept setting."""
        taken: set[str] = set()
        labels = []
        for value in values:
            label = own_value_label(name, value)
            mark = short_hash(self._identity(value))
            labels.append(_free((label, marked(label, mark)), taken))
            taken.add(labels[-1])
        return labels

    def own(self, many: Sequence[Mapping[str, Any]]) -> list[str]:
        """A label for the settings that each of some pairs have of their own."""
        taken: set[str] = set()
        labels = []
        for settings in many:
            label = "__".join(own_value_label(name, value) for name, value in settings.items())
            whole = repr(settings)
            if "backbone" in settings:
                whole = repr({**settings, "backbone": self._identity(settings["backbone"])})
            labels.append(_free((label, f"{label}~{short_hash(whole)}"), taken))
            taken.add(labels[-1])
        return labels

    def join(self, content: str, style: str, values: Sequence[str]) -> str:
        """A job's name, by the manifest's template if it has one."""
        if self._template is None:
            return _short_enough("__".join((content, style, *values)))
        folder, _, name = content.rpartition("/")
        file = PurePosixPath(name)
        text = self._template.format(
            folder=folder,
            name=name,
            stem=file.stem,
            suffix=file.suffix,
            style=style,
            grid="__".join(values),
        )
        parts = [stripped for part in text.split("/") if (stripped := part.strip(" ._"))]
        return _short_enough("/".join(parts) or "unnamed")

    def _identity(self, value: Any) -> str:
        """What a swept value is the same by, wherever the manifest and the files it names lie."""
        if isinstance(value, Mapping) and _is_path(value.get("weights")):  # a backbone
            return repr({**value, "weights": self._from_manifest(as_path(value["weights"]))})
        return self._from_manifest(as_path(value)) if _is_path(value) else repr(value)

    def _from_manifest(self, path: Path) -> str:
        """A path as seen from the manifest, the same wherever both lie; of an address itself."""
        if isinstance(path, Address):
            return str(path)
        try:
            return PurePosixPath(os.path.relpath(path, self._base)).as_posix()
        except ValueError:  # another drive of Windows
            return path.as_posix()


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and "/" in value


def _style_labels(style: Style, identity: str) -> Iterable[str]:
    """Labels for a style, from the shortest on."""
    label = own_label(style.label)
    yield label
    if len(style.parts) == 1:
        suffix = style.parts[0][0].suffix.lstrip(".").lower()
        yield own_label(f"{label}-{suffix}")
    yield marked(label, short_hash(identity))
    yield from (marked(label, short_hash(f"{identity}\n{i}")) for i in range(1_000_000))


def _free(labels: Iterable[str], taken: set[str]) -> str:
    """The first that is not taken; the last where all are."""
    label = ""
    for label in labels:
        if label not in taken:
            break
    return label


def _short_enough(name: str) -> str:
    """The name, its last part cut and marked where no file system would take it."""
    folder, slash, last = name.rpartition("/")
    if len(last.encode()) <= _LONGEST_NAME:
        return name
    kept = last.encode()[: _LONGEST_NAME - 9].decode(errors="ignore").rstrip(" ._~")
    return f"{folder}{slash}{kept}~{short_hash(last)}"
