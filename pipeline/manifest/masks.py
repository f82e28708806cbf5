"""Masks beside pictures: which file is whose, and which are missing.

In: patterns with {stem}, {name}, {suffix}. Out: pictures and styles with their masks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

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
    if masks.content is not None:
        pattern = masks.content
        contents.items = [
            picture if picture.has_mask else picture.masked(lambda path: mask_of(path, pattern))
            for picture in contents.items
        ]
        frames = [frame for content in contents.items for frame in content.frames or (content,)]
        missing += [frame.mask for frame in frames if not is_file(frame.mask)]
    if masks.keep is not None:
        keep = masks.keep
        contents.items = [
            picture if picture.has_keep else picture.kept(lambda path: mask_of(path, keep))
            for picture in contents.items
        ]
        frames = [frame for content in contents.items for frame in content.frames or (content,)]
        missing += [frame.keep for frame in frames if not is_file(frame.keep)]
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


def _check_regions(reading: Reading) -> None:
    """Styles with regions want content pictures with masks."""
    if any(content.has_mask for content in reading.contents.items):
        return
    for style in reading.styles.items:
        if style.regions:
            message = f"style {style.label} has regions, but there is no `masks: content:`"
            reading.document.report(("style",), message)
