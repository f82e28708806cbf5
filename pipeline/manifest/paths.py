"""Paths that a manifest names, looked at without raising.

In: a folder and a word. Out: a path, whether a file is there. Knows nothing of pictures.
"""

from __future__ import annotations

import contextlib
import difflib
import glob
import unicodedata
from pathlib import Path
from typing import Literal

from pipeline.address import Address, as_path, is_address
from pipeline.remote import is_there


def path_in(base: Path, word: str) -> Path:
    """The path that a word of a manifest in `base` means; `~` is a home, and an address itself."""
    if is_address(word):
        return as_path(word)
    path = Path(word)
    with contextlib.suppress(RuntimeError):  # nobody of that name; then it is a file's
        path = path.expanduser()
    return path if path.is_absolute() else base / path


def is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file can have, such as one too long, has none, nor
    has a storage that cannot be reached."""
    try:
        if isinstance(path, Address):
            return is_there(path)
        return path.is_file()
    except OSError:
        return False


def has_file(path: Path) -> bool:
    """As `is_file`, for what goes on where there is none.

    Raises:
        OSError: a storage that is not reached, or refuses: nothing is known of it.
    """
    return is_there(path) if isinstance(path, Address) else is_file(path)


def is_folder(path: Path) -> bool:
    """Whether a folder is there, as `is_file`."""
    try:
        return path.is_dir()
    except OSError:
        return False


# Of a part of a pattern; file names are shorter, and a longer part is not worth its time.
_MOST_SIGNS = 500


def is_pattern(word: str) -> bool:
    """Whether a word is a glob: with wildcards, and in no part longer than one can be."""
    return glob.has_magic(word) and all(len(part) <= _MOST_SIGNS for part in Path(word).parts)


def exists(path: Path) -> bool:
    """Whether a file or a folder is there, as `is_file`."""
    return is_file(path) or is_folder(path)


def meant(base: Path, word: str) -> str:
    """The path that a word of another program's list means: as it is spelled if that is there.

    Else without blanks around it, with `/` for Windows' `\\`, its accents in one sign or in two, if
    that is there; else the word itself.
    """
    plain = word.strip()
    turned = plain.replace("\\", "/")
    spellings = [word, plain, turned]
    if not word.isascii():
        spellings += [unicodedata.normalize(form, s) for s in (plain, turned) for form in _FORMS]
    for spelled in dict.fromkeys(spellings):
        if exists(path_in(base, spelled)):
            return spelled
    return turned if is_pattern(plain) else plain


_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


def nearby(path: Path) -> str:
    """`; did you mean 'x'?` for the nearest name in the path's folder, or what to do else."""
    try:
        names = [found.name for found in path.parent.iterdir()]
    except OSError:
        names = []
    close = difflib.get_close_matches(path.name, names, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else "; check the path"
