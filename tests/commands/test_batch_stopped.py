"""Runs that are killed, interrupted and resumed, in real processes."""

import dataclasses
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
from batches import INLINE, assert_whole, records
from PIL import Image

from pipeline.commands import batch_manifest
from pipeline.commands.batch import _summary_lines
from pipeline.store import RunFolder, Summary

MANIFEST = """
output: run
content: content
style: style
backbone: lite
settings: {size: 48, steps: 6, scale_start: 0, style_loss: gram, neighbor_weight: 0}
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


def test_killed_at_random_moments_it_ends_whole(manifest: Path) -> None:
    command = [sys.executable, "-m", "cli", "batch", str(manifest), "--quiet", "--devices", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
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
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
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


# Runs a command in this process, which sends itself a signal when it loads a module.
AT_IMPORT = """
import os, signal, sys
signal_name, module, *command = sys.argv[1:]
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), getattr(signal, signal_name))
sys.meta_path.insert(0, Finder())
sys.argv = ["nst", *command]
from pipeline.__main__ import main
main()
"""


def interrupted(signal_name: str, module: str, *command: str) -> "subprocess.CompletedProcess[str]":
    """A command that gets a signal when it loads a module."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    words = [sys.executable, "-c", AT_IMPORT, signal_name, module, *command]
    return subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, preexec_fn=_hears
    )


def _hears() -> None:
    """Tests that were begun in the background ignore interrupts, and so would what they begin."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("name", "module"),
    [("SIGINT", "typer"), ("SIGINT", "yaml"), ("SIGTERM", "pipeline.commands.run")],
)
def test_an_interrupt_before_the_first_batch_is_told_too(
    manifest: Path, name: str, module: str
) -> None:
    ended = interrupted(name, module, "batch", str(manifest), "--devices", "cpu")
    assert ended.returncode == 130 and ended.stdout == ""
    assert ended.stderr == "stopped before the first batch; the same command goes on\n"
    assert batch_manifest(manifest, INLINE, quiet=True) == 0


def test_an_interrupt_after_the_last_batch_says_what_is_missing(manifest: Path) -> None:
    words = ["batch", str(manifest), "--devices", "cpu", "--engine", "inline", "--quiet"]
    ended = interrupted("SIGINT", "pyarrow", *words)  # asked for by the table alone
    run = manifest.parent / "run"
    assert ended.returncode == 130 and len(records(run)) == 8
    assert ended.stderr == (
        f"stopped after the last batch: report and table may be older than the pictures; nst "
        f"report {run} and nst table {run} make them\n"
    )


def test_an_interrupt_of_another_command_ends_it_without_a_trace(manifest: Path) -> None:
    ended = interrupted("SIGINT", "typer", "plan", str(manifest))
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
    pair = [str(manifest.parent / name) for name in ("content/a.png", "style/s.png")]
    ended = interrupted("SIGTERM", "yaml", "run", *pair, "-o", str(manifest.parent / "o.png"))
    assert ended.returncode == 130
    assert ended.stderr == "stopped before the first step; nothing was written\n"


def test_a_stopped_long_job_goes_on_from_its_checkpoint(manifest: Path) -> None:
    manifest.write_text(
        MANIFEST.replace("steps: 6", "steps: 160")
        .replace("content: content", "content: content/a.png")
        .replace("style: style", "style: style/s.png")
        .replace("[1e0, 1_0]", "[1, 10]")
    )
    run = manifest.parent / "run"
    often = dataclasses.replace(INLINE, checkpoint_every_s=0.3)
    command = [sys.executable, "-m", "cli", "batch", str(manifest), "--quiet", "--devices", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([*command, "--checkpoint-every", "0.3"], env=environment)
    deadline = time.monotonic() + 60
    while not list(run.glob(".nst/checkpoints/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert len(records(run)) == 0
    assert batch_manifest(manifest, often, quiet=True) == 0
    resumed = records(run)
    assert not list(run.glob(".nst/checkpoints/*"))
    manifest.write_text(manifest.read_text().replace("output: run", "output: straight"))
    assert batch_manifest(manifest, INLINE, quiet=True) == 0
    for name, record in records(manifest.parent / "straight").items():
        paths = [manifest.parent / "straight", run]
        images = [np.asarray(Image.open(p / record["output"]["path"])).astype(int) for p in paths]
        assert np.abs(images[0] - images[1]).max() <= 1
        steps = [point["step"] for point in resumed[name]["losses"]]
        assert steps == [point["step"] for point in record["losses"]]


def test_jobs_that_are_partly_done_are_told_when_a_run_was_stopped(tmp_path: Path) -> None:
    store = RunFolder(tmp_path)
    store.begin("", {})
    for key in ("a", "b"):
        store.write(store.checkpoint_path(key), b"some")
    *_, last = _summary_lines(Summary(jobs=8, stopped=True), tmp_path, "nst batch m.yaml", True)
    assert last == (
        "stopped with 2 jobs partly done, from where each goes on; go on with: nst batch m.yaml"
    )
