"""Many small pictures with one style, interrupted twice: every one made once, and what it costs.

    python benchmarks/million.py --pictures 20000
    python benchmarks/million.py --pictures 20000 --format webdataset

Pictures of mixed sizes in folders of a hundred, 64 px, 10 steps, through `lite`. The run is asked
to stop at a third and killed at two thirds, and gone on with each time. Prints pictures made twice
or not at all, images an hour, the share of the slots' time outside the step loop, and the memory of
the driver and of its largest worker, at its highest in each tenth of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from pipeline.store import Record, RunFolder, every_record

_EVERY_S = 0.5


@dataclass
class Watched:
    """What was seen of the processes: seconds since the start, MB of driver and largest worker."""

    memory: list[tuple[float, float, float]] = field(default_factory=list)


def make(folder: Path, pictures: int, form: str) -> None:
    """The manifest and its pictures, from 40 to 200 px."""
    draw = np.random.default_rng(0)
    for index in range(pictures):
        width, height = (int(side) for side in draw.integers(40, 200, 2))
        place = folder / f"content/train/{index // 100:05}"
        place.mkdir(parents=True, exist_ok=True)
        noise = draw.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((width, height)).save(place / f"{index:07}.jpg")
    noise = draw.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((128, 96), Image.Resampling.BICUBIC).save(folder / "style.png")
    (folder / "m.yaml").write_text(
        f"output: {{path: run, format: {form}, shard_size: 1000}}\ncontent: content\n"
        "style: style.png\nbackbone: lite\nsettings: {preset: fast, size: 64, steps: 10, "
        "fit: short, size_step: 16, format: jpg}\n"
    )


def drive(folder: Path, devices: str, until: int, how: int, watched: Watched) -> None:
    """Runs the command until so many pictures are done in all, then sends it a signal."""
    words = [sys.executable, "-m", "cli", "batch", str(folder / "m.yaml"), "--no-report"]
    words += ["--devices", devices, "--cache-dir", str(folder / "cache"), "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process, sent = subprocess.Popen(words, env=environment), False
    began = watched.memory[-1][0] if watched.memory else 0.0
    start, seen = time.monotonic(), set[psutil.Process]()
    while process.poll() is None:
        time.sleep(_EVERY_S)
        with contextlib.suppress(psutil.Error):
            driver = psutil.Process(process.pid)
            seen.update(driver.children(recursive=True))
            workers = [c.memory_info().rss for c in driver.children(recursive=True)]
            now = began + time.monotonic() - start
            sizes = (driver.memory_info().rss / 1e6, max(workers, default=0) / 1e6)
            watched.memory.append((now, *sizes))
        summary = RunFolder(folder / "run").summaries().get("")
        if summary and not sent and summary.done + summary.already_done >= until:
            process.send_signal(how)
            sent = True
    psutil.wait_procs(seen, timeout=60)  # workers of a killed driver end by themselves


def measure(folder: Path, pictures: int, devices: str) -> dict[str, float | str]:
    """Runs it three times over; the figures."""
    watched, run = Watched(), RunFolder(folder / "run")
    written: dict[str, float] = {}
    times = [(pictures // 3, signal.SIGINT), (2 * pictures // 3, signal.SIGKILL), (pictures + 1, 0)]
    seconds = busy = stepping = slots = 0.0
    done, twice = 0, 0
    for until, how in times:
        drive(folder, devices, until, how, watched)
        summary = run.summaries()[""]
        seconds, done = seconds + summary.seconds, done + summary.done
        slots += summary.seconds * len(summary.devices)
        stepping += sum(use.phases_s.get("optimize", 0.0) for use in summary.slots.values())
        busy += sum(use.busy_s for use in summary.slots.values())
        found = {record.name: record.finished for record in every_record_now(run)}
        twice += sum(found.get(name, at) != at for name, at in written.items())
        written.update(found)
    found = Counter(record.name for record in every_record(run))
    twice += sum(count - 1 for count in found.values())
    figures: dict[str, float | str] = {
        "pictures": pictures,
        "made twice": twice,
        "not made": pictures - len(found),
        "images/hour": 3600 * done / seconds,
        "outside the step loop": f"{100 * (1 - stepping / slots):.1f}%",
        "outside of batches": f"{100 * (1 - busy / slots):.1f}%",
    }
    for who, column in (("driver", 1), ("worker", 2)):
        highest = in_tenths([(each[0], each[column]) for each in watched.memory])
        figures[f"MB of the {who}"] = " ".join(f"{size:.0f}" for size in highest)
    return figures


def every_record_now(run: RunFolder) -> list[Record]:
    """All records there are, packed or loose."""
    loose = [run.record(path.relative_to(run.images).with_suffix("").as_posix())
             for path in run.images.rglob("*.json")]  # fmt: skip
    packed = every_record(run) if run.shard_files() else ()
    return [record for record in (*loose, *packed) if record is not None]


def in_tenths(seen: list[tuple[float, float]]) -> list[float]:
    """The highest value in each tenth of the time."""
    if not seen:
        return []
    end = max(at for at, _ in seen) + 1e-9
    highest = [0.0] * 10
    for at, value in seen:
        tenth = int(10 * at / end)
        highest[tenth] = max(highest[tenth], value)
    return highest


def main() -> None:
    """Prints the figures; ends with 1 where a picture is missing or was made twice."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--format", choices=["files", "webdataset", "parquet"], default="files")
    parser.add_argument("--devices", default="cpu,cpu")
    parser.add_argument("--keep", type=Path, help="folder for all of it, kept")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        make(folder, given.pictures, given.format)
        found = measure(folder, given.pictures, given.devices)
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    for name, value in found.items():
        print(f"{name:24} {value if isinstance(value, str) else f'{value:.0f}'}")
    raise SystemExit(int(bool(found["made twice"] or found["not made"])))


if __name__ == "__main__":
    main()
