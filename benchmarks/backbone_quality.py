"""How well `lite` stands in for its teacher: feature errors, style distances, and pictures.

    python benchmarks/backbone_quality.py --teacher vgg19_16x.safetensors \\
        --contents photos --styles paintings --held-out pictures

Prints, for pictures that were not trained on: squared error over energy a layer; the rank
correlation of the style distances between all pairs of styles; and for each pair of content and
style the teacher's own style loss of a picture made through `lite` over that of one made through
the teacher, from the same start with the same settings. Writes a contact sheet of both.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from networks import vgg19_shape
from PIL import Image
from torch import Tensor

from pipeline.distill import STYLE_TAPS, find_pictures, held_out_errors
from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    ScaleInputs,
    Weights,
    gram,
    load_weights,
    optimize,
    schedule_scales,
    style_targets,
)
from pipeline.pictures import fit_image, read_image, read_size, to_image, to_tensor
from pipeline.slot import style_sizes


def style_vector(network: Backbone, image: Tensor) -> dict[str, Tensor]:
    """Gram matrices of one picture per style layer."""
    with torch.no_grad():
        features = network(image[None])
    return {layer: gram(features[layer])[0] for layer in STYLE_TAPS}


def distances(network: Backbone, images: Sequence[Tensor]) -> list[float]:
    """Relative Gram distance of all pairs, summed over layers."""
    grams = [style_vector(network, image) for image in images]
    return [
        sum(
            float((a[layer] - b[layer]).norm() / (a[layer].norm() * b[layer].norm()).sqrt())
            for layer in STYLE_TAPS
        )
        for a, b in itertools.combinations(grams, 2)
    ]


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rho."""
    ranks = [torch.tensor(x).argsort().argsort().double() for x in (a, b)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


def stylize(weights: Weights, content: Path, style: Path, settings: Settings) -> Tensor:
    """One picture through one backbone."""
    network = Backbone(weights, settings.layers, settings.pooling, settings.padding)
    scales = schedule_scales(settings, *read_size(content))
    photo, painting = read_image(content), read_image(style)
    sizes = style_sizes(read_size(style), settings, scales)

    def inputs(index: int) -> ScaleInputs:
        scale = scales[index]
        pixels = to_tensor(fit_image(photo, scale.width, scale.height))[None]
        target = to_tensor(fit_image(painting, *sizes[index]))
        grams = style_targets(network, target, tuple(settings.style_layers))
        stacked = {layer: matrix[None] for layer, matrix in grams.items()}
        return ScaleInputs(pixels, torch.zeros(1, dtype=torch.long), stacked)

    *_, last = optimize(network, [settings], scales, inputs)
    return last.images[0]


def style_score(network: Backbone, image: Tensor, style: Path, settings: Settings) -> float:
    """The teacher's relative style loss of a picture."""
    size = style_sizes(read_size(style), settings, schedule_scales(settings, *image.shape[:0:-1]))
    wanted = style_vector(network, to_tensor(fit_image(read_image(style), *size[-1])))
    found = style_vector(network, image)
    return sum(
        float((found[layer] - wanted[layer]).norm() / wanted[layer].norm()) for layer in STYLE_TAPS
    ) / len(STYLE_TAPS)


def step_seconds(weights: Weights, size: int, repeats: int) -> float:
    """Median time of forward and backward to the image, batch 1."""
    layers = (*STYLE_TAPS, "conv4_2")
    network = Backbone(weights, layers).to(memory_format=torch.channels_last)
    times = []
    for _ in range(repeats + 1):
        image = torch.rand(1, 3, size, size).contiguous(memory_format=torch.channels_last)
        image.requires_grad_()
        began = time.perf_counter()
        loss = torch.stack([f.square().mean() for f in network(image).values()]).sum()
        torch.autograd.grad(loss, image)
        times.append(time.perf_counter() - began)
    return sorted(times[1:])[repeats // 2]


def sheet(rows: Sequence[Sequence[Tensor]], path: Path, width: int = 320) -> None:
    """A row a pair: content, style, through the teacher, through lite."""
    height = width * 3 // 4
    canvas = Image.new("RGB", (len(rows[0]) * width, len(rows) * height), "white")
    for y, row in enumerate(rows):
        for x, pixels in enumerate(row):
            canvas.paste(to_image(pixels).resize((width - 4, height - 4)), (x * width, y * height))
    canvas.save(path)


def main() -> None:
    """Runs all of it and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--student", type=Path)
    parser.add_argument("--contents", type=Path, required=True)
    parser.add_argument("--styles", type=Path, required=True)
    parser.add_argument("--held-out", type=Path)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--sheet", type=Path, default=Path("backbone_quality.png"))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    teacher, lite = load_weights("lite", given.teacher), load_weights("lite", given.student)
    contents, styles = find_pictures(given.contents), find_pictures(given.styles)
    figures: dict[str, object] = {}
    held_out = find_pictures(given.held_out) if given.held_out else contents + styles
    figures["error"] = held_out_errors(lite, teacher, held_out)
    everything = [to_tensor(fit_image(read_image(p), 256, 256)) for p in [*styles, *held_out[:18]]]
    networks = {n: Backbone(w, STYLE_TAPS) for n, w in (("lite", lite), ("teacher", teacher))}
    for name, chosen in (("styles", everything[: len(styles)]), ("all", everything)):
        apart = [distances(network, chosen) for network in networks.values()]
        figures[f"rank_correlation_{name}"] = rank_correlation(*apart)
    settings = Settings(size=given.size)
    rows, ratios = [], {}
    pairs = list(itertools.product(contents, styles))
    for content, style in pairs[:: max(1, len(pairs) // given.pairs)][: given.pairs]:
        made = [stylize(weights, content, style, settings) for weights in (teacher, lite)]
        scores = [style_score(networks["teacher"], image, style, settings) for image in made]
        ratios[f"{content.stem} x {style.stem}"] = [*scores, scores[1] / scores[0]]
        start = to_tensor(read_image(content)), to_tensor(read_image(style))
        rows.append([*start, *made])
    figures["style_loss_by_teacher: [teacher, lite, ratio]"] = ratios
    sheet(rows, given.sheet)
    seconds = {"vgg19": vgg19_shape(), "lite": lite}
    times = {name: step_seconds(weights, 512, 7) for name, weights in seconds.items()}
    figures["step_seconds_512"] = times | {"ratio": times["vgg19"] / times["lite"]}
    print(json.dumps(figures, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
