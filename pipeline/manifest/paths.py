"""Paths that a manifest names, looked at without raising.

In: a folder and a word. Out: a path, whether a file is there. Knows nothing of pictures.
"""

from __future__ import annotations

import difflib
from pathlib import Path


def path_in(base: Path, word: str) -> Path:
    """The path that a word of a manifest in `base` means; `~` is a home."""
    path = Path(word)
    try:
        return base / path.expanduser()
    except RuntimeError:  # nobody of that name; then it is a file's, and most likely not there
        return base / path


def is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file can have, such as one too long, has none."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there, as `is_file`."""
    try:
        return path.is_dir()
    except OSError:
        return False


def nearby(path: Path) -> str:
    """`; did you mean 'x'?` for the nearest name in the path's folder, or what to do else."""
    try:
        names = [found.name for found in path.parent.iterdir()]
    except OSError:
        names = []
    close = difflib.get_close_matches(path.name, names, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else "; check the path"
