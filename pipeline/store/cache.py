"""The cache folder: where it is, what is in it, clearing it.

In: a folder. Out: files and sizes. What the files hold is `targets.py`'s and `means.py`'s affair.
Must not load torch.
"""

from __future__ import annotations

from pathlib import Path

# The caches below the folder, as people call them and as they are spelled on disk.
CACHES = {"style targets": "targets", "normalization": "normalisation"}


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
