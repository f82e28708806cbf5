"""The same manifest against a local disk and against an S3 server, which is killed again and again.

    python benchmarks/remote.py
    python benchmarks/remote.py --kills 10 --contents 130 --seed 1

A real S3 server (`moto`, on the loopback address) holds the contents, the style and the run folder.
The run is `nst batch` as its user starts it; after a time that is drawn anew it gets `kill -9`, its
workers with it, and the next start, of the same command, has an empty cache folder, as on another
machine. After each kill every object is looked at: whether a picture is whole, and whether a record
stands beside its own picture. The last start is left alone. Printed are what was seen after each
kill, and at the end: jobs done, half-written, twice, with other keys or losses than on the local
disk.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME / "tests"))

from buckets import keys_in, s3_client, s3_server, upload  # noqa: E402

from pipeline import records  # noqa: E402


@dataclass
class Seen:
    """What was found wrong, and in how many looks; and the bytes of each picture by job."""

    looks: int = 0
    half_written: int = 0
    alone: int = 0
    digests: dict[str, set[str]] = field(default_factory=dict)


def make(folder: Path, contents: int) -> None:
    """So many pictures of clouds, and one style."""
    (folder / "photos").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for index in range(contents + 1):
        clouds = Image.fromarray(draw.integers(0, 256, (6, 8, 3)).astype(np.uint8))
        name = f"photos/{index:03}.png" if index else "style.png"
        clouds.resize((96, 72), Image.Resampling.BICUBIC).save(folder / name)


def write(path: Path, output: str, source: str, steps: int) -> Path:
    """A manifest."""
    settings = {"size": 64, "fit": "short", "steps": steps, "scale_start": 0}
    manifest = {"output": output, "content": f"{source}/photos", "style": f"{source}/style.png"}
    path.write_text(yaml.safe_dump({**manifest, "backbone": "lite", "settings": settings}))
    return path


def start(manifest: Path, cache: Path, devices: str) -> subprocess.Popen[bytes]:
    """`nst batch` in a group of processes of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "batch", str(manifest), "--devices", devices,
         "--no-report", "--quiet"],
        cwd=HOME, env={**os.environ, "NST_CACHE_DIR": str(cache)}, start_new_session=True,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def look(seen: Seen) -> int:
    """Looks at every object of the run; how many jobs are done.

    The record first, then its picture: a record that stands beside another picture is wrong
    whenever it is seen, unless the picture was replaced in between, which no run here does.
    """
    client = s3_client()

    def body(key: str) -> bytes | None:
        try:
            data: bytes = client.get_object(Bucket="runs", Key=key)["Body"].read()
        except client.exceptions.NoSuchKey:
            return None
        return data

    seen.looks += 1
    done = 0
    for key in keys_in("runs", "run/images/"):
        data = body(key)
        if data is None:
            continue
        if key.endswith(".png"):
            seen.half_written += not _is_whole(data)
            continue
        record = json.loads(data)
        picture = body(f"run/{record['output']['path']}")
        digest = hashlib.sha256(picture or b"").hexdigest()
        seen.alone += digest != record["output"]["sha256"]
        seen.digests.setdefault(record["name"], set()).add(record["finished"])
        done += 1
    return done


def _is_whole(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
    except OSError:
        return False
    return True


def kill_again_and_again(manifest: Path, folder: Path, arguments: argparse.Namespace) -> Seen:
    """Runs to the end, with so many kills on the way."""
    seen, draw = Seen(), random.Random(arguments.seed)
    for number in range(1, arguments.kills + 1):
        cache = folder / f"cache-{number}"
        process = start(manifest, cache, arguments.devices)
        before = len(keys_in("runs", "run/images/"))
        wait = draw.uniform(0, arguments.longest)
        deadline = time.monotonic() + 600
        # Most of a start is loading torch: a kill is drawn from when its first picture is there.
        while process.poll() is None and time.monotonic() < deadline:
            if len(keys_in("runs", "run/images/")) != before:
                break
            time.sleep(0.05)
        end = time.monotonic() + wait
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        ended = process.poll() is not None
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(
            f"kill {number}: {'it had ended' if ended else f'{wait:.1f} s after a picture'}, "
            f"{look(seen)} jobs done, {len(keys_in('runs', 'run/'))} objects", flush=True,
        )  # fmt: skip
        shutil.rmtree(cache, ignore_errors=True)
    process = start(manifest, folder / "cache-last", arguments.devices)
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()
    look(seen)
    return seen


def facts(run: str) -> dict[str, dict[str, Any]]:
    """The records of a run, by name."""
    return {record["name"]: record for record in records(run)}


def main() -> None:
    """Runs both and prints what differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--contents", type=int, default=130)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--longest", type=float, default=1.0, help="seconds until a kill, at most")
    parser.add_argument("--devices", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, s3_server("data", "runs"):
        folder = Path(name)
        make(folder / "in", arguments.contents)
        upload(folder / "in", "s3://data")
        local = write(folder / "local.yaml", str(folder / "run"), str(folder / "in"),
                      arguments.steps)  # fmt: skip
        process = start(local, folder / "cache", arguments.devices)
        assert process.wait() == 0
        remote = write(folder / "remote.yaml", "s3://runs/run", "s3://data", arguments.steps)
        seen = kill_again_and_again(remote, folder, arguments)
        here, there = facts(str(folder / "run")), facts("s3://runs/run")
    keys = sum(there[n]["record"]["key"] != here[n]["record"]["key"] for n in here if n in there)
    last = [abs(there[n]["loss.total"] / here[n]["loss.total"] - 1) for n in here if n in there]
    print(f"jobs: {len(here)} on the disk, {len(there)} in the bucket")
    print(f"looks at the bucket: {seen.looks}")
    print(f"pictures half-written: {seen.half_written}; beside another record: {seen.alone}")
    print(f"jobs whose record was written twice: {sum(len(d) > 1 for d in seen.digests.values())}")
    print(f"other keys than on the disk: {keys}; losses differ by at most {max(last):.2e}")


if __name__ == "__main__":
    main()
