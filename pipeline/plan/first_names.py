"""The names that run folders went by at first; those that began with them go on with them.

In: a manifest. Out: labels, unique among those that are there now: another file may change them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipeline.manifest import Manifest, Picture, Style
from pipeline.plan.labels import safe_label, short_hash, value_label


class FirstNames:
    """Names of outputs without the content's suffix. See `Names`."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def contents(self) -> list[str]:
        """Each content's label."""
        rows = [content_candidates(c) for c in self.manifest.contents]
        # A map may have one picture under one label with two masks.
        labels = unique_labels([[*row, f"{row[-1]}-{i}"] for i, row in enumerate(rows)])
        return _clips_apart(self.manifest.contents, labels)

    def styles(self) -> list[str]:
        """Each style's label."""
        return unique_labels([style_candidates(style) for style in self.manifest.styles])

    def axis(self, name: str, values: Sequence[Any]) -> list[str]:
        """A label for each value of a swept setting."""
        rows = [
            [label := value_label(name, value), f"{label}-{short_hash(repr(value))}"]
            for value in values
        ]
        return unique_labels(rows)

    def own(self, many: Sequence[Mapping[str, Any]]) -> list[str]:
        """A label for the settings that each of some pairs have of their own."""
        rows = []
        for settings in many:
            label = "__".join(value_label(name, value) for name, value in settings.items())
            rows.append([label, f"{label}-{short_hash(repr(settings))}"])
        return unique_labels(rows)

    def join(self, content: str, style: str, values: Sequence[str]) -> str:
        """A job's name."""
        return "__".join((content, style, *values))


def _clips_apart(contents: Sequence[Picture], labels: list[str]) -> list[str]:
    """The labels; a clip's is a folder, and so is no other content's."""
    if all(content.clip is None for content in contents):
        return labels
    folders = {label.casefold().rpartition("/")[0] for label in labels}
    folders |= {parent.as_posix() for name in folders for parent in PurePosixPath(name).parents}
    return [
        f"{label}-{short_hash(str(content.path))}"
        if content.clip and label.casefold() in folders
        else label
        for label, content in zip(labels, contents, strict=True)
    ]


def safe_path_label(path: str) -> str:
    """A relative path, each part made safe; never absolute, never above its root.

    >>> safe_path_label("/../town/a*b")
    'town/a_b'
    """
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join(safe_label(part) for part in parts) or "unnamed"


def unique_labels(candidates: Sequence[Sequence[str]]) -> list[str]:
    """One label for each row of candidates: the first column in which it stands alone.

    Compared without case, since macOS and Windows do. The last candidate of a row has to be unique.

    >>> unique_labels([["a", "a-jpg"], ["A", "A-png"], ["b", "b-jpg"]])
    ['a-jpg', 'A-png', 'b']
    """
    chosen: list[str | None] = [None] * len(candidates)
    taken: set[str] = set()
    for column in range(max((len(row) for row in candidates), default=0)):
        open_rows = [i for i, label in enumerate(chosen) if label is None]
        counts: dict[str, int] = {}
        for i in open_rows:
            folded = candidates[i][min(column, len(candidates[i]) - 1)].casefold()
            counts[folded] = counts.get(folded, 0) + 1
        for i in open_rows:
            label = candidates[i][min(column, len(candidates[i]) - 1)]
            if counts[label.casefold()] == 1 and label.casefold() not in taken:
                chosen[i] = label
                taken.add(label.casefold())
    assert all(label is not None for label in chosen)
    return [label for label in chosen if label is not None]


def content_candidates(picture: Picture) -> list[str]:
    """Labels for a content, from the shortest to one that nobody else has."""
    label = safe_path_label(picture.label)
    suffix = picture.path.suffix.lstrip(".").lower()
    return [label, f"{label}-{suffix}", f"{label}-{short_hash(str(picture.path))}"]


def style_candidates(style: Style) -> list[str]:
    """Labels for a style, from the shortest to one that nobody else has."""
    label = safe_label(style.label)
    whole = json.dumps([[str(path), weight] for path, weight in style.parts])
    suffix = style.parts[0][0].suffix.lstrip(".").lower() if len(style.parts) == 1 else "blend"
    return [label, f"{label}-{suffix}", f"{label}-{short_hash(style.label + whole)}"]
