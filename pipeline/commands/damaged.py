"""Which pictures of a plan are none, and which masks have another shape, by their headers.

In: a plan and the choice of its jobs. Out: errors by path, which a run would meet as it packs or
reads them. Of many pictures some are looked at, and remote ones only where nothing is fetched for
it. Must not load torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.errors import ImageError
from pipeline.manifest import Manifest, Picture, Style
from pipeline.pictures import check_shape, read_size
from pipeline.plan import Choice, Job, Plan
from pipeline.remote import is_here, mapped_ahead
from pipeline.terminal import counted

# Headers that are read: some seconds on a disk, a minute on slow storage.
MOST_LOOKED_AT = 20_000


@dataclass
class Damaged:
    """What is wrong with pictures of a plan.

    Attributes:
        problems: by path.
        masks: what is wrong with masks, by their path and their picture's.
        looked_at: how many pictures were, and the masks of each.
        pictures: how many there are.
        masked: whether any of those that were looked at has a mask.
    """

    problems: dict[Path, ImageError] = field(default_factory=dict)
    masks: dict[tuple[Path, Path], ImageError] = field(default_factory=dict)
    looked_at: int = 0
    pictures: int = 0
    masked: bool = False

    @property
    def not_all(self) -> str:
        """That not all of them were looked at, in words; empty where all were."""
        if self.looked_at >= self.pictures:
            return ""
        of = counted(self.pictures, "picture") + (" and their masks" if self.masked else "")
        return f"looked at {self.looked_at:,} of {of} for damage; a run tells of the others"

    def add(self, look: _Look, found: Mapping[Path, ImageError]) -> None:
        """What one look at a picture and its masks found."""
        self.looked_at += 1
        self.masked |= bool(look.masks)
        for path, problem in found.items():
            if path == look.path:
                self.problems[path] = problem
            else:
                self.masks[path, look.path] = problem

    def mark(self, job: Job) -> Job:
        """The job, with a `problem` if one of its pictures or masks has one."""
        looks = _looks_of(job)
        found = [self.problems[look.path] for look in looks if look.path in self.problems]
        for mask, path in ((mask, look.path) for look in looks for mask in look.masks):
            found += [self.masks[mask, path]] if (mask, path) in self.masks else []
        return replace(job, problem=found[0]) if found and not job.problem else job

    def marked(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Jobs with their problems, whose pictures are looked at as they come, the first
        `MOST_LOOKED_AT`."""
        seen: set[_Look] = set()

        def with_new(job: Job) -> tuple[Job, list[_Look]]:
            new = [look for look in dict.fromkeys(_looks_of(job)) if look not in seen]
            seen.update(new)
            room = max(0, MOST_LOOKED_AT - len(seen) + len(new))
            return job, [look for look in new if is_here(look.path)][:room]

        for job, found in mapped_ahead(map(with_new, jobs), _all_headers):
            self.pictures = len(seen)
            for look, problems in found:
                self.add(look, problems)
            yield self.mark(job)
        self.pictures = len(seen)


@dataclass(frozen=True)
class _Look:
    """A picture to be looked at, with its masks."""

    path: Path
    masks: tuple[Path, ...] = ()


def _look_of_content(content: Picture) -> _Look:
    return _Look(content.path, tuple(filter(None, (content.mask, content.keep))))


def _looks_of_style(style: Style) -> list[_Look]:
    masks = style.masks or (None,) * len(style.parts)
    pairs = zip(style.parts, masks, strict=True)
    return [_Look(path, (mask,) if mask else ()) for (path, _), mask in pairs]


def _looks_of(job: Job) -> list[_Look]:
    return [_look_of_content(job.content), *_looks_of_style(job.style)]


def marked_jobs(plan: Plan, choice: Choice) -> tuple[Iterator[Job], Damaged]:
    """The chosen jobs, those that cannot be made with a `problem`; and what was found, which is
    whole once the jobs were gone through.

    Of a whole plan it is found before, in an even sample of its pictures; of chosen jobs as they
    come, so that they are gone through once.
    """
    jobs = choice.jobs(plan)
    if choice.partial:
        damaged = Damaged()
        return damaged.marked(jobs), damaged
    damaged = find_damaged(plan.manifest)
    return map(damaged.mark, jobs), damaged


def find_damaged(manifest: Manifest) -> Damaged:
    """Reads headers: of all pictures and their masks or, of more than `MOST_LOOKED_AT`, of an even
    sample; styles come first, since each is of many jobs."""
    styles = dict.fromkeys(look for style in manifest.styles for look in _looks_of_style(style))
    contents = _Contents(manifest)
    first = _evenly(styles, len(styles), MOST_LOOKED_AT)
    count = sum(1 for look in contents if look not in styles)
    others = (look for look in contents if look not in styles)
    rest = max(0, MOST_LOOKED_AT - len(styles))
    sample = itertools.chain(first, _evenly(others, count, rest))
    damaged = Damaged(pictures=len(styles) + count)
    for look, found in mapped_ahead((look for look in sample if is_here(look.path)), _headers):
        damaged.add(look, found)
    return damaged


@dataclass(frozen=True)
class _Contents:
    """The content pictures of a manifest, frames of clips each by itself, again and again: there
    may be millions, which are not held."""

    manifest: Manifest

    def __iter__(self) -> Iterator[_Look]:
        for content in self.manifest.contents:
            yield from map(_look_of_content, content.frames if content.clip else (content,))


def _evenly(looks: Iterable[_Look], count: int, most: int) -> Iterator[_Look]:
    """So many of them at most, from one end to the other.

    >>> [str(look.path) for look in _evenly((_Look(Path(name)) for name in "abcdefg"), 7, 3)]
    ['c', 'e', 'g']
    """
    most = min(count, most)
    for number, look in enumerate(looks):
        if (number + 1) * most // count > number * most // count:
            yield look


def _headers(look: _Look) -> tuple[_Look, dict[Path, ImageError]]:
    """What is wrong with a picture and its masks, by path."""
    found: dict[Path, ImageError] = {}
    try:
        size = read_size(look.path)
    except ImageError as error:
        return look, {look.path: error}
    for mask in filter(is_here, look.masks):
        try:
            check_shape(read_size(mask), mask, size, look.path)
        except ImageError as error:
            found[mask] = error
    return look, found


def _all_headers(
    one: tuple[Job, list[_Look]],
) -> tuple[Job, list[tuple[_Look, dict[Path, ImageError]]]]:
    """A job, and what is wrong with those of its pictures that are to be looked at."""
    job, looks = one
    return job, list(map(_headers, looks))
