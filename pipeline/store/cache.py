"""The cache folder: where it is, what is in it, clearing it.

In: a folder. Out: files and sizes. What the files hold is the affair of
`targets.py`, `means.py`, of videos' frames of `plan/clips.py`, and of the notes on weights of
`method/weights/sources.py`.
Must not load torch.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import RunFolderError
from pipeline.files import CLIPS, TEMPORARY_PREFIX, WEIGHT_NOTES

# The caches below the folder, as people call them and as they are spelled on disk.
CACHES = {"style targets": "targets", "normalization": "normalisation"}


def weight_notes(cache: Path) -> Path | None:
    """The file of what well-known weights were found to be, or None."""
    notes = cache / WEIGHT_NOTES
    return notes if notes.is_file() else None


def cached_files(cache: Path) -> list[Path]:
    """All files of one cache."""
    return sorted(cache.glob("??/*.safetensors"))


_DEFAULT_LIMIT_GB = 20.0


def cache_limit() -> float:
    """Bytes that the style targets may take: `NST_CACHE_LIMIT_GB`, else 20 GB; 0 is no limit.

    Raises:
        RunFolderError: the variable is no number, or below 0.
    """
    text = os.environ.get("NST_CACHE_LIMIT_GB", str(_DEFAULT_LIMIT_GB))
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not limit >= 0:
        raise RunFolderError(
            f"NST_CACHE_LIMIT_GB={text}: must be a number of gigabytes of at least 0; 0 is no limit"
        )
    return limit * 1e9 if limit else math.inf


def trim_cached(cache: Path, limit: float, spare_s: float = 0.0) -> int:
    """Deletes the files of one cache that were used least lately, until the rest take no more than
    `limit` bytes; how many.

    Other processes may do the same at once, and may be reading: who has a file open keeps it, who
    comes later computes it anew.

    Args:
        spare_s: what was used in these last seconds stays, whatever it takes.
    """
    latest = time.time_ns() - spare_s * 1e9 if spare_s else math.inf
    known = []
    for path in cached_files(cache):
        try:
            about = path.stat()
        except FileNotFoundError:
            continue
        known.append((about.st_mtime_ns, about.st_size, path))
    total, deleted = sum(size for _, size, _ in known), 0
    for used, size, path in sorted(known):
        if total <= limit or used > latest:
            break
        try:
            path.unlink(missing_ok=True)
        except OSError:  # somebody else's, in a shared cache: theirs to delete
            continue
        total -= size
        deleted += 1
    return deleted


@contextlib.contextmanager
def kept_trimmed(cache: Path, limit: float, every_s: float = 60.0) -> Iterator[None]:
    """While the block runs, and at its end, the files of one cache take no more than `limit` bytes,
    but for those that were used just now: a run of thousands of styles writes many times that."""
    ended = threading.Event()

    def trim() -> None:
        while not ended.wait(every_s):
            with contextlib.suppress(OSError):  # a disk that is gone is told by who needs it
                trim_cached(cache, limit, every_s)

    thread = threading.Thread(target=trim, daemon=True)
    if limit < math.inf:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()
        trim_cached(cache, limit)


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


def cached_clips(root: Path) -> list[Path]:
    """The folders of decoded videos in the cache folder."""
    return sorted(path for path in (root / CLIPS).glob("*") if path.is_dir())


def clip_files(clips: Iterable[Path]) -> tuple[int, int]:
    """How many files are in these folders, and their bytes."""
    sizes = [path.stat().st_size for clip in clips for path in clip.iterdir()]
    return len(sizes), sum(sizes)


def clear_clips(root: Path) -> tuple[int, int]:
    """Deletes the frames of decoded videos, which are decoded again when needed; (files, bytes)."""
    counted = clip_files(cached_clips(root))
    shutil.rmtree(root / CLIPS, ignore_errors=True)
    return counted


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
