"""Names of outputs: labels that every file system takes, unique in a plan.

In: paths, styles, swept values. Out: labels, which are joined by `__`.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.manifest import Picture, Style

_RESERVED = {"con", "prn", "aux", "nul"} | {f"{n}{i}" for n in ("com", "lpt") for i in range(10)}


_LONGEST_LABEL = 80


def safe_label(text: str) -> str:
    """A file-name part that Linux, macOS and Windows all take, without `__` in or at its ends.

    Labels are joined by `__`, so a label without it keeps joined names unambiguous.

    >>> safe_label("a: b__c?"), safe_label("con"), safe_label("..")
    ('a_ b_c', 'con-file', 'unnamed')
    """
    # A Linux file name need not be UTF-8; what is not becomes `?`, and that `_`.
    text = unicodedata.normalize("NFC", text.encode(errors="replace").decode())
    text = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", text)
    text = re.sub(r"_+", "_", text).strip(" ._") or "unnamed"
    if text.split(".")[0].strip().lower() in _RESERVED:
        text = f"{text}-file"
    if len(text.encode()) > _LONGEST_LABEL:
        kept = text.encode()[: _LONGEST_LABEL - 9].decode(errors="ignore").rstrip(" ._")
        text = f"{kept}-{short_hash(text)}"
    return text


def safe_path_label(path: str) -> str:
    """A relative path, each part made safe; never absolute, never above its root.

    >>> safe_path_label("/../town/a*b")
    'town/a_b'
    """
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join(safe_label(part) for part in parts) or "unnamed"


def short_hash(text: str) -> str:
    """8 hex digits that keep equal labels apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


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


def content_labels(contents: Sequence[Picture]) -> list[str]:
    """Each content's label; a clip's is a folder, and so is no other content's."""
    labels = unique_labels([content_candidates(content) for content in contents])
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


def style_candidates(style: Style) -> list[str]:
    """Labels for a style, from the shortest to one that nobody else has."""
    label = safe_label(style.label)
    whole = json.dumps([[str(path), weight] for path, weight in style.parts])
    suffix = style.parts[0][0].suffix.lstrip(".").lower() if len(style.parts) == 1 else "blend"
    return [label, f"{label}-{suffix}", f"{label}-{short_hash(style.label + whole)}"]


def value_label(name: str, value: Any) -> str:
    """A swept value in a file name.

    >>> value_label("style_weight", 1000.0), value_label("clamp", False)
    ('style_weight-1000', 'clamp-off')
    >>> value_label("style_layers", {"conv1_1": 0.5, "conv2_1": 0.5})
    'style_layers-conv1_1+conv2_1'
    """
    if isinstance(value, bool):
        text = "on" if value else "off"
    elif isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, (list, tuple)):
        text = "+".join(f"{item:g}" for item in value)
    elif isinstance(value, Mapping):
        equal = len(set(value.values())) == 1
        text = "+".join(key if equal else f"{key}={weight:g}" for key, weight in value.items())
    else:
        text = Path(str(value)).stem if "/" in str(value) else str(value)
    return safe_label(f"{name}-{text}")


def axis_labels(name: str, values: Sequence[Any]) -> list[str]:
    """A label for each value of a swept setting."""
    rows = [
        [label := value_label(name, value), f"{label}-{short_hash(repr(value))}"]
        for value in values
    ]
    return unique_labels(rows)
