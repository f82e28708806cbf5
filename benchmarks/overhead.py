"""What `nst` costs beside the step loop.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --preset fast --contents 10
    python benchmarks/overhead.py --original 4000x3000 --contents 4

First 200 small jobs of `lite`: where the wall time of a run's slots goes: until each has begun its
first batch (`start`), phase by phase, and between batches and after a slot's last one (`idle`).
Writing goes on behind the next batch; `write` is what the slot waited for it. Then plans of 100,
1,000 and 10,000 jobs whose batches do nothing but write their files: the time per job once the
workers are there. With `--original` the contents are JPEGs of that size, drawn with a grain as
cameras have it; then all is run once more with contents of the canvas's own size, and the time that
the large ones take beyond that is said too: what threads do beside the step loop slows a CPU's.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scheduler import make, run

from pipeline.commands import Options, batch_manifest
from pipeline.pictures import canvas_size
from pipeline.store import RunFolder


def drawn(draw: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Smooth colors with a grain of some levels."""
    noise = draw.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    grain = draw.integers(-6, 7, (size[1], size[0], 3), dtype=np.int16)
    return Image.fromarray((np.asarray(smooth) + grain).clip(0, 255).astype(np.uint8))


class Watch(threading.Thread):
    """Notes when each slot of a run first said something."""

    def __init__(self, store: RunFolder) -> None:
        super().__init__(daemon=True)
        self.store, self.over = store, threading.Event()
        self.first: dict[str, float] = {}

    def run(self) -> None:
        """Looks until `over` is set."""
        while not self.over.wait(0.02):
            for state in self.store.live.slots():
                self.first.setdefault(state.slot, time.perf_counter())


def real_jobs(folder: Path, given: argparse.Namespace, original: tuple[int, int]) -> dict[str, Any]:
    """`contents` x styles x seeds through `lite`; seconds by phase of the whole run.

    Args:
        original: width and height of the contents, px.
    """
    draw = np.random.default_rng(0)
    kinds = (("content", given.contents, original), ("style", given.styles, (1024, 768)))
    for kind, count, shape in kinds:
        (folder / kind).mkdir(parents=True)
        for index in range(count):
            drawn(draw, shape).save(folder / kind / f"{index:03}.jpg", quality=92)
    own = "" if given.steps is None else f", steps: {given.steps}"
    seeds = list(range(given.seeds))
    (folder / "m.yaml").write_text(
        "output: run\ncontent: content\nstyle: style\nbackbone: lite\n"
        f"settings: {{preset: {given.preset}, size: {given.size}{own}}}\ngrid: {{seed: {seeds}}}\n"
    )
    watch = Watch(RunFolder(folder / "run"))
    watch.start()
    began = time.perf_counter()
    options = Options("auto", folder / "cache")
    batch_manifest(folder / "m.yaml", options, quiet=True, with_report=False)
    ended = time.perf_counter()
    watch.over.set()
    watch.join()
    summary = watch.store.summaries()[""]
    slots = len(summary.slots)
    phases = {"start": sum(moment - began for moment in watch.first.values())}
    for use in summary.slots.values():
        for phase, seconds in use.phases_s.items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    wall = (ended - began) * slots
    phases["idle"] = wall - sum(phases.values())
    return {"jobs": summary.done, "slots": slots, "wall_s": wall, "phases_s": phases} | {
        "outside_the_step_loop": 1 - phases["optimize"] / wall,
        "after_the_start": 1 - phases["optimize"] / (wall - phases["start"]),
    }


def fake_jobs(folder: Path, jobs: int) -> float:
    """Milliseconds per job whose batch does nothing, from the first batch's end; 2 slots."""
    manifest = make(folder, max(1, jobs // 100), 100)
    run(manifest, "cpu,cpu", 10**9)  # starts processes, fills the system's caches
    RunFolder(folder / "run").images.rename(folder / "gone")
    _, watched = run(manifest, "cpu,cpu", 10**9)
    (began, before), (ended, after) = watched.ends
    return 1000 * (ended - began) / (after - before)


def main() -> None:
    """Prints both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contents", type=int, default=20)
    parser.add_argument("--styles", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--original", help="WxH of the contents, px [default: 1024x768]")
    parser.add_argument("--preset", default="classic")
    parser.add_argument("--steps", type=int, help="[default: 50 of classic, else the preset's]")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    os.environ["FAKE_S"] = "0"
    given.steps = given.steps or (50 if given.preset == "classic" else None)
    original = canvas_size(1, 1, given.original or "1024x768", "exact")
    with tempfile.TemporaryDirectory() as name:
        real = real_jobs(Path(name) / "real", given, original)
        if given.original:
            canvas = canvas_size(*original, given.size, "long")
            small = real_jobs(Path(name) / "small", given, canvas)
            real["beyond_small_originals"] = 1 - small["wall_s"] / real["wall_s"]
        counts = () if given.original else (100, 1000, 10000)
        fake = {n: fake_jobs(Path(name) / str(n), n) for n in counts}
    if given.json:
        print(json.dumps({"real": real, "fake_ms_per_job": fake}))
        return
    _print(given, real, fake)


def _print(given: argparse.Namespace, real: dict[str, Any], fake: dict[int, float]) -> None:
    print(
        f"{real['jobs']} jobs of lite, {given.size} px, preset {given.preset}, "
        f"{given.steps or 'its own'} steps, contents of {given.original or '1024x768'}: "
        f"{real['wall_s']:.1f} s of {real['slots']} slots"
    )
    for phase, seconds in real["phases_s"].items():
        print(f"  {phase:10} {seconds:8.2f} s {100 * seconds / real['wall_s']:6.1f}%")
    print(f"  outside the step loop: {100 * real['outside_the_step_loop']:.1f}%")
    print(f"  the same once each slot has begun: {100 * real['after_the_start']:.1f}%")
    if "beyond_small_originals" in real:
        beyond = real["beyond_small_originals"]
        print(f"  beyond what contents of the canvas's size take: {100 * beyond:.1f}%")
    for jobs, ms in fake.items():
        print(f"{jobs:6} jobs that do nothing: {ms:.2f} ms each")


if __name__ == "__main__":
    main()
