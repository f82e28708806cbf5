"""Which pictures of a plan are none, by their headers.

In: a plan and the choice of its jobs. Out: errors by path, which a run would meet as it packs the
jobs. Of many pictures some are looked at, and remote ones only where nothing is fetched for it.
Must not load torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import ImageError
from pipeline.manifest import Manifest
from pipeline.pictures import read_size
from pipeline.plan import Choice, Job, Plan
from pipeline.remote import is_here, mapped_ahead
from pipeline.terminal import counted

# Headers that are read: some seconds on a disk, a minute on slow storage.
MOST_LOOKED_AT = 20_000


@dataclass(frozen=True)
class Damaged:
    """What is wrong with pictures of a plan.

    Attributes:
        problems: by path.
        looked_at: how many pictures were.
        pictures: how many there are.
    """

    problems: Mapping[Path, ImageError]
    looked_at: int
    pictures: int

    @property
    def not_all(self) -> str:
        """That not all of them were looked at, in words; empty where all were."""
        if self.looked_at >= self.pictures:
            return ""
        of = counted(self.pictures, "picture")
        return f"looked at {self.looked_at:,} of {of} for damage; a run tells of the others"

    def mark(self, job: Job) -> Job:
        """The job, with a `problem` if one of its pictures has one."""
        paths = (job.content.path, *(path for path, _ in job.style.parts))
        found = next((self.problems[path] for path in paths if path in self.problems), None)
        return job if found is None or job.problem else replace(job, problem=found)


def find_damaged(plan: Plan, choice: Choice) -> Damaged:
    """Reads headers: of all pictures or, of more than `MOST_LOOKED_AT`, of an even sample; styles
    come first, since each is of many jobs."""
    styles, contents = _chosen(plan, choice) if choice.partial else _all(plan.manifest)
    first = _evenly(styles, len(styles), MOST_LOOKED_AT)
    count = sum(1 for path in contents if path not in styles)
    others = (path for path in contents if path not in styles)
    rest = max(0, MOST_LOOKED_AT - len(styles))
    sample = itertools.chain(first, _evenly(others, count, rest))
    looked_at, problems = 0, {}
    for path, problem in mapped_ahead(filter(is_here, sample), _look):
        looked_at += 1
        if problem is not None:
            problems[path] = problem
    return Damaged(problems, looked_at, len(styles) + count)


@dataclass(frozen=True)
class _Contents:
    """The content pictures of a manifest, frames of clips each by itself, again and again: there
    may be millions, which are not held."""

    manifest: Manifest

    def __iter__(self) -> Iterator[Path]:
        for content in self.manifest.contents:
            yield from (each.path for each in (content.frames if content.clip else (content,)))


def _all(manifest: Manifest) -> tuple[Collection[Path], Iterable[Path]]:
    """Styles' pictures and contents."""
    styles = dict.fromkeys(path for style in manifest.styles for path, _ in style.parts)
    return styles, _Contents(manifest)


def _chosen(plan: Plan, choice: Choice) -> tuple[Collection[Path], Iterable[Path]]:
    """Those of the jobs that are meant, each once."""
    styles: dict[Path, None] = {}
    contents: dict[Path, None] = {}
    for job in choice.jobs(plan):
        styles |= dict.fromkeys(path for path, _ in job.style.parts)
        contents[job.content.path] = None
    return styles, contents


def _evenly(paths: Iterable[Path], count: int, most: int) -> Iterator[Path]:
    """So many of the paths at most, from one end to the other.

    >>> list(_evenly(map(Path, "abcdefg"), 7, 3)) == [Path("c"), Path("e"), Path("g")]
    True
    """
    most = min(count, most)
    for number, path in enumerate(paths):
        if (number + 1) * most // count > number * most // count:
            yield path


def _look(path: Path) -> tuple[Path, ImageError | None]:
    try:
        read_size(path)
    except ImageError as error:
        return path, error
    return path, None
