"""The main job, from a manifest to files, in real processes and in this one."""

import dataclasses
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.commands import Options, batch
from pipeline.schedule import RunOptions

INLINE = Options("cpu", run=RunOptions(engine="inline"))
MANIFEST = """
output: run
content: content
style: style
backbone: lite
settings: {size: 48, steps: 6, scale_start: 0}
grid:
  style_weight: [1e0, 1_0]
"""


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("content/a.png", 1)
    picture("content/deep/b.jpg", 2)
    picture("style/s.png", 3)
    picture("style/t.png", 4)
    path = tmp_path / "manifest.yaml"
    path.write_text(MANIFEST)
    return path


def records(folder: Path) -> dict[str, dict]:  # type: ignore[type-arg]
    found = {}
    for path in sorted((folder / "images").rglob("*.json")):
        found[path.relative_to(folder / "images").as_posix()] = json.loads(path.read_text())
    return found


def assert_whole(folder: Path, count: int) -> None:
    found = records(folder)
    assert len(found) == count
    for record in found.values():
        data = (folder / record["output"]["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == record["output"]["sha256"]
    assert not list(folder.rglob(".tmp-*"))


def summary(folder: Path) -> dict:  # type: ignore[type-arg]
    return json.loads((folder / "run.json").read_text())  # type: ignore[no-any-return]


def test_a_manifest_becomes_pictures_and_records(manifest: Path) -> None:
    assert batch(manifest, INLINE, quiet=True) == 0
    run = manifest.parent / "run"
    assert_whole(run, 8)
    assert summary(run)["targets_computed"] == 2
    record = records(run)["deep/b__t__style_weight-10.json"]
    assert record["settings"]["style_weight"] == 10
    with Image.open(run / record["output"]["path"]) as image:
        assert image.size == (48, 37)
        assert json.loads(image.text["nst"])["key"] == record["key"]


def test_running_again_does_only_what_is_new(manifest: Path) -> None:
    batch(manifest, INLINE, quiet=True)
    batch(manifest, INLINE, quiet=True)
    run = manifest.parent / "run"
    assert (summary(run)["done"], summary(run)["already_done"]) == (0, 8)
    manifest.write_text(MANIFEST.replace("1_0]", "1_0, 100]"))
    batch(manifest, INLINE, quiet=True)
    assert (summary(run)["done"], summary(run)["already_done"]) == (4, 8)
    with (manifest.parent / "style/s.png").open("ab") as file:
        file.write(b"\0")
    batch(manifest, INLINE, quiet=True)
    assert (summary(run)["done"], summary(run)["already_done"]) == (6, 6)


def test_a_second_run_folder_takes_targets_from_the_cache(manifest: Path) -> None:
    batch(manifest, INLINE, quiet=True)
    manifest.write_text(MANIFEST.replace("output: run", "output: other"))
    batch(manifest, INLINE, quiet=True)
    assert summary(manifest.parent / "other")["targets_computed"] == 0


def test_a_broken_picture_fails_its_own_jobs_only(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = manifest.parent / "content/a.png"
    broken.write_bytes(broken.read_bytes()[:300])
    assert batch(manifest, INLINE, quiet=True) == 1
    run = manifest.parent / "run"
    assert_whole(run, 4)
    lines = (run / "failures.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert "damaged or truncated" in json.loads(lines[0])["error"]
    assert "a.png" in capsys.readouterr().err


def test_a_picture_in_a_batch_is_what_it_is_alone(manifest: Path) -> None:
    text = MANIFEST.replace("steps: 6", "steps: 20").replace("1_0]", "3, 10, 30]")
    manifest.write_text(text)
    batch(manifest, INLINE, quiet=True)
    together = manifest.parent / "run/images"
    sizes = {r["batch"]["size"] for r in records(manifest.parent / "run").values()}
    assert max(sizes) >= 4
    manifest.write_text(
        text.replace("output: run", "output: one")
        .replace("content: content", "content: content/a.png")
        .replace("style: style", "style: style/s.png")
        .replace("[1e0, 3, 10, 30]", "[3]")
    )
    batch(manifest, INLINE, quiet=True)
    name = "a__s__style_weight-3.png"
    alone = manifest.parent / "one/images" / name
    pair = [np.asarray(Image.open(p)).astype(int) for p in (together / name, alone)]
    assert np.abs(pair[0] - pair[1]).max() <= 1


def test_killed_at_random_moments_it_ends_whole(manifest: Path) -> None:
    command = [sys.executable, "-m", "cli", "batch", str(manifest), "--quiet", "--devices", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    manifest.write_text(MANIFEST.replace("steps: 6", "steps: 40"))
    run = manifest.parent / "run"
    draw = random.Random(0)
    times: dict[str, int] = {}
    for _ in range(3):
        process = subprocess.Popen(command, env=environment)
        before = len(records(run)) if run.exists() else 0
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if run.exists() and len(list(run.rglob("*.json"))) > before + 1:
                break
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in (run / "images").rglob("*.json"):
            times.setdefault(str(path), path.stat().st_mtime_ns)
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    assert_whole(run, 8)
    for path, moment in times.items():
        assert Path(path).stat().st_mtime_ns == moment, "a finished job was done again"


def test_an_interrupt_stops_in_order_and_says_so(manifest: Path) -> None:
    manifest.write_text(MANIFEST.replace("steps: 6", "steps: 100000"))
    command = [sys.executable, "-m", "cli", "batch", str(manifest), "--devices", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    slot = manifest.parent / "run/.nst/tmp/slot-0.json"
    deadline = time.monotonic() + 60
    while not slot.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "go on with: nst batch" in out
    assert not (manifest.parent / "run/.nst/tmp").exists()


def test_a_job_that_diverges_fails_alone(manifest: Path) -> None:
    text = MANIFEST.replace("scale_start: 0", "scale_start: 0, optimiser: lbfgs, loss: paper")
    text = text.replace("loss: paper", "loss: paper, clamp: false, warmup: 0")
    text = text.replace("style_weight: [1e0, 1_0]", "learning_rate: [1e-3, 100]")
    manifest.write_text(text.replace("steps: 6", "steps: 60"))
    assert batch(manifest, INLINE, quiet=True) == 1
    run = manifest.parent / "run"
    assert_whole(run, 4)
    assert all("learning_rate-0.001" in name for name in records(run))
    failures = [json.loads(line) for line in (run / "failures.jsonl").read_text().splitlines()]
    assert {failure["type"] for failure in failures} == {"DivergedError"}


def test_a_stopped_long_job_goes_on_from_its_checkpoint(manifest: Path) -> None:
    manifest.write_text(
        MANIFEST.replace("steps: 6", "steps: 400")
        .replace("content: content", "content: content/a.png")
        .replace("style: style", "style: style/s.png")
        .replace("[1e0, 1_0]", "[1, 10]")
    )
    run = manifest.parent / "run"
    often = dataclasses.replace(INLINE, checkpoint_every_s=0.3)
    command = [sys.executable, "-m", "cli", "batch", str(manifest), "--quiet", "--devices", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen([*command, "--checkpoint-every", "0.3"], env=environment)
    deadline = time.monotonic() + 60
    while not list(run.glob(".nst/checkpoints/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert len(records(run)) == 0
    assert batch(manifest, often, quiet=True) == 0
    resumed = records(run)
    assert not list(run.glob(".nst/checkpoints/*"))
    manifest.write_text(manifest.read_text().replace("output: run", "output: straight"))
    assert batch(manifest, INLINE, quiet=True) == 0
    for name, record in records(manifest.parent / "straight").items():
        paths = [manifest.parent / "straight", run]
        images = [np.asarray(Image.open(p / record["output"]["path"])).astype(int) for p in paths]
        assert np.abs(images[0] - images[1]).max() <= 1
        steps = [point["step"] for point in resumed[name]["losses"]]
        assert steps == [point["step"] for point in record["losses"]]
