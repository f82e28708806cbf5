"""What there is to show of a run: every job with a record or a failure.

In: a run folder. Out: entries, and what could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.store import ClipPlace, Failure, Record, RunFolder, open_failures

LOSSES = ("total", "content", "style", "tv")


@dataclass(frozen=True)
class Entry:
    """A job as the page shows it: a record, or a failure without one.

    Attributes:
        file: the content's, as records have it.
        digests: of the content and style pictures, by path; none of a failure.
        image: the picture's path below the run folder; None for a failure.
        clip: of a clip's frame that is done, where it stands.
        scales: width, height and steps of each; none of a failure.
        losses: the last of each of `LOSSES`, or None.
        error: why it failed; None for a record.
        record: the whole record or failure, as JSON has it.
    """

    name: str
    content: str
    file: str | None
    style: str
    parts: Mapping[str, float]
    digests: Mapping[str, str]
    regions: Mapping[str, str]
    mask: str
    keep: str
    swept: Mapping[str, Any]
    image: str | None
    sha256: str
    losses: tuple[float | None, ...]
    seconds: float
    size: tuple[int, int]
    finished: str
    error: str | None
    clip: ClipPlace | None
    scales: Sequence[tuple[int, int, int]]
    record: Mapping[str, Any]


def find_entries(store: RunFolder) -> tuple[list[Entry], list[str]]:
    """All jobs with a record or a failure, by name; and what could not be read, with the reason.

    Raises:
        RunFolderError: the pictures are in tar shards.
    """
    found: dict[str, Entry] = {}
    for record in store.records():
        found[record.name] = _from_record(record)
    for name, failure in open_failures(store).items():
        found[name] = _from_failure(failure)  # a picture of that name is of other settings
    left_out = store.left_out()
    return [found[name] for name in sorted(found)], left_out


def _from_record(record: Record) -> Entry:
    last: Mapping[str, Any] = record.losses[-1] if record.losses else {}
    pictures = record.style.pictures
    return Entry(
        name=record.name,
        content=record.content.path,
        file=record.content.file,
        style=record.style.name,
        parts={picture.path: picture.weight for picture in pictures},
        digests={
            record.content.path: record.content.sha256,
            **{picture.path: picture.sha256 for picture in pictures},
        },
        regions={picture.region: picture.path for picture in pictures if picture.region},
        mask=record.content.mask or "",
        keep=record.content.keep or "",
        swept=record.swept,
        image=record.output.path,
        sha256=record.output.sha256,
        losses=tuple(last.get(name) for name in LOSSES),
        seconds=sum(record.seconds.values()),
        size=record.output.size,
        finished=record.finished,
        error=None,
        clip=record.clip,
        scales=record.scales,
        record=record.plain(),
    )


def _from_failure(failure: Failure) -> Entry:
    return Entry(
        name=failure.name,
        content=failure.content,
        file=failure.file,
        style=failure.style,
        parts=failure.style_parts,
        digests={},
        regions={},
        mask="",
        keep="",
        swept=failure.swept,
        image=None,
        sha256="",
        losses=(None,) * len(LOSSES),
        seconds=0.0,
        size=(0, 0),
        finished=failure.time,
        error=failure.error,
        clip=None,
        scales=(),
        record=failure.plain(),
    )
