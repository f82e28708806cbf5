"""How full batches of pictures of mixed sizes are, without running anything.

    python benchmarks/packing.py --pictures 20000 --limit 64 --slots 8

The pictures are files of nothing but a header, drawn from a seed. Half of them have one of the
aspect ratios that cameras and screens have (3:2, 4:3, 16:9, 1:1, 5:4, either way up) at one of
eight long sides; a fifth are scaled by some program to a long side of 500, 640, 800, 1024 or 1200
px from ratios that are off by some pixels; the others are cropped freely, between 1:2 and 2:1.
Printed are the batches, and the mean batch, weighted by jobs: that in which a job finds itself.
"""

from __future__ import annotations

import argparse
import json
import struct
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from pipeline.errors import NstError
from pipeline.manifest import load_manifest
from pipeline.plan import Job, Plan, pack

_RATIOS = (3 / 2, 4 / 3, 16 / 9, 1.0, 5 / 4)
_SIDES = (640, 800, 1024, 1200, 1600, 2048, 3000, 4032)
_SCALED = (500, 640, 800, 1024, 1200)


def draw_size(random: Random) -> tuple[int, int]:
    """Width and height in px of one picture of the mix."""
    kind = random.random()
    if kind < 0.5:
        long, ratio = random.choice(_SIDES), random.choice(_RATIOS)
        sides = (long, round(long / ratio))
    elif kind < 0.7:
        long, ratio = random.choice(_SCALED), random.choice(_RATIOS)
        sides = (long, max(16, round(long / ratio) + random.randint(-12, 12)))
    else:
        long, ratio = random.randint(400, 4000), random.uniform(1.0, 2.0)
        sides = (long, round(long / ratio))
    return sides if random.random() < 0.65 else (sides[1], sides[0])


def header_only(width: int, height: int) -> bytes:
    """A BMP that says its size and has no pixels."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def sizes_of_batches(
    folder: Path, pictures: int, settings: str, limit: int, slots: int
) -> tuple[list[int], float]:
    """The batches' numbers of jobs, in order, and seconds until the first one left."""
    random = Random(0)
    (folder / "content").mkdir(parents=True)
    for index in range(pictures):
        (folder / f"content/{index:06}.bmp").write_bytes(header_only(*draw_size(random)))
    (folder / "s.bmp").write_bytes(header_only(64, 64))
    (folder / "m.yaml").write_text(
        f"output: run\ncontent: content\nstyle: s.bmp\nbackbone: lite\nsettings: {{{settings}}}\n"
    )
    plan = Plan(load_manifest(folder / "m.yaml"), lambda settings: "", 1)

    def refuse(job: Job, error: NstError) -> None:
        raise error

    began, first, found = time.perf_counter(), 0.0, []
    for batch in pack(plan.jobs(), lambda width, height: limit, refuse, slots):
        first = first or time.perf_counter() - began
        found.append(len(batch.jobs))
    return found, first


def summary(sizes: list[int], limit: int) -> dict[str, object]:
    """What a list of batch sizes comes to."""
    jobs = sum(sizes)
    return {
        "jobs": jobs,
        "batches": len(sizes),
        "mean batch of a job": round(sum(size * size for size in sizes) / jobs, 1),
        "share of jobs in full batches": round(limit * Counter(sizes)[limit] / jobs, 3),
        "share of jobs in batches under 8": round(sum(s for s in sizes if s < 8) / jobs, 3),
    }


def main() -> None:
    """Packs and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--settings", default="size: 256, fit: short")
    parser.add_argument("--limit", type=int, default=64, help="jobs that fit a batch")
    parser.add_argument("--slots", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        sizes, first = sizes_of_batches(
            Path(name), given.pictures, given.settings, given.limit, given.slots
        )
    print(json.dumps(summary(sizes, given.limit) | {"seconds to the first": round(first, 2)}))


if __name__ == "__main__":
    main()
