"""The one walk through folders: for contents, for styles, and for the files that go along.

In: a folder and a pattern below it. Out: files, and how many others were passed over and why. The
folder itself is never read as a pattern. Knows nothing of pictures.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.files import real
from pipeline.manifest.paths import is_folder, is_pattern
from pipeline.terminal import counted

# Folders that systems keep beside people's files; names that begin with a dot are hidden anyway.
SYSTEMS = frozenset(
    ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"]
)
# What a run folder keeps pictures in.
RUN_PICTURES = ("images", "frames", "animations", "shards", "report", "sample", "stale")
HIDDEN = "hidden files and folders"
RUNS = "run folders"
TAKEN = "links to folders that are taken already"
NOWHERE = "links that lead nowhere"
SPECIAL = "pipes, sockets and devices"

# Device and number of a folder on it: links to it have the same.
_Identity = tuple[int, int]


@dataclass
class Passed:
    """What walks passed over.

    Attributes:
        reasons: how many files and folders, by why.
        suffixes: how many files that are not of a format that is read, by suffix.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    suffixes: Counter[str] = field(default_factory=Counter)

    def add(self, other: Passed) -> None:
        """Adds the counts of another one."""
        self.reasons += other.reasons
        self.suffixes += other.suffixes

    def text(self) -> str:
        """All of it in a line, or empty where there is nothing.

        >>> Passed(Counter({HIDDEN: 2}), Counter({".txt": 3, "": 1})).text()
        '2 hidden files and folders, 4 files of no format that is read (.txt 3, no suffix 1)'
        """
        parts = [f"{count:,} {reason}" for reason, count in self.reasons.most_common()]
        if self.suffixes:
            shown = [f"{s or 'no suffix'} {n:,}" for s, n in self.suffixes.most_common(6)]
            more = len(self.suffixes) - len(shown)
            shown += [f"and {more:,} suffixes more"] if more else []
            count = self.suffixes.total()
            parts.append(f"{counted(count, 'file')} of no format that is read ({', '.join(shown)})")
        return ", ".join(parts)


def split_pattern(base: Path, parts: Sequence[str]) -> tuple[Path, tuple[str, ...]]:
    """The folder that a glob begins at, and the parts of it that are a pattern.

    A part with wildcards that is a folder's name as it stands is taken as that.
    """
    root = base
    for index, part in enumerate(parts):
        if is_pattern(part) and (index == len(parts) - 1 or not is_folder(root / part)):
            return root, tuple(parts[index:])
        root = root / part
    return root, ()


class Pattern:
    """A glob's parts against the names on the way down; a state is how many parts are matched."""

    def __init__(self, parts: Sequence[str]) -> None:
        self.last = len(parts) - 1
        self.parts = parts
        translated = (fnmatch.translate(os.path.normcase(part)) for part in parts)
        self._matches = [re.compile(text).match for text in translated]

    def begin(self) -> frozenset[int]:
        """The states in the folder that the glob begins at."""
        return self._closed({0})

    def below(self, states: frozenset[int], name: str) -> frozenset[int]:
        """The states within a folder of this name; empty where nothing there can match."""
        further = {i + 1 for i in states if i < self.last and self._is(i, name)}
        return self._closed(further | {i for i in states if self.parts[i] == "**"})

    def takes(self, states: frozenset[int], name: str) -> bool:
        """Whether a file of this name matches."""
        return self.last in states and (self.parts[-1] == "**" or self._is(self.last, name))

    def names(self, states: frozenset[int], name: str) -> bool:
        """Whether a hidden or a system's name is asked for as such."""
        asked = (self.parts[i] for i in states if self._is(i, name))
        return any(part == name or (part[0] == name[0] == ".") for part in asked)

    def _is(self, index: int, name: str) -> bool:
        return self.parts[index] != "**" and bool(self._matches[index](os.path.normcase(name)))

    def _closed(self, states: set[int]) -> frozenset[int]:
        """`**` also stands for no folder at all."""
        for index in range(self.last):
            if index in states and self.parts[index] == "**":
                states.add(index + 1)
        return frozenset(states)


def walk(
    root: Path, output: Path | None, passed: Passed, pattern: Sequence[str] = ("**",)
) -> Iterator[str]:
    """The files below a folder that a glob matches, as paths below it with `/`; in no order.

    Hidden files, systems' folders and run folders are passed over. Links to folders are followed
    after all folders that really lie there, each folder once, so that no loop is walked twice.

    Args:
        output: the run folder, left out by itself; what a person put beside its pictures is not.
        passed: what is passed over is counted there.

    Raises:
        OSError: a folder cannot be read.
    """
    matcher = Pattern(pattern)
    own = _run_folder_of(root, output)
    seen = {identity} if (identity := _identity(root)) else set()
    folders, links = deque([("", matcher.begin())]), deque[tuple[str, frozenset[int]]]()
    while folders or links:
        linked = not folders
        below, states = links.popleft() if linked else folders.popleft()
        place = root / below
        if below and not _is_new(place, seen, own, passed):
            continue
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        if below and _is_run_folder({entry.name for entry in entries}):
            passed.reasons[RUNS] += 1
            continue
        for entry in entries:
            relative = f"{below}/{entry.name}" if below else entry.name
            kind = _kind(entry)
            if kind == "folder":
                further = _further(matcher, states, entry.name, passed)
                if further:
                    (links if entry.is_symlink() else folders).append((relative, further))
            elif _wanted(matcher, states, entry.name, passed):
                if kind == "file":
                    yield relative
                else:
                    passed.reasons[kind] += 1


def _is_new(place: Path, seen: set[_Identity], own: set[_Identity], passed: Passed) -> bool:
    """Whether a folder is to be looked into; it then counts as seen."""
    identity = _identity(place, forgiving=False)
    if identity is None:
        passed.reasons[NOWHERE] += 1
        return False
    if identity in own or identity in seen:
        passed.reasons[RUNS if identity in own else TAKEN] += 1
        return False
    seen.add(identity)
    return True


def _further(matcher: Pattern, states: frozenset[int], name: str, passed: Passed) -> frozenset[int]:
    further = matcher.below(states, name)
    if further and (name[0] == "." or name in SYSTEMS) and not matcher.names(states, name):
        passed.reasons[HIDDEN] += 1
        return frozenset()
    return further


def _wanted(matcher: Pattern, states: frozenset[int], name: str, passed: Passed) -> bool:
    if not matcher.takes(states, name):
        return False
    if name[0] == "." and not matcher.names(states, name):
        passed.reasons[HIDDEN] += 1
        return False
    return True


def _kind(entry: os.DirEntry[str]) -> str:
    """`folder`, `file`, or why it is neither."""
    try:
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "folder"
    except OSError:  # a link to itself, or into a folder that may not be looked into
        return NOWHERE
    return NOWHERE if entry.is_symlink() else SPECIAL


def _identity(place: Path, forgiving: bool = True) -> _Identity | None:
    try:
        known = place.stat()
    except PermissionError:
        if forgiving:
            return None
        raise
    except OSError:
        return None
    return known.st_dev, known.st_ino


def _run_folder_of(root: Path, output: Path | None) -> set[_Identity]:
    """The folders of the run's own that a walk from `root` must not look into."""
    if output is None:
        return set()
    places = [output / name for name in RUN_PICTURES]
    if not real(root).is_relative_to(output):
        places.append(output)
    return {identity for place in places if (identity := _identity(place))}


def _is_run_folder(names: set[str]) -> bool:
    return ".nst" in names or {"plan.json", "manifest.yaml"} <= names
