"""Which pictures of a plan are none, and which masks have another shape, by their headers.

In: a plan and the choice of its jobs. Out: errors by path, which a run would meet as it packs or
reads them. Of many pictures some are looked at, and remote ones only where nothing is fetched for
it. Must not load torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
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


@dataclass(frozen=True)
class Damaged:
    """What is wrong with pictures of a plan.

    Attributes:
        problems: by path.
        looked_at: how many pictures were, and the masks of each.
        pictures: how many there are.
        masks: what is wrong with masks, by their path and their picture's.
    """

    problems: Mapping[Path, ImageError]
    looked_at: int
    pictures: int
    masks: Mapping[tuple[Path, Path], ImageError] = field(default_factory=dict)
    masked: bool = False

    @property
    def not_all(self) -> str:
        """That not all of them were looked at, in words; empty where all were."""
        if self.looked_at >= self.pictures:
            return ""
        of = counted(self.pictures, "picture") + (" and their masks" if self.masked else "")
        return f"looked at {self.looked_at:,} of {of} for damage; a run tells of the others"

    def mark(self, job: Job) -> Job:
        """The job, with a `problem` if one of its pictures or masks has one."""
        looks = [_look_of_content(job.content), *_looks_of_style(job.style)]
        found = [self.problems[look.path] for look in looks if look.path in self.problems]
        for mask, path in ((mask, look.path) for look in looks for mask in look.masks):
            found += [self.masks[mask, path]] if (mask, path) in self.masks else []
        return replace(job, problem=found[0]) if found and not job.problem else job


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


def find_damaged(plan: Plan, choice: Choice) -> Damaged:
    """Reads headers: of all pictures and their masks or, of more than `MOST_LOOKED_AT`, of an even
    sample; styles come first, since each is of many jobs."""
    styles, contents = _chosen(plan, choice) if choice.partial else _all(plan.manifest)
    first = _evenly(styles, len(styles), MOST_LOOKED_AT)
    count = sum(1 for look in contents if look not in styles)
    others = (look for look in contents if look not in styles)
    rest = max(0, MOST_LOOKED_AT - len(styles))
    sample = itertools.chain(first, _evenly(others, count, rest))
    looked_at, masked = 0, False
    problems: dict[Path, ImageError] = {}
    masks: dict[tuple[Path, Path], ImageError] = {}
    for look, found in mapped_ahead((look for look in sample if is_here(look.path)), _headers):
        looked_at += 1
        masked |= bool(look.masks)
        for path, problem in found.items():
            if path == look.path:
                problems[path] = problem
            else:
                masks[path, look.path] = problem
    return Damaged(problems, looked_at, len(styles) + count, masks, masked)


@dataclass(frozen=True)
class _Contents:
    """The content pictures of a manifest, frames of clips each by itself, again and again: there
    may be millions, which are not held."""

    manifest: Manifest

    def __iter__(self) -> Iterator[_Look]:
        for content in self.manifest.contents:
            yield from map(_look_of_content, content.frames if content.clip else (content,))


def _all(manifest: Manifest) -> tuple[Collection[_Look], Iterable[_Look]]:
    """Styles' pictures and contents."""
    styles = dict.fromkeys(look for style in manifest.styles for look in _looks_of_style(style))
    return styles, _Contents(manifest)


def _chosen(plan: Plan, choice: Choice) -> tuple[Collection[_Look], Iterable[_Look]]:
    """Those of the jobs that are meant, each once."""
    styles: dict[_Look, None] = {}
    contents: dict[_Look, None] = {}
    for job in choice.jobs(plan):
        styles |= dict.fromkeys(_looks_of_style(job.style))
        contents[_look_of_content(job.content)] = None
    return styles, contents


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
