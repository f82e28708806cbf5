"""Pictures an hour: `nst` against the loops that people use today, at equal loss.

    python benchmarks/throughput.py

Three ways to do the same jobs, with the same weights and the same objective, the paper's loss:

- `tutorial`: the common PyTorch tutorial's shape. One picture at a time, the whole of VGG-19 to its
  end, four passes a step since the features of content and style are computed anew each time,
  Adam, full size from the first step; the network in eval mode but not frozen, so that gradients
  of its weights are computed and never used. `frozen tutorial` is the same without that slip.
- `single`: the best of the usual tools. One picture at a time, the network cut at the deepest
  layer, targets computed once, one pass a step, float32; L-BFGS as neural-style has it and Adam
  with clipped pixels as style-transfer-pytorch has it, whichever is there first.
- `nst batch`, the command itself.

One float32 evaluator scores pictures with the paper's loss: `nst`'s final ones as they were
written, the others' after each step as they would be written (clipped to 0..1). The time of the
others is the time at which they reach `nst`'s score; a loop that does not reach it within its steps
counts with all its time, as `at least`. The seconds of a step are the
median of steps timed one after another, nothing else running. The tutorial's loop computes what
`single` with Adam computes, only more dearly, so its steps are timed and the loss over steps is
taken from there. Without VGG-19's weights a network of its shape computes `lite`'s features; then
the losses over steps are computed with `lite` itself, which gives the same ones nine times as fast.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from networks import vgg19_shape
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from pipeline.manifest import STYLE_LAYERS
from pipeline.method import Weights, load_weights
from pipeline.store import RunFolder

CONTENT_LAYER = "conv4_2"
DEMO = Path(__file__).parent.parent / "manifests" / "demo"


# --- the other loops, written plainly -------------------------------------------------------------


class Network:
    """VGG-19 as the usual tools run it: zero padding, average pooling, no cut unless asked for."""

    def __init__(self, weights: Weights, device: str) -> None:
        self.kernels = {k: (w.to(device), b.to(device)) for k, (w, b) in weights.convs.items()}
        self.heads = {k: (w.to(device), b.to(device)) for k, (w, b) in weights.heads.items()}
        self.input = tuple(t.to(device) for t in weights.input)

    def __call__(self, x: Tensor, last: str) -> dict[str, Tensor]:
        """Features after each ReLU up to `last`."""
        features = {}
        x = F.conv2d(x, *self.input)
        for layer, (weight, bias) in self.kernels.items():
            if layer.endswith("_1") and layer != "conv1_1":
                x = F.avg_pool2d(x, 2)
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
            features[layer] = F.conv2d(x, *self.heads[layer]) if layer in self.heads else x
            if layer == last:
                break
        return features


@dataclass
class Job:
    """One picture to make: tensors 1 x 3 x H x W, and the weights of the paper's loss."""

    content: Tensor
    style: Tensor
    content_weight: float
    style_weight: float


def gram(features: Tensor) -> Tensor:
    """F F^T / M."""
    flat = features[0].flatten(1)
    return flat @ flat.T / flat.shape[1]


def paper_loss(
    job: Job, of: Mapping[str, Tensor], content: Tensor, style: Sequence[Tensor]
) -> Tensor:
    """alpha L_content + beta L_style of Gatys et al. 2016, Grams per position."""
    loss = job.content_weight * 0.5 * (of[CONTENT_LAYER] - content).square().sum()
    for layer, target in zip(STYLE_LAYERS, style, strict=True):
        width = target.shape[0]
        error = (gram(of[layer]) - target).square().sum() / (4 * width**2)
        loss = loss + job.style_weight / len(STYLE_LAYERS) * error
    return loss


def targets(network: Network, job: Job, last: str) -> tuple[Tensor, list[Tensor]]:
    """Content features and style Grams."""
    with torch.no_grad():
        style = network(job.style, last)
        return network(job.content, last)[CONTENT_LAYER], [gram(style[x]) for x in STYLE_LAYERS]


