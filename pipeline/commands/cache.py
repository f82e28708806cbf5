"""TODO."""

from __future__ import annotations

from pathlib import Path

from pipeline.store import cache_folder, normalization_cache, targets_cache


def show_cache(folder: Path | None) -> None:
    """Prints where the cache is and what is in it."""
    root = cache_folder(folder)
    print(f"cache folder: {root}")
    for name, cache in (
        ("style targets", targets_cache),
        ("normalization", normalization_cache),
    ):
        files = cache(root).files()
        size = sum(path.stat().st_size for path in files)
        print(f"{name}: {len(files)} files, {size / 1e6:.1f} MB")


def clear_cache(folder: Path | None) -> None:
    """Deletes what is in the cache."""
    root = cache_folder(folder)
    cleared = [cache(root).clear() for cache in (targets_cache, normalization_cache)]
    files, size = (sum(column) for column in zip(*cleared, strict=True))
    print(f"deleted {files} files, {size / 1e6:.1f} MB, from {root}")
