"""What the scheduler costs: large plans, resuming, and slots of different speed.

    python benchmarks/scheduler.py

With batches that do nothing but write their files: the time from the command to the first batch of
a plan of a million jobs, the driver's memory while 10,000 jobs end, the time to the first batch
with 100,000 jobs done before, and how busy three slots of different speed are to the end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.commands import Options, prepare_run
from pipeline.manifest import load_manifest
from pipeline.schedule import Progress, RunOptions, run_plan
from pipeline.store import RunFolder, RunLock, Summary


def make(folder: Path, contents: int, seeds: int) -> Path:
    """Tiny pictures and a manifest of contents x seeds jobs."""
    (folder / "content").mkdir(parents=True)
    for index in range(contents):
        color = np.full((8, 8, 3), index % 256, np.uint8)
        color[0, 0] = (index // 256, 0, 0)
        Image.fromarray(color).save(folder / f"content/{index:04}.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "style.png")
    path = folder / "manifest.yaml"
    path.write_text(
        "output: run\ncontent: content\nstyle: style.png\nbackbone: lite\n"
        f"settings: {{size: 64, steps: 1}}\ngrid: {{seed: {list(range(seeds))}}}\n"
    )
    return path


class Watched(Progress):
    """Notes when the first job ends, and the driver's memory; stops after so many."""

    def __init__(self, stop_after: int) -> None:
        super().__init__()
        self.stop_after, self.memory, self.first = stop_after, list[tuple[int, float]](), 0.0
        self.ends: list[tuple[float, int]] = []  # when how many jobs were done

    def update(self, outcomes: Sequence[object], done: int, failed: int) -> None:  # type: ignore[override]
        """Called when jobs end."""
        self.first = self.first or time.time()
        self.ends = [*self.ends[:1], (time.perf_counter(), done)]
        if done // 1000 > len(self.memory) - 1:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.memory.append((done, pages * resource.getpagesize() / 2**20))
        if done >= self.stop_after:
            os.kill(os.getpid(), 2)
            self.stop_after = sys.maxsize


def run(manifest: Path, devices: str, stop_after: int) -> tuple[Summary, Watched]:
    """What `nst batch` does, with the stand-in for the work."""
    from sleeping import sleeping_work

    options = Options(devices, manifest.parent / "cache")
    read = load_manifest(manifest)
    store = RunFolder(read.output)
    progress = Watched(stop_after)
    with RunLock(store):
        plan, context, _ = prepare_run(read, options, store)
        context = replace(context, threads=1)
        store.begin(read.text, {})
        return run_plan(plan, context, progress, RunOptions(), sleeping_work), progress


def in_new_process(manifest: Path, devices: str, stop_after: int) -> dict[str, object]:
    """`run` as a command of its own, so that its start counts."""
    command = [sys.executable, __file__, "--one", str(manifest), devices, str(stop_after)]
    began = time.time()
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout.splitlines()[-1])
    found["first_s"] = round(found.pop("first") - began, 2)
    return found


def main() -> None:
    """Runs all and prints the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        manifest, devices, stop_after = given.one
        summary, progress = run(Path(manifest), devices, int(stop_after))
        print(
            json.dumps(
                {
                    "first": progress.first,
                    "jobs": summary.jobs,
                    "done": summary.done,
                    "already_done": summary.already_done,
                    "driver_mb": [round(mb) for _, mb in progress.memory],
                    "busy": {k: use.busy_share for k, use in summary.slots.items()},
                    "seconds": summary.seconds,
                }
            )
        )
        return
    with tempfile.TemporaryDirectory() as name:
        million = make(Path(name) / "million", 1000, 1000)
        found = in_new_process(million, "cpu,cpu", 10_000)
        print(
            f"1,000,000 jobs: first batch ended {found['first_s']} s after the command; "
            f"driver's memory at each 1,000 of {found['done']} jobs: {found['driver_mb']} MB"
        )
        half = make(Path(name) / "half", 101, 1000)
        found = in_new_process(half, "cpu,cpu", 100_000)
        print(f"{found['done']:,} jobs in {found['seconds']} s")
        found = in_new_process(half, "cpu,cpu", 100)
        print(
            f"{found['already_done']:,} jobs done before: first batch ended {found['first_s']} s "
            f"after the command"
        )
        os.environ |= {"FAKE_S": "0.3", "FAKE_JOURNAL": f"{name}/journal"}
        slow = make(Path(name) / "slow", 10, 64)
        found = in_new_process(slow, "cpu,cpu,cpu", 10**9)
        print(
            f"three slots, 0.3, 0.6 and 0.9 s a batch, {found['jobs']} jobs: busy "
            f"{busy_shares(Path(name) / 'journal')} from each one's first batch to the start of "
            f"the last"
        )


def busy_shares(journal: Path) -> dict[int, float]:
    """Per slot the share of the time in batches, from its first to when the last one began."""
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    last = max(began for _, began, _ in rows)
    shares = {}
    for slot in sorted({slot for slot, _, _ in rows}):
        own = [(began, min(ended, last)) for s, began, ended in rows if s == slot and began < last]
        shares[slot] = round(sum(e - b for b, e in own) / (last - own[0][0]), 3)
    return shares


if __name__ == "__main__":
    main()