def evaluate(network: Network, job: Job, picture: Tensor) -> float:
    """The one score: the paper's loss in float32."""
    with torch.no_grad():
        of = network(picture, "conv5_1")
        return float(paper_loss(job, of, *targets(network, job, "conv5_1")))


def single(
    network: Network, job: Job, optimizer: str, rate: float, steps: int, goal: float
) -> tuple[list[float], list[float]]:
    """Scores (none without a goal) and seconds of each step, until `goal` is reached."""
    content, style = targets(network, job, "conv5_1")
    x = job.content.clone().requires_grad_()
    made: torch.optim.Optimizer
    if optimizer == "adam":
        made = torch.optim.Adam([x], lr=rate)
    else:
        made = torch.optim.LBFGS(
            [x], lr=rate, max_iter=1, history_size=100, tolerance_grad=0, tolerance_change=0
        )
    scores: list[float] = []
    seconds = []

    def closure() -> float:
        made.zero_grad()
        loss = paper_loss(job, network(x, "conv5_1"), content, style)
        loss.backward()
        return float(loss.detach())

    for _ in range(steps):
        began = time.perf_counter()
        made.step(closure)
        if optimizer == "adam":
            with torch.no_grad():
                x.clamp_(0, 1)
        seconds.append(time.perf_counter() - began)
        if goal:
            with torch.no_grad():
                of = network(x.clamp(0, 1), "conv5_1")
                scores.append(float(paper_loss(job, of, content, style)))
            if scores[-1] <= goal:
                break
    return scores, seconds


def tutorial_step_seconds(network: Network, job: Job, steps: int, frozen: bool) -> float:
    """Median seconds of a step of the tutorial's loop."""
    weights = [t for pair in network.kernels.values() for t in pair]
    for tensor in weights:
        tensor.requires_grad_(not frozen)
    x = job.content.clone().requires_grad_()
    adam = torch.optim.Adam([x], lr=0.01)
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        of_x, of_content, of_style = (network(y, "") for y in (x, job.content, job.style))
        adam.zero_grad()
        style = [gram(of_style[layer]) for layer in STYLE_LAYERS]
        paper_loss(job, of_x, of_content[CONTENT_LAYER], style).backward()
        adam.step()
        seconds.append(time.perf_counter() - began)
    for tensor in weights:
        tensor.requires_grad_(False)
        tensor.grad = None
    return statistics.median(seconds)


# --- the comparison -------------------------------------------------------------------------------

# Rates as their users choose them; the first of these to reach the score counts.
SINGLE = (("lbfgs", 1.0), ("adam", 0.02), ("adam", 0.05))
MANIFEST = """\
output: run
content: {contents}
style: {styles}
backbone: {{name: {name}, weights: {weights}}}
settings:
  preset: classic
  size: {size}
  steps: {steps}
  loss: paper
  content_weight: {content_weight}
  tv_weight: 0
  padding: zeros
  optimizer: lbfgs
  learning_rate: 1
  learning_rate_falloff: 1
  learning_rate_end: 1
  warmup: 0
  average: 0
  carry: true
  scale_start: {scale_start}
  scale_factor: 2
  step_falloff: 0.5
grid:
  style_weight: {style_weights}
"""


@dataclass
class Batch:
    """What `nst batch` did: wall seconds of the command and of the run within it, pictures."""

    command_s: float
    run_s: float
    peak_bytes: int
    jobs: list[Job]
    pictures: list[Tensor]


def picture(path: Path, size: tuple[int, int] | None = None) -> Tensor:
    """A picture file as 1 x 3 x H x W in [0, 1]."""
    image = Image.open(path).convert("RGB")
    if size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    data = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return data.view(1, image.height, image.width, 3).permute(0, 3, 1, 2).contiguous().float() / 255


