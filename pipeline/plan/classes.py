"""Splits and classes of a data set, as its folders have them.

In: content pictures. Out: their splits and classes. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from pipeline.manifest import Manifest, Picture
from pipeline.pictures import SPLITS

PLACES = ("class", "split")  # axes of contents' folders
NO_PLACE = "none"  # how the class of a picture that has none is shown


def split_and_class(content: Picture) -> tuple[str, str]:
    """A picture's split and class: its first folder, if that is named as splits are, and the last
    one below; empty where there is none."""
    return split_and_class_of(content.below)


def split_and_class_of(below: str) -> tuple[str, str]:
    """The same of a path below a content folder.

    >>> split_and_class_of("train/cat/a.jpg"), split_and_class_of("pets/cat/a.jpg")
    (('train', 'cat'), ('', 'cat'))
    >>> split_and_class_of("val/a.jpg"), split_and_class_of("a.jpg")
    (('val', ''), ('', ''))
    """
    folders = PurePosixPath(below).parts[:-1]
    split = folders[0] if folders and folders[0].lower() in SPLITS else ""
    rest = folders[1:] if split else folders
    return split, rest[-1] if rest else ""


def place_values(below: str) -> dict[str, str]:
    """The same as values of the axes `class` and `split`, `none` where there is none.

    >>> place_values("train/cat/a.jpg"), place_values("a.jpg")
    ({'class': 'cat', 'split': 'train'}, {'class': 'none', 'split': 'none'})
    """
    split, of_class = split_and_class_of(below)
    return {"class": of_class or NO_PLACE, "split": split or NO_PLACE}


def classes_of(manifest: Manifest) -> Iterator[tuple[str, int | None]]:
    """The class of each content that has one, and the number that its data set has for it."""
    for content in manifest.contents:
        _, name = split_and_class(content)
        if name:
            yield name, content.number
