"""`nst cache info` and `nst cache clear`.

In: the cache folder. Out: what is in it, or no more of it. Must not load torch.
"""

from __future__ import annotations

import math
from pathlib import Path

from pipeline.files import cache_folder
from pipeline.remote import clear_downloads, download_files, keep_downloads_in
from pipeline.store import (
    CACHES,
    cache_limit,
    cached_clips,
    cached_files,
    clear_cached,
    clear_clips,
    clear_notes,
    clip_files,
    weight_notes,
)
from pipeline.terminal import counted, say


def show_cache(folder: Path | None) -> None:
    """Prints where the cache is and what is in it."""
    root = cache_folder(folder)
    say(f"cache folder: {root}")
    for name, below in CACHES.items():
        files = cached_files(root / below)
        size = sum(path.stat().st_size for path in files)
        say(f"{name}: {counted(len(files), 'file')}, {size / 1e6:.1f} MB")
    clips = cached_clips(root)
    files_of, size = clip_files(clips)
    videos, frames = counted(len(clips), "video"), counted(files_of, "file")
    say(f"frames of videos: {videos}, {frames}, {size / 1e6:.1f} MB")
    keep_downloads_in(folder)
    copies = download_files()
    size = sum(path.stat().st_size for path in copies)
    say(f"copies of remote files: {counted(len(copies), 'file')}, {size / 1e6:.1f} MB")
    limit = cache_limit()
    shown = f"{limit / 1e9:g} GB" if math.isfinite(limit) else "none"
    say(f"limit of style targets, and of copies (NST_CACHE_LIMIT_GB): {shown}")
    notes = weight_notes(root)
    kept = f"{notes.name}, {counted(notes.stat().st_size, 'byte')}" if notes else "none"
    say(f"notes on weights: {kept}")


def clear_cache(folder: Path | None) -> None:
    """Deletes what is in the cache."""
    root = cache_folder(folder)
    cleared = [clear_cached(root / below) for below in CACHES.values()]
    keep_downloads_in(folder)
    cleared += [clear_clips(root), clear_notes(root), clear_downloads()]
    files, size = (sum(column) for column in zip(*cleared, strict=True))
    say(f"deleted {counted(files, 'file')}, {size / 1e6:.1f} MB, from {root}")
