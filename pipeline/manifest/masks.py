"""Masks beside pictures: which file is whose, and which are missing.

In: patterns with {stem}, {name}, {suffix}. Out: pictures and styles with their masks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pipeline.manifest.model import Picture
from pipeline.manifest.paths import is_file, path_in
from pipeline.manifest.reading import Gathered, Reading


def mask_of(path: Path, pattern: str) -> Path:
    """Where a picture's mask lies."""
    named = pattern.replace("{stem}", path.stem).replace("{name}", path.name)
    return path_in(path.parent, named.replace("{suffix}", path.suffix))


def without_masks(contents: Gathered, patterns: Iterable[str | None]) -> None:
    """Masks that lie among the pictures are not content pictures."""
    some = [pattern for pattern in patterns if pattern is not None]
    masks = {mask_of(picture.path, pattern) for picture in contents.items for pattern in some}
    contents.keep(lambda picture: picture.path not in masks)


def without_style_masks(styles: Gathered, pattern: str | None) -> None:
    """Masks that lie among the pictures are not style pictures."""
    if pattern is not None:
        masks = {mask_of(path, pattern) for style in styles.items for path, _ in style.parts}
        styles.keep(lambda style: len(style.parts) > 1 or style.parts[0][0] not in masks)


def add_masks(reading: Reading) -> None:
    """Gives every picture its mask; those that are missing are reported."""
    masks, contents, styles = reading.file.masks, reading.contents, reading.styles
    if masks is None or masks.content is None:
        _check_regions(reading)
    if masks is None:
        return
    missing: list[Path] = []
    for field, pattern in (("mask", masks.content), ("keep", masks.keep)):
        if pattern is not None:
            contents.items = [_masked(picture, field, pattern) for picture in contents.items]
            frames = [frame for content in contents.items for frame in content.frames or (content,)]
            missing += [m for frame in frames if not is_file(m := getattr(frame, field))]
    if masks.style is not None:
        pattern = masks.style
        styles.items = [
            style
            if style.regions
            else replace(style, masks=tuple(mask_of(path, pattern) for path, _ in style.parts))
            for style in styles.items
        ]
        missing += [m for s in styles.items for m in s.masks if not is_file(m)]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        names = ", ".join(map(str, missing[:3]))
        reading.document.report(("masks",), f"no such mask: {names}{more}; check the pattern")


def _masked(picture: Picture, field: str, pattern: str) -> Picture:
    """A picture with its mask; of numbered pictures each has its own, a video has one for all.

    Args:
        field: `mask` or `keep`.
    """
    own = getattr(picture, field)

    def one(of: Picture) -> Picture:
        mask = own or mask_of(of.path, pattern)
        return replace(of, mask=mask) if field == "mask" else replace(of, keep=mask)

    if picture.clip is None or not picture.clip.frames:
        return one(picture)
    return replace(picture, clip=replace(picture.clip, frames=tuple(map(one, picture.clip.frames))))


def _check_regions(reading: Reading) -> None:
    """Styles with regions want content pictures with masks."""
    if any(
        picture.mask for content in reading.contents.items for picture in (content, *content.frames)
    ):
        return
    for style in reading.styles.items:
        if style.regions:
            message = f"style {style.label} has regions, but there is no `masks: content:`"
            reading.document.report(("style",), message)
