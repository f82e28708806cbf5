"""Pictures an hour on GPUs, beside what their arithmetic allows; where there is none it says so.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --contents 2000 --gpus 1 8

A data set of pictures of mixed sizes is drawn on disk, and `nst batch` runs it through each network
at 512 px with 300 steps and at 256 px with 50, call by call and with `--graphs` in turn: pictures
an hour from the first one that was finished to the last, the share of that time in which
`nvidia-smi` found a GPU busy, and the share of the roofline: what the cut network must compute for
these pictures over each GPU's own rate at its fastest convolution or matrix product, measured here
in the precision of the run. With several numbers of GPUs each is run, for how it scales. GPUs are
touched by processes of their own alone. Without a CUDA GPU one tiny job is run on the CPU, so that
all of this is known to run.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from networks import multiply_adds
from PIL import Image
from step import fastest_rate

from pipeline.commands import Options, batch_manifest
from pipeline.manifest import Settings
from pipeline.method import load_weights
from pipeline.plan import Choice
from pipeline.schedule import RunOptions, find_slots
from pipeline.slot import in_own_process, network_type, own_environment, use_precision
from pipeline.store import Record, RunFolder
from pipeline.terminal import counted

_STYLES = 4
_EACH = 512  # pictures a GPU: several batches of up to 64, of each of some shapes


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
        precision: what `auto` stood for.
        graphs: whether steps were to be taken as CUDA graphs.
        not_graphed: why they were not after all, or empty.
        busy: share of the time in which a GPU was, NaN where nobody says.
        roofline: pictures an hour by arithmetic alone, NaN where that was not measured.
    """

    backbone: str
    size: int
    steps: int
    gpus: int
    precision: str
    graphs: bool
    not_graphed: str
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


# --- the GPUs themselves --------------------------------------------------------------------------


