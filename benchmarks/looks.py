"""How presets look: pictures of a set of pairs, judged by VGG-19, and sheets to judge by eye.

    python benchmarks/looks.py --pairs pairs.csv --presets classic default --backbones lite
    python benchmarks/looks.py --pairs pairs.csv --presets classic default --blind

`pairs.csv` has the columns content and style, paths relative to itself. The pictures are made as
anybody makes them, by `nst batch` into `--out`, so that a second run makes only what is missing.
Printed are medians over the pairs for each backbone and preset: the judge's figures, how alike the
picture is to itself in the way that the content is (self-similarity), saturation and contrast over
the style's, and seconds of a slot; and of how many pairs each preset has the lower sliced distance
than the first. With `--blind` there is a sheet a pair of content, style and the first two presets
in random order; which is which is in `key.json`.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
import yaml
from judge import Figures, Judge
from PIL import Image
from torch import Tensor

from pipeline import records, run_batch_file
from pipeline.pictures import canvas_size, fit_image, read_image, to_tensor

Pair = tuple[Path, Path]
_TILE = 384  # px, the longer side of a picture on a sheet


@dataclass(frozen=True)
class Look:
    """What is measured of one picture.

    Attributes:
        figures: the judge's.
        self_similarity: see `self_similarity`.
        saturation, contrast: over the style picture's.
        seconds: of the slot.
    """

    figures: Figures
    self_similarity: float
    saturation: float
    contrast: float
    seconds: float

    def row(self) -> dict[str, float]:
        """All of it, by name."""
        own = {k: v for k, v in asdict(self).items() if k != "figures"}
        return {**asdict(self.figures), **own}


def self_similarity(features: Tensor, content: Tensor) -> float:
    """Mean difference of the cosines between positions, within each of two pictures.

    (After the content loss of Kolkin et al. 2019, "Style Transfer by Relaxed Optimal Transport and
    Self-Similarity", equation 8.)

    Args:
        features, content: one layer's, C x h x w.
    """

    def cosines(values: Tensor) -> Tensor:
        flat = values.flatten(1)
        step = max(1, flat.shape[1] // 512)
        units = torch.nn.functional.normalize(flat[:, ::step], dim=0)
        return units.T @ units

    return float((cosines(features) - cosines(content)).abs().mean())


def saturation(pixels: Tensor) -> float:
    """Mean over 3 x H x W of the largest less the smallest channel."""
    return float((pixels.max(0).values - pixels.min(0).values).mean())


def contrast(pixels: Tensor) -> float:
    """Standard deviation of the mean of the channels of 3 x H x W."""
    return float(pixels.mean(0).std())


class Critic:
    """The judge, and what it does not look at."""

    def __init__(self) -> None:
        self.judge = Judge()

    def look(self, picture: Path, pair: Pair, seconds: float) -> Look:
        """All figures of a picture file."""
        content, style = pair
        pixels, wanted = (_pixels(path) for path in (picture, style))
        kept = _pixels(content, (pixels.shape[2], pixels.shape[1]))
        found, kept = (self._content_features(image) for image in (pixels, kept))
        return Look(
            self.judge.score(picture, content, style),
            self_similarity(found, kept),
            saturation(pixels) / max(1e-6, saturation(wanted)),
            contrast(pixels) / max(1e-6, contrast(wanted)),
            seconds,
        )

    @torch.no_grad()
    def _content_features(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.judge.network(pixels[None])["conv4_2"][0]
        return features


def _pixels(path: Path, size: tuple[int, int] | None = None) -> Tensor:
    image = read_image(path)
    return to_tensor(fit_image(image, *(size or canvas_size(*image.size, _TILE, "long"))))


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a map, absolute."""
    folder = path.resolve().parent
    with path.open(newline="") as file:
        return [(folder / r["content"], folder / r["style"]) for r in csv.DictReader(file)]


def make(
    pairs: Sequence[Pair], backbone: str, presets: Sequence[str], size: int, out: Path
) -> dict[tuple[Pair, str], tuple[Path, float]]:
    """Runs one manifest of all pairs and presets; each picture's file and seconds."""
    folder = out / f"{backbone}_{size}"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {
        "output": str(folder.resolve() / "run"),
        "pairs": [{"content": str(content), "style": str(style)} for content, style in pairs],
        "backbone": backbone,
        "settings": {"size": size},
        "grid": {"preset": list(presets)},
    }
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump(manifest))
    run_batch_file(path)
    made = {}
    for record in records(folder / "run"):
        style = record["record"]["style"]["pictures"][0]["path"]
        pair = (Path(record["content"]), Path(style))
        made[pair, str(record["preset"])] = Path(record["image"]), float(record["seconds"])
    return made


def table(looks: Mapping[str, Sequence[Look]]) -> dict[str, dict[str, float]]:
    """Medians of each preset, and on how many pairs its sliced distance is below the first's."""
    first = next(iter(looks.values()))
    found = {}
    for preset, own in looks.items():
        rows = [look.row() for look in own]
        medians = {name: round(median(row[name] for row in rows), 3) for name in rows[0]}
        both = list(zip(own, first, strict=True))
        medians["sliced below"] = sum(a.figures.sliced < b.figures.sliced for a, b in both)
        ratio = median(a.figures.content / b.figures.content for a, b in both)
        medians["content over"] = round(ratio, 3)
        found[preset] = medians
    return found


def sheet(rows: Sequence[Sequence[Path]], path: Path) -> None:
    """Pictures in rows, each within a square."""
    canvas = Image.new("RGB", (len(rows[0]) * _TILE, len(rows) * _TILE), "white")
    for y, row in enumerate(rows):
        for x, file in enumerate(row):
            image = read_image(file)
            tile = image.resize(canvas_size(*image.size, _TILE - 8, "long"))
            canvas.paste(tile, (x * _TILE, y * _TILE))
    canvas.save(path)


def blind_sheets(rows: Sequence[Sequence[Path]], folder: Path, presets: Sequence[str]) -> None:
    """A sheet a pair with the first two presets as A and B in random order; the key beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.SystemRandom()
    key = {}
    for number, (content, style, *made) in enumerate(rows, 1):
        order = draw.sample([0, 1], 2)
        sheet([[content, style], [made[i] for i in order]], folder / f"{number:02}.png")
        key[f"{number:02}"] = {"A": presets[order[0]], "B": presets[order[1]]}
    (folder / "key.json").write_text(json.dumps(key, indent=1))


def main() -> None:
    """Makes, judges, draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--first", type=int, help="that many pairs of the map, spread over it")
    parser.add_argument("--presets", nargs="+", default=["classic", "default"])
    parser.add_argument("--backbones", nargs="+", default=["lite"])
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--blind", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/looks_compared"))
    given = parser.parse_args()
    pairs = read_pairs(given.pairs)
    pairs = pairs[:: max(1, len(pairs) // given.first)][: given.first] if given.first else pairs
    critic, whole = Critic(), {}
    for backbone in given.backbones:
        made = make(pairs, backbone, given.presets, given.size, given.out)
        looks = {
            preset: [critic.look(*made[pair, preset][:1], pair, made[pair, preset][1])
                     for pair in pairs]
            for preset in given.presets
        }  # fmt: skip
        whole[backbone] = table(looks)
        rows = [[*pair, *(made[pair, preset][0] for preset in given.presets)] for pair in pairs]
        sheet(rows, given.out / f"{backbone}_{given.size}.png")
        if given.blind:
            blind_sheets(rows, given.out / f"blind_{backbone}", given.presets)
    print(json.dumps(whole, indent=1))


if __name__ == "__main__":
    main()