def nst_batch(folder: Path, weights: Weights, name: str, given: argparse.Namespace) -> Batch:
    """Runs the command on the grid, its cache of targets empty."""
    folder.mkdir()
    state = {f"{k}.{part}": t for k, (w, b) in weights.convs.items() for part, t in
             (("weight", w), ("bias", b))}  # fmt: skip
    state |= {f"head{k[4:]}.{part}": t for k, (w, b) in weights.heads.items() for part, t in
              (("weight", w), ("bias", b))}  # fmt: skip
    state |= {"input.weight": weights.input[0], "input.bias": weights.input[1]}
    save_file({k: t.contiguous() for k, t in state.items()}, folder / "weights.safetensors")
    text = MANIFEST.format(
        contents=[str(p) for p in given.contents], styles=[str(p) for p in given.styles],
        name=name, weights=folder / "weights.safetensors", size=given.size, steps=given.nst_steps,
        content_weight=given.content_weight, style_weights=given.style_weights,
        scale_start=given.scale_start,
    )  # fmt: skip
    (folder / "m.yaml").write_text(text)
    command = [sys.executable, "-c", "from cli import main; main()", "batch",
               str(folder / "m.yaml"), "--quiet",
               "--cache-dir", str(folder / "cache"), "--devices", given.devices]  # fmt: skip
    began = time.perf_counter()
    subprocess.run(command, check=True, cwd=Path(__file__).parent.parent)
    seconds = time.perf_counter() - began
    store = RunFolder(folder / "run")
    jobs, pictures = [], []
    for record in map(json.loads, (p.read_text() for p in sorted(store.images.rglob("*.json")))):
        width, height = record["output"]["size"]
        pictures.append(picture(store.path / record["output"]["path"]))
        sides = Image.open(record["style"]["pictures"][0]["path"]).size
        scale = given.size / max(sides)
        style = picture(
            Path(record["style"]["pictures"][0]["path"]),
            (round(sides[0] * scale), round(sides[1] * scale)),
        )
        content = picture(Path(record["content"]["path"]), (width, height))
        weight = record["settings"]["style_weight"]
        jobs.append(Job(content, style, given.content_weight, weight))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return Batch(seconds, store.summaries()[""].seconds, peak, jobs, pictures)


