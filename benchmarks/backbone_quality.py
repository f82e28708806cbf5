"""How well a small network stands in for VGG-19: pictures through both, judged by VGG-19 itself.

    python benchmarks/backbone_quality.py --pairs pairs.csv --sizes 256 512

`pairs.csv` has the columns content and style, paths relative to itself. For each pair and size one
picture is made through `vgg19` and one through each small network, from the same start with the
same settings; printed are the ratios of the judge's figures, median and 95th percentile over the
pairs, the balance of content and style that both ended at, and as a yardstick the same ratios
between two seeds of VGG-19 with `init_noise: 0.1`. A contact sheet of all pictures is written, and
the pictures themselves beside it, so that a second run makes only what is missing.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import torch
from judge import Figures, Judge, medians, percentile
from PIL import Image
from torch import Tensor

from pipeline.distill import STYLE_TAPS, held_out_errors
from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    Scale,
    ScaleInputs,
    Weights,
    load_weights,
    neighbor_targets,
    optimize,
    schedule_scales,
    style_targets,
)
from pipeline.pictures import fit_image, read_image, read_size, to_image, to_tensor
from pipeline.slot import style_sizes

Pair = tuple[Path, Path]


@cache
def weights_of(name: str) -> Weights:
    """`vgg19`, `lite`, or a small network's file."""
    if name == "vgg19":
        return load_weights("vgg19", "caffe")
    return load_weights("lite", None if name == "lite" else Path(name))


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a map."""
    with path.open(newline="") as file:
        return [
            (path.parent / r["content"], path.parent / r["style"]) for r in csv.DictReader(file)
        ]


def inputs_of(
    network: Backbone, content: Path, style: Path, settings: Settings, scales: Sequence[Scale]
) -> Callable[[int], ScaleInputs]:
    """What each scale of one picture needs."""
    photo, painting = read_image(content), read_image(style)
    sizes = style_sizes(read_size(style), settings, scales)

    def inputs(index: int) -> ScaleInputs:
        scale = scales[index]
        pixels = to_tensor(fit_image(photo, scale.width, scale.height))[None]
        target = to_tensor(fit_image(painting, *sizes[index]))
        grams = style_targets(network, target, tuple(settings.style_layers), settings.style_loss)
        stacked = {layer: matrix[None] for layer, matrix in grams.items()}
        vectors = [neighbor_targets(network, target)] if settings.neighbor_weight else []
        rows = torch.zeros(1, dtype=torch.long)
        return ScaleInputs(pixels, rows, stacked, neighbors=vectors)

    return inputs


def stylize(weights: Weights, pair: Pair, settings: Settings) -> tuple[Tensor, float]:
    """One picture through one network; and its content loss over its style loss at the end."""
    content, style = pair
    network = Backbone(weights, settings.layers, settings.pooling, settings.padding)
    scales = schedule_scales(settings, *read_size(content))
    inputs = inputs_of(network, content, style, settings, scales)
    *_, last = optimize(network, [settings], scales, inputs)
    return last.images[0], float(last.losses.content[0]) / float(last.losses.style[0])


class Studio:
    """Makes pictures, or takes those that an earlier run made."""

    def __init__(self, folder: Path, pairs: Sequence[Pair]) -> None:
        self.folder, self.pairs = folder, pairs
        self.judge = Judge()
        folder.mkdir(parents=True, exist_ok=True)

    def picture(self, network: str, pair: Pair, settings: Settings) -> tuple[Path, float, Figures]:
        """The file of a picture, its balance, and what the judge says."""
        weights = weights_of(network)
        name = f"{pair[0].stem}__{pair[1].stem}__{settings.size}__{weights.digest[:8]}"
        name += f"__{settings.seed}" if settings.init_noise else ""
        name += f"__{settings.style_loss}" if settings.style_loss != "gram" else ""
        name += f"__{settings.preset}" if settings.preset != "classic" else ""
        path = self.folder / f"{name}.png"
        notes = path.with_suffix(".json")
        if not notes.exists():
            began = time.perf_counter()
            pixels, balance = stylize(weights, pair, settings)
            to_image(pixels).save(path)
            seconds = time.perf_counter() - began
            notes.write_text(json.dumps({"balance": balance, "seconds": seconds}))
        return path, json.loads(notes.read_text())["balance"], self.judge.score(path, *pair)

    def compare(self, first: Mapping[str, object], second: Mapping[str, object]) -> Ratios:
        """The second's figures over the first's, pair by pair."""
        ratios = Ratios()
        for pair in self.pairs:
            made = [
                self.picture(str(given["network"]), pair, given["settings"])  # type: ignore[arg-type]
                for given in (first, second)
            ]
            ratios.figures.append(made[1][2].over(made[0][2]))
            ratios.balances.append(made[1][1] / made[0][1])
            ratios.paths.append([path for path, _, _ in made])
            ratios.own.append([figures for _, _, figures in made])
        return ratios


class Ratios:
    """What `Studio.compare` found, pair by pair."""

    def __init__(self) -> None:
        self.figures: list[Figures] = []
        self.balances: list[float] = []
        self.paths: list[list[Path]] = []
        self.own: list[list[Figures]] = []

    def lines(self) -> dict[str, object]:
        """Median and 95th percentile of each ratio, and the medians of both sides' own figures."""
        found: dict[str, object] = {}
        for name, middle in asdict(medians(self.figures)).items():
            high = percentile([getattr(f, name) for f in self.figures], 0.95)
            found[name] = {"median": round(middle, 3), "p95": round(high, 3)}
        found["balance"] = round(percentile(self.balances, 0.5), 3)
        found["first"], found["second"] = (
            {k: round(v, 3) for k, v in asdict(medians(side)).items()}
            for side in zip(*self.own, strict=True)
        )
        return found


