"""A run among accidents: at its end every job is done or explained, and nothing is done twice.

    python benchmarks/chaos.py --seeds 10
    python benchmarks/chaos.py --seeds 3 --engine dask

200 jobs of `lite` at 96 px and 5 steps on `cpu,cpu`. Workers and the driver are killed, paused and
told that their terminal is gone; standard output is full or closed; pictures are truncated, spoilt,
hidden or exchanged for a while; cache files, records and results are damaged; the clock is set; a
second driver is started; memory errors are injected, and now and then a worker has no more address
space; where a small tmpfs can be mounted (as root, on Linux) the disk fills up or can only be read.
With `--engine dask` the scheduler is killed, too. The driver is started again, as its user would,
until it ends by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from accidents import ALWAYS, ON_A_DISK, DaskCluster, Scene, Watch, is_alive, remount
from PIL import Image

from pipeline.commands import Options, make_lenient, prepare_run
from pipeline.errors import NstError
from pipeline.manifest import load_manifest
from pipeline.pictures import read_identity
from pipeline.plan import Plan
from pipeline.schedule import RunOptions, run_plan
from pipeline.schedule.progress import PlainProgress
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


def drive(manifest: Path, engine: str, address: str | None) -> int:
    """What `nst batch` does, with the work that has memory errors; its exit code."""
    from stand_ins import chaotic_work, wind_clock

    make_lenient()
    wind_clock(manifest.parent / "clock")
    run = RunOptions(engine=engine, address=address, workers=2, retries=3)
    options = Options("cpu,cpu", manifest.parent / "cache", run=run)
    try:
        read = load_manifest(manifest)
        store = RunFolder(read.output)
        with RunLock(store):
            plan, context, _ = prepare_run(read, options, store)
            store.begin(read.text, {})
            return run_plan(plan, context, PlainProgress(), options.run, chaotic_work).exit_code
    except NstError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


class Drivers:
    """Starts drivers, each with a standard output of another kind, and the cluster they need."""

    def __init__(self, folder: Path, seed: int, draw: random.Random, engine: str) -> None:
        self._manifest, self._draw, self._engine = folder / "manifest.yaml", draw, engine
        clock = str(folder / "clock")
        self._environment = {**os.environ, "CHAOS_SEED": str(seed), "CHAOS_CLOCK": clock}
        dask = engine == "dask"
        self.cluster = DaskCluster(folder, self._environment) if dask else None
        self.log = folder / "driver.log"

    def start(self) -> subprocess.Popen[bytes]:
        """Starts one."""
        command = [sys.executable, __file__, "--drive", str(self._manifest)]
        command += ["--engine", self._engine]
        if self.cluster is not None:
            command += ["--address", self.cluster.start()]
        kind = self._draw.choice(("quiet", "full", "closed", "head"))
        output: Any = subprocess.DEVNULL
        if kind == "full" and Path("/dev/full").exists():
            output = Path("/dev/full").open("wb")  # noqa: SIM115
        elif kind == "head":
            output = subprocess.PIPE
        if kind == "closed":
            command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
        with self.log.open("ab") as log:
            driver = subprocess.Popen(command, env=self._environment, stdout=output, stderr=log)
        if driver.stdout is not None:
            driver.stdout.close()  # as `| head -1` does
        return driver


def one_seed(
    seed: int, folder: Path, can_fill: bool, accidents: int, contents: int, engine: str
) -> dict[str, object]:
    """One run among accidents; what was counted at its end."""
    draw = random.Random(seed)
    make_pictures(folder, draw, contents)
    (folder / "manifest.yaml").write_text(MANIFEST)
    store = RunFolder(folder / "run")
    kinds = dict(ALWAYS) | (ON_A_DISK if can_fill else {})
    drivers = Drivers(folder, seed, draw, engine)
    cluster = drivers.cluster
    if cluster is not None:
        kinds["scheduler killed"] = cluster.kill_scheduler
    scene = Scene(folder, Watch(store), draw, drivers.start)
    happened: list[str] = []
    starts, began = 0, time.monotonic()
    while starts < 60:
        starts += 1
        scene.driver = drivers.start()
        next_at, calm = time.monotonic() + draw.uniform(2, 8), True
        while scene.driver.poll() is None:
            time.sleep(0.05)
            scene.watch.look()
            scene.put_right()
            if len(happened) < accidents and time.monotonic() > next_at:
                calm = False
                happened.append(draw.choice(sorted(kinds)))
                with contextlib.suppress(OSError):  # of a disk that is full by now
                    kinds[happened[-1]](scene)
                next_at = time.monotonic() + draw.uniform(0.5, 4)
        if can_fill:
            remount(folder.parent, "rw")
        (folder / "ballast").unlink(missing_ok=True)
        scene.put_right(all_of_it=True)
        summary = store.summaries().get("")
        whole = summary is not None and summary.ended and not summary.problem
        # What was changed or gone meanwhile is planned anew by the next start.
        if scene.driver.returncode in (0, 1) and whole and calm:
            break
    if cluster is not None:
        cluster.stop()
    scene.watch.look()
    deadline = time.monotonic() + 30  # by which what was left without a driver has to notice
    while any(map(is_alive, scene.watch.processes)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return judge(scene) | {
        "accidents": {kind: happened.count(kind) for kind in sorted(set(happened))},
        "driver starts": starts,
        "memory errors": memory_errors(store),
        "seconds": round(time.monotonic() - began, 1),
    }


def memory_errors(store: RunFolder) -> int:
    """Counted in the log."""
    return store.log.read_text().count("out of memory on")


def judge(scene: Scene) -> dict[str, object]:
    """Done, explained, and what must not be."""
    store, watch = scene.watch.store, scene.watch
    done = {record.name: record for record in store.records()}
    untrue = 0
    for record in done.values():
        made = hashlib.sha256((store.path / record.output.path).read_bytes()).hexdigest()
        content = Path(record.content.path)
        moved = content not in scene.lost and read_identity(content) != record.content.sha256
        untrue += made != record.output.sha256 or moved
    # The plan as it was at the start: pictures that were replaced since have other keys.
    plan = Plan(load_manifest(scene.folder / "manifest.yaml"), lambda settings: "", 1)
    explained = {name for name in store.failures() if name not in done}
    names = {job.name for job in plan.jobs()}
    return {
        "jobs": len(names),
        "done": len(done),
        "explained": len(explained),
        "unexplained": sorted(names - set(done) - explained),
        "untrue": untrue,
        "done twice": sorted(watch.twice),
        "temporary files": len([*scene.folder.rglob(".tmp-*"), *store.state.glob("tmp*")]),
        "orphans": sum(is_alive(pid) for pid in watch.processes),
        "wrong": scene.wrong,
    }


BAD = ("unexplained", "untrue", "done twice", "temporary files", "orphans", "wrong")


def main() -> None:
    """Runs all seeds and prints a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--accidents", type=int, default=10)
    parser.add_argument("--contents", type=int, default=20, help="10 jobs each")
    parser.add_argument("--engine", choices=("local", "dask", "ray"), default="local")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    for hidden in ("--drive", "--address"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        sys.exit(drive(Path(given.drive), given.engine, given.address))
    bad = False
    for seed in range(given.first, given.first + given.seeds):
        with tempfile.TemporaryDirectory() as name:
            mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "nst-chaos", name]
            can_fill = subprocess.run(mount, capture_output=True, check=False).returncode == 0
            try:
                found = one_seed(
                    seed, Path(name) / "x", can_fill, given.accidents, given.contents, given.engine
                )
            finally:
                if can_fill:
                    subprocess.run(["umount", "-l", name], check=False)
        print(json.dumps({"seed": seed, **found}), flush=True)
        bad |= any(found[name] for name in BAD)
    sys.exit(int(bad))


if __name__ == "__main__":
    main()
