"""What the death of a worker costs: the same run undisturbed and with `kill -9` of one worker.

    python benchmarks/deaths.py
    python benchmarks/deaths.py --devices cpu,cpu,cpu,cpu --contents 64 --preset fast

Each run is `nst batch` as its user starts it, on made-up pictures of one size. In every second one
a worker is killed when it has done so much of its first batch. Printed are the wall times, their
medians, and how much longer the run took.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import yaml
from PIL import Image

from pipeline import records
from pipeline.store import RunFolder, SlotState


def make(folder: Path, contents: int, size: int, preset: str) -> Path:
    """So many pictures of clouds, one style, and the manifest."""
    (folder / "content").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for index in range(contents + 1):
        clouds = Image.fromarray(draw.integers(0, 256, (6, 8, 3)).astype(np.uint8))
        name = f"content/{index:03}.png" if index else "style.png"
        clouds.resize((size, size * 3 // 4), Image.Resampling.BICUBIC).save(folder / name)
    path = folder / "manifest.yaml"
    settings = {"preset": preset, "size": size}
    manifest = {"output": "run", "content": "content", "style": "style.png", "settings": settings}
    path.write_text(yaml.safe_dump({**manifest, "backbone": "lite"}))
    return path


def is_at(state: SlotState, share: float) -> bool:
    """Whether a slot has done so much of its batch, and hardly more."""
    return state.phase == "optimize" and share <= state.step / state.steps < share + 0.2


def run(manifest: Path, devices: str, share: float | None, options: list[str]) -> float:
    """One run; its wall time.

    Args:
        share: of a batch's steps after which its worker is killed, or None.
    """
    command = [sys.executable, "-m", "cli", "batch", str(manifest), "--devices", devices, *options]
    store = RunFolder(manifest.parent / "run")
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        if share is not None:
            while not (ready := [s for s in store.live.slots() if is_at(s, share)]):
                time.sleep(0.02)
            os.kill(ready[0].pid, signal.SIGKILL)
    return time.perf_counter() - began


def main() -> None:
    """Runs all and prints the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", default="cpu,cpu")
    parser.add_argument("--contents", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.2, 0.5, 0.8])
    parser.add_argument("--options", nargs="*", default=[], help="of nst batch, without dashes")
    given = parser.parse_args()
    options = [f"--{option}" for option in given.options]
    calm, killed = [], []
    for number in given.shares:
        for share, seconds in ((None, calm), (number, killed)):
            with tempfile.TemporaryDirectory() as name:
                manifest = make(Path(name), given.contents, given.size, given.preset)
                seconds.append(run(manifest, given.devices, share, options))
                made = list(records(manifest.parent / "run"))
                assert len(made) == given.contents, f"{len(made)} pictures"
                again = sum(r["record"]["attempts"] > 1 for r in made)
            kind = "undisturbed" if share is None else f"killed at {share:.0%} of a batch"
            found = {"run": kind, "seconds": round(seconds[-1], 1), "jobs begun again": again}
            print(json.dumps(found), flush=True)
    print(
        f"median {median(calm):.1f} s undisturbed, {median(killed):.1f} s with a worker killed: "
        f"{median(killed) - median(calm):.1f} s longer"
    )


if __name__ == "__main__":
    main()
