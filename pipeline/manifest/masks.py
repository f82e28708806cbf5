"""Masks beside pictures: which file is whose, and which are missing.

In: patterns with {stem}, {name}, {suffix}. Out: pictures and styles with their masks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePath

from pipeline.manifest.model import Pair, Picture, Style
from pipeline.manifest.paths import has_file, path_in
from pipeline.manifest.reading import Reading
from pipeline.notices import Notice
from pipeline.pictures import WHITE, place_in_set
from pipeline.terminal import counted

_FIELD = re.compile(r"\{(?:stem|name|suffix)\}")
_ORDINARY = re.compile(r"(?:\.[a-z0-9]{2,5})?", re.I)  # no more than a suffix


def mask_of(path: Path, pattern: str) -> Path:
    """Where a picture's mask lies; of a data set's picture as if the data set were a folder."""
    named = pattern.replace("{stem}", path.stem).replace("{name}", path.name)
    mask = path_in(path.parent, named.replace("{suffix}", path.suffix))
    if ".." in mask.parts and place_in_set(path) is not None:
        return Path(os.path.normpath(mask))  # the way there leads through a file
    return mask


@cache
def _looks(pattern: str) -> tuple[re.Pattern[str], int] | None:
    """What the end of a mask's path looks like, and of how many parts it is; None for a pattern
    that pictures may look like, too."""
    parts = [part for part in PurePath(pattern).parts if part not in ("..", ".")]
    bare = _FIELD.sub("", parts[-1]) if parts else ""
    if not parts[-1:] or (len(parts) == 1 and _ORDINARY.fullmatch(bare)):
        return None
    text = "/".join(parts)
    places = [match.span() for match in _FIELD.finditer(text)]
    if not places:
        return None
    ends = [0, *(end for _, end in places)]
    literal = [text[end:start] for end, (start, _) in zip(ends, places, strict=False)]
    words = [*literal, text[places[-1][1] :]]
    return re.compile("[^/]+".join(map(re.escape, words))), len(parts)


def _is_mask_by_name(path: Path, pattern: str) -> bool:
    looks = _looks(pattern)
    return looks is not None and bool(looks[0].fullmatch("/".join(path.parts[-looks[1] :])))


def _masks_among(paths: Collection[Path], patterns: Sequence[str]) -> tuple[set[Path], list[Path]]:
    """Which of some pictures are masks; and those whose own picture is not there."""
    there = set(paths)
    masks = {m for path in there for pattern in patterns if (m := mask_of(path, pattern)) != path}
    alone = [
        path
        for path in sorted(there - masks)
        if any(_is_mask_by_name(path, pattern) for pattern in patterns)
    ]
    return (masks & there) | set(alone), alone


def without_masks(reading: Reading) -> None:
    """Masks that lie among the pictures are neither content pictures nor styles."""
    given = reading.file.masks
    if given is None:
        return
    of_contents = [pattern for pattern in (given.content, given.keep) if pattern is not None]
    contents, styles = reading.contents, reading.styles
    masks, alone = _masks_among([picture.path for picture in contents.items], of_contents)
    contents.keep(lambda picture: picture.path not in masks)
    if alone:
        _tell(reading, alone, "mask", "without a picture, and left out")
    of_styles = [given.style] if given.style is not None else []
    paths = {path for style in styles.items for path, _ in style.parts}
    masks, _ = _masks_among(paths, of_styles)
    masks |= {m for path in paths for each in of_contents if (m := mask_of(path, each)) != path}
    styles.keep(lambda style: len(style.parts) > 1 or style.parts[0][0] not in masks)


def _tell(reading: Reading, paths: Sequence[Path], noun: str, what: str) -> None:
    more = f" and {len(paths) - 3:,} more" if len(paths) > 3 else ""
    names = ", ".join(str(path) for path in paths[:3])
    said = f"{reading.document.path}: {counted(len(paths), noun)} {what}: {names}{more}"
    reading.document.warnings.append(Notice("unpaired_mask", said))


def add_masks(reading: Reading, paired: tuple[int, int], pairs: Sequence[Pair]) -> None:
    """Gives every picture its mask; those that are missing are reported.

    Args:
        paired: how many contents and styles take part in `pairing`.
        pairs: explicit ones.
    """
    masks, contents, styles = reading.file.masks, reading.contents, reading.styles
    if masks is not None:
        missing = _Missing(masks.missing == "whole")
        if masks.content is not None:
            give = missing.giver(masks.content)
            contents.items = [p if p.has_mask else p.masked(give) for p in contents.items]
        if masks.keep is not None:
            give = missing.giver(masks.keep)
            contents.items = [p if p.has_keep else p.kept(give) for p in contents.items]
        if masks.style is not None:
            give = missing.giver(masks.style)
            styles.items = [
                style if style.regions else _masked(style, give) for style in styles.items
            ]
        missing.report(reading)
    _check_regions(reading, paired, pairs)


def _masked(style: Style, give: Callable[[Path], Path | None]) -> Style:
    masks = tuple(give(path) for path, _ in style.parts)
    return replace(style, masks=masks if any(masks) else ())


class _Missing:
    """Masks that are not there.

    Args:
        allowed: pictures without one are stylized whole.
    """

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self.masks: list[Path] = []
        self.pictures: dict[Path, None] = {}
        self.own: list[Path] = []
        self.in_sets: list[Path] = []
        self.unknown = ""

    def giver(self, pattern: str) -> Callable[[Path], Path | None]:
        """What gives a picture its mask by a pattern, or None."""

        def give(path: Path) -> Path | None:
            mask = mask_of(path, pattern)
            if mask == path:
                self.own.append(path)
            elif not self.unknown:  # a storage that is not reached is not waited for again
                return self._found(mask, path)
            return None

        return give

    def _found(self, mask: Path, path: Path) -> Path | None:
        try:
            if has_file(mask):
                return mask
        except OSError as error:
            self.unknown = f"{mask}: {error.strerror}"
            return None
        self.masks.append(mask)
        self.pictures[path] = None
        if place_in_set(mask) is not None:
            self.in_sets.append(mask)
        return None

    def report(self, reading: Reading) -> None:
        """Reports what is missing, or tells of it."""
        document = reading.document
        if self.own:
            message = f"{self.own[0]}: would be its own mask; check the pattern"
            document.report(("masks",), message)
        if self.unknown:
            document.report(("masks",), self.unknown)
        if self.in_sets and not self.allowed:
            document.report(
                ("masks",),
                f"{self.in_sets[0]}: a mask is a file, and is not looked for within a data set; "
                f"lead out of it by .., once for the data set and for each folder in it, such as "
                f"{'../' * _depth(self.in_sets[0])}masks/{{stem}}.png",
            )
        elif self.masks and not self.allowed:
            more = f" and {len(self.masks) - 3} more" if len(self.masks) > 3 else ""
            names = ", ".join(map(str, self.masks[:3]))
            document.report(
                ("masks",),
                f"no such mask: {names}{more}; check the pattern, or allow it by `missing: whole`",
            )
        elif self.masks:
            _tell(reading, list(self.pictures), "picture", "without a mask, and taken whole")


def _depth(path: Path) -> int:
    """How many folders of its data set a path lies in, and the data set itself."""
    place = place_in_set(path)
    return 0 if place is None else len(PurePath(place[1]).parts)


def _check_regions(reading: Reading, paired: tuple[int, int], pairs: Sequence[Pair]) -> None:
    """Styles with regions want content pictures with masks."""
    masks = reading.file.masks
    whole = masks is not None and masks.missing == "whole"
    told: set[int] = set()
    for content, index in _met(reading, paired, pairs):
        style = reading.styles.items[index]
        bare = any(not frame.mask for frame in (content.frames or (content,)))
        if not bare or not style.regions or index in told or (whole and WHITE in style.regions):
            continue
        told.add(index)
        if whole:
            message = f"style {style.label} has no region white, which {content.path} without a "
            reading.document.report(("style",), f"{message}mask is all over; add one")
        elif masks is None or masks.content is None:
            message = f"style {style.label} has regions, but there is no `masks: content:`"
            reading.document.report(("style",), message)


def _met(
    reading: Reading, paired: tuple[int, int], pairs: Sequence[Pair]
) -> Iterator[tuple[Picture, int]]:
    """Contents, each with the styles that it may meet, by index; but for those of the pairing that
    have no regions."""
    contents: list[Picture] = reading.contents.items
    styles: list[Style] = reading.styles.items
    regional = [i for i, style in enumerate(styles[: paired[1]]) if style.regions]
    if regional:
        for number, content in enumerate(contents[: paired[0]]):
            one = reading.file.pairing == "zip"
            yield from ((content, i) for i in regional if not one or i == number)
    yield from ((contents[pair.content], pair.style) for pair in pairs)
