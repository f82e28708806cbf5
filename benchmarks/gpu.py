"""Pictures an hour on GPUs, beside what their arithmetic allows; where there is none it says so.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --contents 2000 --gpus 1 8

A data set of pictures of mixed sizes is drawn on disk, and `nst batch` runs it through each network
at 512 px with 300 steps and at 256 px with 50: pictures an hour from the first to the last one that
was finished, the share of the time in which `nvidia-smi` found a GPU busy, and the share of the
roofline: what the cut network must compute over the GPU's own rate at its fastest convolution or
matrix product, measured here. Each is run without and with `--graphs`, and with several numbers of
GPUs, for how it scales. Without a CUDA GPU one tiny job is run on the CPU, so that all of this is
known to run.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from networks import multiply_adds
from PIL import Image
from step import fastest_rate

from pipeline.commands import Options, batch_manifest
from pipeline.manifest import Settings
from pipeline.method import load_weights
from pipeline.schedule import RunOptions
from pipeline.store import RunFolder
from pipeline.terminal import counted

_STYLES = 4


@dataclass(frozen=True)
class Case:
    """One network, size and number of steps."""

    backbone: str
    size: int
    steps: int


@dataclass(frozen=True)
class Row:
    """What was found of a case.

    Attributes:
        graphs: whether steps were CUDA graphs, or why they were not; empty where nobody asked.
        busy: share of the time in which a GPU was, NaN where nobody says.
        roofline: pictures an hour by arithmetic alone, NaN where that was not measured.
    """

    backbone: str
    size: int
    steps: int
    gpus: int
    graphs: str
    pictures: int
    pictures_per_hour: float
    busy: float
    roofline: float


CASES = [Case(name, *rest) for name in ("lite", "vgg19") for rest in ((512, 300), (256, 50))]
DRY = Case("lite", 48, 2)


def draw_pictures(folder: Path, contents: int, longest: int) -> None:
    """Smooth pictures of mixed sizes and shapes, and some styles."""
    draw = np.random.default_rng(0)
    for kind, count in (("content", contents), ("style", _STYLES)):
        (folder / kind).mkdir(parents=True)
        for index in range(count):
            width, height = (int(s) for s in draw.integers(longest // 2, longest + 1, 2))
            noise = draw.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            picture = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
            picture.save(folder / kind / f"{index:05}.jpg", quality=90)


@contextmanager
def watched(gpus: int) -> Iterator[list[float]]:
    """How busy GPUs are, second by second, in percent, as `nvidia-smi` has it."""
    found: list[float] = []
    if not gpus:
        yield found
        return
    words = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    words += ["-i", ",".join(map(str, range(gpus))), "-l", "1"]
    try:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    except OSError:
        yield found
        return
    assert process.stdout is not None
    lines = process.stdout

    def read() -> None:
        found.extend(float(line) for line in lines if line.strip().isdigit())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield found
    finally:
        process.terminate()
        reader.join(5)


def run_case(folder: Path, case: Case, gpus: int, rate: float, graphs: bool = False) -> Row:
    """Runs a case on so many GPUs, 0 for the CPU.

    Args:
        rate: multiply-adds a second of one GPU.
        graphs: take steps as CUDA graphs.
    """
    name = f"{case.backbone}-{case.size}-{gpus}{'-graphs' * graphs}"
    manifest = folder / f"{name}.yaml"
    manifest.write_text(
        f"output: {name}\ncontent: content\nstyle: style\nbackbone: {case.backbone}\n"
        f"pairing: {{sample: 1, seed: 0}}\n"
        f"settings: {{preset: classic, size: {case.size}, steps: {case.steps}, size_step: 16, "
        f"decoding: reduced, format: jpg}}\n"
    )
    devices = ",".join(f"cuda:{index}" for index in range(gpus)) or "cpu"
    how = RunOptions(engine="local" if gpus else "inline")
    with watched(gpus) as busy:
        options = Options(devices, folder / "cache", run=how, graphs=graphs)
        if batch_manifest(manifest, options, quiet=True):
            raise SystemExit(f"{name}: not all jobs were done; see {folder / name / 'run.log'}")
    store = RunFolder(folder / name)
    said = [each.text for record in store.records() for each in record.warnings
            if each.code == "not_graphed"]  # fmt: skip
    summary = store.summaries()[""]
    hours = max(use.busy_s for use in summary.slots.values()) / 3600
    return Row(
        case.backbone, case.size, case.steps, gpus,
        (said[0] if said else "graphs") if graphs else "", summary.done, summary.done / hours,
        statistics.mean(busy) / 100 if busy else math.nan, _roofline(case, gpus, rate),
    )  # fmt: skip


def _roofline(case: Case, gpus: int, rate: float) -> float:
    """Pictures an hour of pictures 4:3 if nothing but the network's arithmetic took time."""
    if not gpus:
        return math.nan
    settings = Settings(preset="classic", size=case.size, steps=case.steps)
    layers = {layer: int(layer in settings.style_layers) for layer in settings.layers}
    weights = load_weights(case.backbone)
    work = multiply_adds(weights, layers, case.size, case.size * 3 // 4) * case.steps
    return 3600 * gpus * rate / work


def main(words: Sequence[str] | None = None) -> list[Row]:
    """Prints a row for each case and number of GPUs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contents", type=int, default=512)
    parser.add_argument("--gpus", type=int, nargs="+", help="[default: one, and all there are]")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(words)
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not there:
        print("no CUDA GPU here: a dry run of one tiny job on the CPU, whose figures say nothing")
    counts = sorted({1, there}) if there else [0]
    if there and given.gpus:
        counts = [count for count in given.gpus if count <= there]
    rate = fastest_rate("cuda:0", torch.bfloat16) if there else math.nan
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_pictures(folder, given.contents if there else 1, 1200 if there else 96)
        for case in CASES if there else [DRY]:
            for gpus, graphs in product(counts, (False, True) if there else (False,)):
                rows.append(run_case(folder, case, gpus, rate, graphs))
                if not given.json:
                    _print(rows[-1])
    if given.json:
        print(json.dumps([asdict(row) for row in rows]))
    return rows


def _print(row: Row) -> None:
    known = "" if math.isnan(row.roofline) else (
        f", {100 * row.pictures_per_hour / row.roofline:.0f}% of the roofline's {row.roofline:,.0f}"
    )  # fmt: skip
    busy = "" if math.isnan(row.busy) else f", busy {100 * row.busy:.0f}%"
    how = f", {row.graphs}" if row.graphs else ""
    print(
        f"{row.backbone:6} {row.size:4} px, {row.steps:3} steps, {counted(row.gpus, 'GPU')}{how}: "
        f"{counted(row.pictures, 'picture')}, {row.pictures_per_hour:,.0f} an hour{known}{busy}",
        flush=True,
    )


if __name__ == "__main__":
    main()
    sys.exit(0)
