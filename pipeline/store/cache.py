"""The cache folder: where it is, what is in it, clearing it.

In: a folder. Out: files and sizes. What the files hold is the affair of
`targets.py`, `means.py` and, of the notes on weights, of `method/weights/sources.py`.
Must not load torch.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.files import TEMPORARY_PREFIX, WEIGHT_NOTES

# The caches below the folder, as people call them and as they are spelled on disk.
CACHES = {"style targets": "targets", "normalization": "normalisation"}


def weight_notes(cache: Path) -> Path | None:
    """The file of what well-known weights were found to be, or None."""
    notes = cache / WEIGHT_NOTES
    return notes if notes.is_file() else None


def cached_files(cache: Path) -> list[Path]:
    """All files of one cache."""
    return sorted(cache.glob("??/*.safetensors"))


def clear_cached(cache: Path) -> tuple[int, int]:
    """Deletes all files of one cache, their locks and leftovers; (files, bytes) of the former."""
    files = cached_files(cache)
    size = sum(path.stat().st_size for path in files)
    for path in [*files, *cache.glob("??/*.lock"), *cache.glob("??/.tmp-*")]:
        path.unlink(missing_ok=True)
    for folder in cache.glob("??"):
        if not any(folder.iterdir()):
            folder.rmdir()
    return len(files), size


def clear_notes(root: Path) -> tuple[int, int]:
    """Deletes the notes on weights, which are made again when needed; (files, bytes)."""
    for leftover in root.glob(f"{TEMPORARY_PREFIX}*"):
        leftover.unlink(missing_ok=True)
    notes = weight_notes(root)
    if notes is None:
        return 0, 0
    size = notes.stat().st_size
    notes.unlink(missing_ok=True)
    return 1, size
