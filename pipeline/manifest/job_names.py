"""Which jobs are meant: names, globs, or a list of them in a file, as the report's page writes it.

In: words of a manifest or of the command line. Out: `JobNames`, which know whether a job is meant.
Knows nothing of which jobs there are.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipeline.manifest.paths import path_in
from pipeline.manifest.text import read_text_file

LIST_SUFFIX = ".txt"
_MOST_BYTES = 64 * 2**20
_NEVER = frozenset("*?")  # no job's name holds them: not all file systems take them
_BELOW = "images/"  # of the run folder: where a job's picture lies
_PICTURES = frozenset([".png", ".jpg", ".webp", ".tif", ".tiff", ".json"])


@dataclass(frozen=True)
class JobNames:
    """Jobs by name or glob, in which `*` stands for anything, `/` too.

    A job goes by its name as the page and the records have it, and by its picture's path.

    Attributes:
        plain: entries that are no globs, whatever signs they hold.

    >>> some = JobNames(("cats/*", "a.jpg__wave", "b.jpg__wave.png", "images/c.jpg__wave.png"))
    >>> names = ("cats/1.jpg__wave", "a.jpg__wave", "b.jpg__wave", "c.jpg__wave", "c.jpg__red")
    >>> [some.takes(name) for name in names]
    [True, True, True, True, False]
    """

    entries: tuple[str, ...] = ()
    plain: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.entries)

    def takes(self, name: str) -> bool:
        """Whether a job of this name is meant."""
        globs = self._globs
        return name in self._exact or (globs is not None and globs.fullmatch(name) is not None)

    def among(self, names: Iterable[str]) -> JobNames:
        """The same jobs of those that there are, where an entry that is a job's own name means
        that one alone: `photo[1].jpg__wave` is not `photo1.jpg__wave`, too.

        Args:
            names: of all jobs; asked for only if an entry may be a name and a glob.
        """
        both = {
            key: entry
            for key, entry in self._exact.items()
            if _is_glob(entry) and not set(key) & _NEVER
        }
        found = frozenset(both[name] for name in names if name in both) if both else frozenset()
        return replace(self, plain=found) if found else self

    def naming_nothing(self, names: Iterable[str]) -> tuple[str, ...]:
        """The entries that mean none of all jobs, each by itself.

        >>> JobNames(("train/*", "train/cat/*", "val/*")).naming_nothing(["train/cat/a__wave"])
        ('val/*',)
        """
        unnamed = Unnamed(self)
        any(map(unnamed.meet, names))
        return unnamed.entries

    @cached_property
    def _exact(self) -> dict[str, str]:
        paths = {_without_suffix(_below(entry)): entry for entry in self.entries}
        return paths | {entry: entry for entry in self.entries}

    @cached_property
    def _globs(self) -> re.Pattern[str] | None:
        globs = [
            fnmatch.translate(_of_names(entry))
            for entry in self.entries
            if _is_glob(entry) and entry not in self.plain
        ]
        return re.compile("|".join(globs)) if globs else None


class Unnamed:
    """Which entries have meant none of the jobs so far; each by itself, also where they overlap."""

    def __init__(self, jobs: JobNames) -> None:
        left = {entry: JobNames((entry,), jobs.plain) for entry in jobs.entries}
        self._left = dict.fromkeys(left)
        self._exact: dict[str, list[str]] = {}
        for entry, alone in left.items():
            for key in alone._exact:
                self._exact.setdefault(key, []).append(entry)
        self._globs = {e: glob for e, alone in left.items() if (glob := alone._globs) is not None}

    @property
    def entries(self) -> tuple[str, ...]:
        """Those that are left."""
        return tuple(self._left)

    def meet(self, name: str) -> bool:
        """There is a job of this name; whether no entry is left."""
        found = [entry for entry, glob in self._globs.items() if glob.fullmatch(name)]
        for entry in (*self._exact.get(name, ()), *found):
            self._left.pop(entry, None)
            self._globs.pop(entry, None)
        return not self._left


def _is_glob(entry: str) -> bool:
    return any(sign in entry for sign in "*?[")


def _of_names(glob: str) -> str:
    """A glob of names, where one of pictures below the run folder is given."""
    return _without_suffix(_below(glob)) if glob.startswith(_BELOW) else glob


def _below(entry: str) -> str:
    return entry.removeprefix(_BELOW)


def _without_suffix(entry: str) -> str:
    path = PurePosixPath(entry)
    return entry.removesuffix(path.suffix) if path.suffix.lower() in _PICTURES else entry


def read_job_names(path: Path) -> tuple[str, ...]:
    """The names and globs of a list: one a line; empty lines, and those after a `#`, are none.

    Raises:
        ManifestError: it is not there, cannot be read, or is no text.
    """
    text = read_text_file(path, "list of names", _MOST_BYTES)
    lines = (line.strip() for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


def named_jobs(entries: Iterable[str], base: Path) -> JobNames:
    """The jobs that names, globs and lists mean; a list is a `.txt` file, relative to `base`.

    Raises:
        ManifestError: a list is not there, cannot be read, or is no text.
    """
    found: list[str] = []
    for entry in entries:
        is_list = entry.lower().endswith(LIST_SUFFIX)
        found += read_job_names(path_in(base, entry)) if is_list else [entry]
    return JobNames(tuple(dict.fromkeys(found)))
