"""A run among accidents: at its end every job is done or explained, and nothing is done twice.

    python benchmarks/chaos.py --seeds 5

200 jobs of `lite` at 96 px and 5 steps on `cpu,cpu`. Workers and the driver are killed at random,
pictures are truncated or replaced by other files, memory errors are injected, and where a small
tmpfs can be mounted (as root, on Linux) the disk fills up. The driver is started again, as its user
would, until it ends by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.commands import Options, prepare_run
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.schedule import Progress, RunOptions, run_plan
from pipeline.store import RunFolder, RunLock

MANIFEST = """
output: run
content: content
style: style
backbone: lite
settings: {size: 96, steps: 5, scale_start: 0}
grid: {seed: [0, 1, 2, 3, 4]}
"""


def make_pictures(folder: Path, draw: random.Random, contents: int) -> None:
    """So many contents, of which one is truncated and one is no picture, and 2 styles."""
    for kind, count in (("content", contents), ("style", 2)):
        (folder / kind).mkdir(parents=True)
        for index in range(count):
            noise = np.random.default_rng(draw.getrandbits(30)).integers(0, 256, (12, 16, 3))
            image = Image.fromarray(noise.astype(np.uint8)).resize((128, 96))
            image.save(folder / kind / f"{index:02}.png")
    broken = folder / "content/01.png"
    broken.write_bytes(broken.read_bytes()[:2000])
    (folder / "content/02.png").write_bytes(b"no picture")


def drive(manifest: Path) -> int:
    """What `nst batch` does, with the work that has memory errors."""
    from stand_ins import chaotic_work

    options = Options("cpu,cpu", manifest.parent / "cache", run=RunOptions(retries=3))
    read = load_manifest(manifest)
    store = RunFolder(read.output)
    with RunLock(store):
        plan, context, _ = prepare_run(read, options, store)
        store.begin(read.text, {})
        return run_plan(plan, context, Progress(), options.run, chaotic_work).exit_code


class Watch:
    """What was seen of a run from outside: finished records, and processes."""

    def __init__(self, store: RunFolder) -> None:
        self.store = store
        self.finished: dict[Path, int] = {}
        self.twice = 0
        self.processes: set[int] = set()

    def look(self) -> None:
        """Notes new records, and those that were written anew."""
        for path in self.store.images.rglob("*.json"):
            try:
                moment = path.stat().st_mtime_ns
            except FileNotFoundError:
                continue
            if self.finished.setdefault(path, moment) != moment:
                self.twice += 1
                self.finished[path] = moment
        self.processes |= {state.pid for state in self.store.live.slots()}


def is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def accident(
    kind: str, driver: subprocess.Popen[bytes], watch: Watch, folder: Path, draw: random.Random
) -> None:
    """One of the things that go wrong at night."""
    alive = [p for p in watch.processes if is_alive(p)]
    if kind == "worker" and alive:
        os.kill(draw.choice(alive), signal.SIGKILL)
    elif kind == "driver":
        driver.kill()
    elif kind == "picture":
        draw.choice(sorted((folder / "content").iterdir())).write_bytes(b"gone")
    elif kind == "disk":
        # Until the driver has ended; that writing fails is the point.
        with contextlib.suppress(OSError), (folder / "ballast").open("ab") as file:
            while True:
                file.write(bytes(1 << 16))


def one_seed(
    seed: int, folder: Path, can_fill: bool, accidents: int, contents: int
) -> dict[str, object]:
    """One run among accidents; what was counted at its end."""
    draw = random.Random(seed)
    make_pictures(folder, draw, contents)
    (folder / "manifest.yaml").write_text(MANIFEST)
    store = RunFolder(folder / "run")
    watch = Watch(store)
    kinds = ["worker", "worker", "driver", "picture"] + ["disk"] * can_fill
    happened: list[str] = []
    starts, began = 0, time.monotonic()
    command = [sys.executable, __file__, "--drive", str(folder / "manifest.yaml")]
    environment = {**os.environ, "CHAOS_SEED": str(seed)}
    while starts < 60:
        starts += 1
        driver = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        next_at = time.monotonic() + draw.uniform(2, 8)
        while driver.poll() is None:
            time.sleep(0.05)
            watch.look()
            if len(happened) < accidents and time.monotonic() > next_at:
                happened.append(draw.choice(kinds))
                accident(happened[-1], driver, watch, folder, draw)
                next_at = time.monotonic() + draw.uniform(0.5, 4)
        (folder / "ballast").unlink(missing_ok=True)
        summary = store.summaries().get("")
        if driver.returncode in (0, 1) and summary and summary.ended and not summary.problem:
            break
    time.sleep(2.5)  # what was left without a driver has noticed by now
    watch.look()
    return judge(folder, watch) | {
        "accidents": {kind: happened.count(kind) for kind in sorted(set(happened))},
        "driver starts": starts,
        "memory errors": memory_errors(store),
        "seconds": round(time.monotonic() - began, 1),
    }


def memory_errors(store: RunFolder) -> int:
    """Counted in the log."""
    return store.log.read_text().count("out of memory on")


def judge(folder: Path, watch: Watch) -> dict[str, object]:
    """Done, explained, and what must not be."""
    store = watch.store
    done = {r.name: r for r in store.records()}
    wrong = sum(
        hashlib.sha256((store.path / r.output.path).read_bytes()).hexdigest() != r.output.sha256
        for r in done.values()
    )
    # The plan as it was at the start: pictures that were replaced since have other keys.
    plan = Plan(load_manifest(folder / "manifest.yaml"), lambda settings: "", 1)
    explained = {name for name in store.failures() if name not in done}
    names = {job.name for job in plan.jobs()}
    return {
        "jobs": len(names),
        "done": len(done),
        "explained": len(explained),
        "unexplained": sorted(names - set(done) - explained),
        "pictures untrue to their record": wrong,
        "done twice": watch.twice,
        "temporary files": len([*folder.rglob(".tmp-*"), *store.state.glob("tmp*")]),
        "orphans": sum(is_alive(pid) for pid in watch.processes),
    }


def main() -> None:
    """Runs all seeds and prints a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--accidents", type=int, default=10)
    parser.add_argument("--contents", type=int, default=20, help="10 jobs each")
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        sys.exit(drive(given.drive))
    bad = False
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as name:
            mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "nst-chaos", name]
            can_fill = subprocess.run(mount, capture_output=True, check=False).returncode == 0
            try:
                found = one_seed(seed, Path(name) / "x", can_fill, given.accidents, given.contents)
            finally:
                if can_fill:
                    subprocess.run(["umount", "-l", name], check=False)
        print(json.dumps({"seed": seed, **found}), flush=True)
        bad |= bool(
            found["unexplained"] or found["pictures untrue to their record"]
            or found["temporary files"] or found["orphans"]
        )  # fmt: skip
    sys.exit(int(bad))


if __name__ == "__main__":
    main()
