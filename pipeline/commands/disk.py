"""`nst plan --measure`: how much of the disk a plan would take.

In: a plan and its run folder. Out: a line. What is done already speaks for what is not; else some
contents do, at their jobs' sizes and in their format. Loads torch.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

from pipeline.address import Address
from pipeline.errors import ImageError
from pipeline.pictures import Encoding, decode, encode, fit_image, to_tensor
from pipeline.plan import Choice, Job, Plan, scales_of
from pipeline.store import RunFolder, shards_of

_TRIALS = 8
_KNOWN = 50  # records that speak for all
_RECORD_BYTES = 8_000  # of a record and of what a picture's text says, about


def disk_line(plan: Plan, choice: Choice, store: RunFolder) -> str:
    """What is left of a plan would take so much, and so much is free, which of remote storage
    nobody knows; empty if nothing is left."""
    shards = shards_of(plan, store)
    left, open_jobs = 0, list[Job]()
    stride = max(1, len(plan) // (4 * _TRIALS))
    for job in choice.jobs(plan):
        if job.problem is None and not shards.is_done(job):
            if left % stride == 0 and len(open_jobs) < 4 * _TRIALS:
                open_jobs.append(job)
            left += 1
    if not left:
        return ""
    each, by = _bytes_known(store), "as those that are done"
    if each is None:
        each, by = _bytes_tried(open_jobs), "by some contents at that size; strokes may take more"
    if each is None:
        return ""
    said = f"about {size_text(left * each)} of disk, {size_text(each)} a picture ({by})"
    if isinstance(store.path, Address):
        return said
    free = shutil.disk_usage(_there(store.path)).free
    short = ": NOT ENOUGH" if left * each > free else ""
    return f"{said}; {size_text(free)} are free{short}"


def _bytes_known(store: RunFolder) -> float | None:
    """Mean bytes of pictures that are done here, with their records."""
    if store.shard_files():
        return None
    found = [r.output.bytes + _RECORD_BYTES for r in itertools.islice(store.records(), _KNOWN)]
    return sum(found) / len(found) if found else None


def _bytes_tried(jobs: Iterable[Job]) -> float | None:
    """The same of some contents, encoded as the jobs' results would be."""
    sizes: list[int] = []
    for job in jobs:
        if len(sizes) == _TRIALS:
            break
        with contextlib.suppress(ImageError):  # such a job will fail by itself
            last, settings = scales_of(job)[-1], job.settings
            image = decode(job.content.path, settings.background).image
            how = Encoding(settings.format, settings.quality, settings.depth)
            pixels = to_tensor(fit_image(image, last.width, last.height, settings.fit == "stretch"))
            sizes.append(len(encode(pixels, how)) + _RECORD_BYTES)
    return sum(sizes) / len(sizes) if sizes else None


def _there(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.parents) if place.exists())


def size_text(size: float) -> str:
    """Bytes as a person reads them.

    >>> size_text(999), size_text(123_456), size_text(2.5e12)
    ('999 B', '123 kB', '2.5 TB')
    """
    units = ["B", "kB", "MB", "GB", "TB"]
    power = min(int(math.log10(max(size, 1.0)) / 3), len(units) - 1)
    return f"{size / 1000**power:.3g} {units[power]}"