def step_seconds(weights: Weights, padding: str, size: int, repeats: int = 7) -> float:
    """Median time of forward and backward to the image, batch 1."""
    settings = Settings(padding=padding)
    network = Backbone(weights, (*STYLE_TAPS, "conv4_2"), padding=settings.padding)
    times = []
    for _ in range(repeats + 1):
        image = torch.rand(1, 3, size, size).contiguous(memory_format=torch.channels_last)
        image.requires_grad_()
        began = time.perf_counter()
        loss = torch.stack([f.square().mean() for f in network(image).values()]).sum()
        torch.autograd.grad(loss, image)
        times.append(time.perf_counter() - began)
    return sorted(times[1:])[repeats // 2]


def sheet(rows: Sequence[Sequence[Path]], path: Path, width: int = 320) -> None:
    """A row a pair: content, style, through VGG-19, through each small network."""
    height = width * 3 // 4
    canvas = Image.new("RGB", (len(rows[0]) * width, len(rows) * height), "white")
    for y, row in enumerate(rows):
        for x, file in enumerate(row):
            tile = read_image(file).resize((width - 4, height - 4), Image.Resampling.LANCZOS)
            canvas.paste(tile, (x * width, y * height))
    canvas.save(path)


def main() -> None:
    """Makes the pictures and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--first", type=int, help="that many pairs of the map, spread over it")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256])
    parser.add_argument(
        "--networks", nargs="+", default=["lite"], help="lite, or files; FILE:PADDING"
    )
    parser.add_argument("--preset", default="default")
    parser.add_argument("--style-loss", help="instead of the preset's")
    parser.add_argument("--yardstick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/backbone_quality"))
    given = parser.parse_args()
    pairs = read_pairs(given.pairs)
    pairs = pairs[:: max(1, len(pairs) // given.first)][: given.first] if given.first else pairs
    studio = Studio(given.out, pairs)
    figures: dict[str, object] = {}
    shown = list(dict.fromkeys(path for pair in pairs for path in pair))
    for name, _, padding in (named.partition(":") for named in given.networks):
        figures[f"held-out error, {name}"] = held_out_errors(
            weights_of(name), weights_of("vgg19"), shown, 192
        )
        seconds = step_seconds(weights_of(name), padding or Settings().padding, 256)
        figures[f"step at 256 px, {name}, s"] = round(seconds, 4)
    for size in given.sizes:
        settings = Settings(preset=given.preset, size=size)
        if given.style_loss:
            settings = settings.model_copy(update={"style_loss": given.style_loss})
        whole = {"network": "vgg19", "settings": settings}
        made = []
        for named in given.networks:
            name, _, padding = named.partition(":")
            own = settings.model_copy(update={"padding": padding} if padding else {})
            ratios = studio.compare(whole, {"network": name, "settings": own})
            figures[f"{size} px: {name} over vgg19"] = ratios.lines()
            made.append(ratios.paths)
        rows = [
            [*pair, made[0][n][0], *(paths[n][1] for paths in made)] for n, pair in enumerate(pairs)
        ]
        sheet(rows, given.out / f"sheet_{size}.png")
        if given.yardstick:
            noisy = [
                {"network": "vgg19", "settings": settings.model_copy(update=seeded)}
                for seeded in ({"init_noise": 0.1, "seed": seed} for seed in (0, 1))
            ]
            figures[f"{size} px: two seeds of vgg19"] = studio.compare(*noisy).lines()
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
