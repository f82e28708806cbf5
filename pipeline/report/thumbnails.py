"""Thumbnails of a run's pictures and of what they were made of.

In: entries. Out: small WebP files beside the page; those that are there are kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

from PIL import Image

from pipeline.errors import ImageError
from pipeline.files import cannot_write
from pipeline.pictures import decode, on_white, opened
from pipeline.report.entries import Entry
from pipeline.report.inputs import Inputs
from pipeline.store import RunFolder

THUMBNAIL_PX = 384
_SIZED = f"-{THUMBNAIL_PX}"  # in their names: pages of older versions had smaller ones


def thumbnail_name(digest: str) -> str:
    """The name of a picture's thumbnail, without suffix.

    Args:
        digest: SHA-256 of the picture.
    """
    return digest[:20] + _SIZED


def make_thumbnails(store: RunFolder, folder: Path, entries: Iterable[Entry]) -> set[str]:
    """Makes the thumbnails that are missing; the names of all that there are.

    Raises:
        RunFolderError: no space or no rights.
    """
    wanted = {thumbnail_name(entry.sha256): entry for entry in entries if entry.image}
    try:
        there = {path.stem for path in store.inside.files(folder, "*.webp")}
        for name in there - set(wanted):
            if not (name.startswith("in-") and name.endswith(_SIZED)):
                store.inside.remove(folder / f"{name}.webp")
    except OSError as error:
        raise cannot_write(folder, error) from error

    def make(item: tuple[str, Entry]) -> str | None:
        name, entry = item
        assert entry.image is not None
        try:
            with opened(store.picture(entry.image)) as image:
                image.draft("RGB", (2 * THUMBNAIL_PX, 2 * THUMBNAIL_PX))
                _write_thumbnail(store, folder / f"{name}.webp", on_white(image))
        except ImageError:
            return None  # the page shows the full picture instead, or that it is gone
        return name

    missing = [(name, entry) for name, entry in wanted.items() if name not in there]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        made = {name for name in pool.map(make, missing) if name}
    return made | (there & set(wanted))


def _write_thumbnail(store: RunFolder, path: Path, image: Image.Image) -> None:
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=78, method=2)
    store.inside.write(path, buffer.getvalue())


def input_thumbnail(
    store: RunFolder, folder: Path, inputs: Inputs, path: str, digest: str
) -> str | None:
    """The thumbnail of a content or style picture; None if it is gone, another one now, or cannot
    be read.

    Args:
        digest: of the record, by which it is named.
    """
    name = thumbnail_name("in-" + "".join(c for c in digest if c in "0123456789abcdef")[:17])
    try:
        if not store.inside.is_file(folder / f"{name}.webp"):
            found = inputs.find(path, digest)
            if found is None:
                return None
            _write_thumbnail(store, folder / f"{name}.webp", decode(found).image)
    except ImageError:
        return None
    return name