def steps_to(losses: Sequence[float], goal: float) -> int | None:
    """Steps after which the loss is at `goal` or below."""
    return next((i + 1 for i, loss in enumerate(losses) if loss <= goal), None)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cuda = torch.cuda.is_available()
    parser.add_argument("--devices", default="auto")
    parser.add_argument("--size", type=int, default=512 if cuda else 256)
    parser.add_argument("--contents", type=Path, nargs="+",
                        default=sorted((DEMO / "content").glob("*.jpg")))  # fmt: skip
    parser.add_argument("--styles", type=Path, nargs="+",
                        default=sorted((DEMO / "style").glob("*.jpg")))  # fmt: skip
    parser.add_argument("--content-weight", type=float, default=1e-5)
    parser.add_argument("--style-weights", type=float, nargs="+", default=[1.0, 3.0])
    parser.add_argument("--nst-steps", type=int, default=60)
    parser.add_argument("--scale-start", type=int, default=128)
    parser.add_argument("--steps", type=int, default=300, help="of the other loops, at most")
    parser.add_argument("--timed", type=int, default=15, help="steps to time")
    parser.add_argument("--vgg19", action="store_true", help="VGG-19's own weights (see README)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.contents, given.styles = ([*map(Path.resolve, p)] for p in (given.contents, given.styles))
    device = "cuda" if cuda else "cpu"
    lite = load_weights("lite")
    vgg = load_weights("vgg19") if given.vgg19 else vgg19_shape(heads=True)
    heavy = Network(vgg, device)
    light = heavy if given.vgg19 else Network(lite, device)

    with tempfile.TemporaryDirectory() as name:
        ours = nst_batch(Path(name) / "vgg19", vgg, "vgg19", given)
        quick = None
        if not given.vgg19:
            quick = nst_batch(Path(name) / "lite", lite, "lite", given)

    rows = []

    def plain(job: Job) -> Job:
        content, style = job.content.to(device), job.style.to(device)
        return Job(content, style, job.content_weight, job.style_weight)

    first = plain(ours.jobs[0])
    _, lbfgs_s = single(heavy, first, "lbfgs", 1.0, given.timed, 0)
    _, adam_s = single(heavy, first, "adam", 0.01, given.timed, 0)
    step_s = {"lbfgs": statistics.median(lbfgs_s), "adam": statistics.median(adam_s)}
    few = max(3, given.timed // 3)
    step_s["tutorial"] = tutorial_step_seconds(heavy, first, few, False)
    step_s["frozen tutorial"] = tutorial_step_seconds(heavy, first, few, True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for job, made in zip(map(plain, ours.jobs), ours.pictures, strict=True):
        goal = evaluate(heavy, job, made.to(device))
        times: dict[str, float] = {}
        reached: dict[str, int | None] = {}
        for optimizer, rate in SINGLE:
            losses, _ = single(light, job, optimizer, rate, given.steps, goal)
            reached[f"{optimizer} {rate:g}"] = steps = steps_to(losses, goal)
            times[f"{optimizer} {rate:g}"] = (steps or given.steps) * step_s[optimizer]
        best = min((k for k in times if reached[k] is not None), key=times.__getitem__, default="")
        adam = [n for k, n in reached.items() if k.startswith("adam") and n is not None]
        rows.append(
            {
                "start": evaluate(heavy, job, job.content),
                "score": goal,
                "single": best or "none",
                "steps": reached,
                "single_s": times[best] if best else min(times.values()),
                "at_least": not best,
                "tutorial_s": (min(adam) if adam else given.steps) * step_s["tutorial"],
                "frozen tutorial_s": (min(adam) if adam else given.steps)
                * step_s["frozen tutorial"],
            }
        )
        if not given.json:
            print(
                f"loss {rows[-1]['start']:9.3f} -> {goal:8.3f}; single "
                f"{'at least ' if not best else ''}{rows[-1]['single_s']:6.1f} s ({reached}); "
                f"tutorial {rows[-1]['tutorial_s']:6.1f} s",
                flush=True,
            )
    count = len(rows)
    totals = {
        "nst": ours.command_s,
        "single": sum(row["single_s"] for row in rows),
        "tutorial": sum(row["tutorial_s"] for row in rows),
        "frozen tutorial": sum(row["frozen tutorial_s"] for row in rows),
    }
    if quick:
        totals["nst with lite"] = quick.command_s
    each = totals["nst"] / count
    result = {
        "jobs": count,
        "size": given.size,
        "step_s": step_s,
        "seconds": totals,
        "images_per_hour": {k: 3600 * count / s for k, s in totals.items()},
        "nst_without_start_s": ours.run_s,
        "rows": rows,
        "peak_bytes": {"nst, each process": ours.peak_bytes, "single": peak},
        "ratio": {
            k: statistics.median([row[f"{k}_s"] / each for row in rows])
            for k in ("single", "tutorial", "frozen tutorial")
        },
    }
    if given.json:
        print(json.dumps(result))
        return
    steps = ", ".join(f"{name} {seconds:.3f}" for name, seconds in step_s.items())
    print(f"\n{count} jobs of {given.size} px on {device}; seconds a step: {steps}")
    print(f"{'':16} {'s a picture':>12} {'pictures/h':>11} {'nst is faster by':>17}")
    for name, seconds in totals.items():
        print(f"{name:16} {seconds / count:12.2f} {3600 * count / seconds:11.0f} "
              f"{seconds / totals['nst']:16.2f}x")  # fmt: skip
    print(
        f"median over jobs: single {result['ratio']['single']:.2f}x, "
        f"tutorial {result['ratio']['tutorial']:.2f}x"
    )
    rest = f", with lite {quick.run_s / count:.2f}" if quick else ""
    print(f"nst without the command's own start: {ours.run_s / count:.2f} s a picture{rest}")
    print(
        f"peak memory: nst {ours.peak_bytes / 2**30:.2f} GiB each process, single "
        f"{peak / 2**30:.2f} GiB"
    )


if __name__ == "__main__":
    main()
