"""What `nst` costs beside the step loop.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --preset fast --contents 10

First 200 small jobs of `lite`: where the wall time of a run's slots goes, phase by phase, beside
what passes before the first batch and after the last one. Then plans of 100,
1,000 and 10,000 jobs whose batches do nothing but write their files: the time per job once the
workers are there.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scheduler import make, run

from pipeline.commands import Options, batch_manifest
from pipeline.store import RunFolder


def real_jobs(
    folder: Path, contents: int, size: int, preset: str, steps: int | None
) -> dict[str, Any]:
    """`contents` x 5 styles x 2 seeds through `lite`; seconds by phase of the whole run."""
    draw = np.random.default_rng(0)
    for kind, count in (("content", contents), ("style", 5)):
        (folder / kind).mkdir(parents=True)
        for index in range(count):
            noise = draw.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            picture = Image.fromarray(noise).resize((1024, 768), Image.Resampling.BICUBIC)
            picture.save(folder / kind / f"{index:03}.jpg")
    own = "" if steps is None else f", steps: {steps}"
    (folder / "m.yaml").write_text(
        "output: run\ncontent: content\nstyle: style\nbackbone: lite\n"
        f"settings: {{preset: {preset}, size: {size}{own}}}\ngrid: {{seed: [0, 1]}}\n"
    )
    batch_manifest(folder / "m.yaml", Options("auto", folder / "cache"), quiet=True)
    summary = RunFolder(folder / "run").summaries()[""]
    phases: dict[str, float] = {}
    for use in summary.slots.values():
        for phase, seconds in use.phases_s.items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    wall = summary.seconds * len(summary.slots)
    return {"jobs": summary.done, "wall_s": wall, "phases_s": phases} | {
        "outside_the_step_loop": 1 - phases["optimize"] / wall,
        "outside_of_batches": 1 - sum(use.busy_s for use in summary.slots.values()) / wall,
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
    parser.add_argument("--contents", type=int, default=20, help="10 real jobs each")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--preset", default="classic")
    parser.add_argument("--steps", type=int, help="[default: 50 of classic, else the preset's]")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    os.environ["FAKE_S"] = "0"
    with tempfile.TemporaryDirectory() as name:
        steps = given.steps or (50 if given.preset == "classic" else None)
        real = real_jobs(Path(name) / "real", given.contents, given.size, given.preset, steps)
        fake = {n: fake_jobs(Path(name) / str(n), n) for n in (100, 1000, 10000)}
    if given.json:
        print(json.dumps({"real": real, "fake_ms_per_job": fake}))
        return
    print(
        f"{real['jobs']} jobs of lite, {given.size} px, preset {given.preset}, "
        f"{steps or 'its own'} steps: {real['wall_s']:.1f} s of slots"
    )
    for phase, seconds in real["phases_s"].items():
        print(f"  {phase:10} {seconds:8.2f} s")
    print(f"  outside of batches: {100 * real['outside_of_batches']:.1f}%")
    print(f"  outside the step loop: {100 * real['outside_the_step_loop']:.1f}%")
    for jobs, ms in fake.items():
        print(f"{jobs:6} jobs that do nothing: {ms:.2f} ms each")


if __name__ == "__main__":
    main()