@functools.cache
def asked(device: str, what: str) -> str:
    """What a device says in a process of its own, which sees it alone: this one must not keep a
    context on a GPU that it measures.

    Args:
        what: `uuid`, or a precision for its rate in multiply-adds a second.
    """
    ran = subprocess.run(
        [sys.executable, __file__, "--ask", in_own_process(device), what],
        env={**os.environ, **own_environment(device)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout.strip().splitlines()[-1]


def _answer(device: str, what: str) -> str:
    if what == "uuid":
        return f"GPU-{torch.cuda.get_device_properties(device).uuid}".replace("GPU-GPU-", "GPU-")
    return str(fastest_rate(device, network_type(use_precision(what, device))))


Sample = tuple[float, float]  # seconds since 1970, percent


@contextmanager
def watched(uuids: Sequence[str]) -> Iterator[list[Sample]]:
    """How busy GPUs are, second by second, as `nvidia-smi` has it.

    Args:
        uuids: which ones; `nvidia-smi` counts the machine's in an order of its own.
    """
    found: list[Sample] = []
    if not uuids:
        yield found
        return
    words = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    words += ["-i", ",".join(uuids), "-l", "1"]
    try:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    except OSError:
        yield found
        return
    assert process.stdout is not None
    lines = process.stdout

    def read() -> None:
        found.extend((time.time(), float(line)) for line in lines if line.strip().isdigit())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield found
    finally:
        process.terminate()
        reader.join(5)


def busy_share(samples: Sequence[Sample], first: float, last: float) -> float:
    """The mean of what was found from the first picture to the last, from 0 to 1."""
    found = [percent for moment, percent in samples if first <= moment <= last]
    return statistics.mean(found) / 100 if found else math.nan


# --- a run ----------------------------------------------------------------------------------------


def run_case(folder: Path, case: Case, devices: Sequence[str], each: int, *, graphs: bool) -> Row:
    """Runs a case on these GPUs, on the CPU for none.

    Args:
        each: pictures a GPU.
    """
    name = f"{case.backbone}-{case.size}-{len(devices)}" + ("-graphs" if graphs else "")
    manifest = folder / f"{name}.yaml"
    manifest.write_text(
        f"output: {name}\ncontent: content\nstyle: style\nbackbone: {case.backbone}\n"
        f"pairing: {{sample: 1, seed: 0}}\n"
        f"settings: {{preset: classic, size: {case.size}, steps: {case.steps}, size_step: 16, "
        f"decoding: reduced, format: jpg}}\n"
    )
    how = RunOptions(
        engine="local" if devices else "inline", choice=Choice(limit=each * max(1, len(devices)))
    )
    options = Options(",".join(devices) or "cpu", folder / "cache", run=how, graphs=graphs)
    with watched([asked(device, "uuid") for device in devices]) as samples:
        if batch_manifest(manifest, options, quiet=True):
            raise SystemExit(f"{name}: not all jobs were done; see {folder / name / 'run.log'}")
    store = RunFolder(folder / name)
    records = list(store.records())
    busy_s = max(use.busy_s for use in store.summaries()[""].slots.values())
    first, last, per_hour = pace(records, busy_s)
    precisions = {record.device: record.precision for record in records}
    usual, used = records[0].precision, "/".join(sorted(set(precisions.values())))
    warnings = [warning for record in records for warning in record.warnings]
    why = next((warning.text for warning in warnings if warning.code == "not_graphed"), "")
    rates = [float(asked(device, precisions.get(device, usual))) for device in devices]
    return Row(
        case.backbone, case.size, case.steps, len(devices), used, graphs, why,
        len(records), per_hour, busy_share(samples, first, last),
        roofline(case, records, rates),
    )  # fmt: skip


def pace(records: Sequence[Record], busy_s: float) -> tuple[float, float, float]:
    """When the first and the last picture were finished, in seconds since 1970, and pictures an
    hour between them; of those finished together the time in batches has to do.

    Args:
        busy_s: of the slot that was in batches the longest.
    """
    moments = [datetime.datetime.fromisoformat(record.finished).timestamp() for record in records]
    first, last = min(moments), max(moments)
    if first == last:
        return first, last, 3600 * len(records) / busy_s
    return first, last, 3600 * sum(moment > first for moment in moments) / (last - first)


def roofline(case: Case, records: Sequence[Record], rates: Sequence[float]) -> float:
    """Pictures an hour if nothing but the network's arithmetic for these pictures took time.

    Args:
        rates: multiply-adds a second of each GPU.
    """
    if not rates:
        return math.nan
    settings = Settings(preset="classic", size=case.size, steps=case.steps)
    layers = {layer: int(layer in settings.style_layers) for layer in settings.layers}
    weights = load_weights(case.backbone)
    counts = Counter(scale for record in records for scale in record.scales)
    work = sum(
        count * steps * multiply_adds(weights, layers, width, height)
        for (width, height, steps), count in counts.items()
    )
    return 3600 * sum(rates) * len(records) / work


# --- all of it ------------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> list[Row]:
    """Prints a row for each case and number of GPUs, with and without graphs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contents", type=int, default=_EACH, help="a GPU [default: %(default)s]")
    parser.add_argument("--gpus", type=int, nargs="+", help="[default: one, and all there are]")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ask", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.ask:
        print(_answer(*given.ask))
        return []
    there = [slot for slot in find_slots().slots if slot.startswith("cuda")]
    if not there:
        print("no CUDA GPU here: a dry run of one tiny job on the CPU, whose figures say nothing")
    counts = sorted({1, len(there)}) if there else [0]
    if there and given.gpus:
        counts = [count for count in given.gpus if count <= len(there)]
    each = given.contents if there else 1
    said = (lambda row: None) if given.json else _print
    with tempfile.TemporaryDirectory() as name:
        draw_pictures(Path(name), each * max(1, *counts), 1200 if there else 96)
        rows = [
            row
            for case in (CASES if there else [DRY])
            for count in counts
            for row in _both(Path(name), case, there[:count], each, said)
        ]
    if given.json:
        print(json.dumps([asdict(row) for row in rows]))
    return rows


def _both(
    folder: Path, case: Case, devices: Sequence[str], each: int, said: Callable[[Row], None]
) -> list[Row]:
    """Call by call, and with graphs where there are GPUs; both told with their ratio."""
    rows = []
    for graphs in (False, True) if devices else (False,):
        rows.append(run_case(folder, case, devices, each, graphs=graphs))
        said(rows[-1])
    if len(rows) == 2 and said is _print:
        print(f"{'':7}with graphs {ratio(*rows):.2f} times as many pictures an hour", flush=True)
    return rows


def ratio(plain: Row, graphs: Row) -> float:
    """How many times as many pictures an hour with graphs."""
    return graphs.pictures_per_hour / plain.pictures_per_hour


def _print(row: Row) -> None:
    known = "" if math.isnan(row.roofline) else (
        f", {100 * row.pictures_per_hour / row.roofline:.0f}% of the roofline's {row.roofline:,.0f}"
    )  # fmt: skip
    how = f", {row.not_graphed or 'graphs'}" if row.graphs else ""
    busy = "" if math.isnan(row.busy) else f", busy {100 * row.busy:.0f}%"
    print(
        f"{row.backbone:6} {row.size:4} px, {row.steps:3} steps, {counted(row.gpus, 'GPU')}, "
        f"{row.precision}{how}: {counted(row.pictures, 'picture')}, "
        f"{row.pictures_per_hour:,.0f} an hour{known}{busy}",
        flush=True,
    )


if __name__ == "__main__":
    main()
    sys.exit(0)
