"""Flicker of a clip: stylized frame by frame, and as a clip.

    python benchmarks/video.py PICTURE STYLE --out runs/video
    python benchmarks/video.py PICTURE STYLE --out runs/video --frames 12 --set temporal_weight=300

Makes a clip of known motion from the picture, a slow pan and zoom, and has `nst batch` stylize its
frames twice: as pictures alone, and as `frames/%04d.png`. Printed is the flicker of both, the mean
absolute difference of successive results where one shows what the other does, once with the known
motion, which no loss used, and once with the flow that is estimated; and their ratio. What is done
already is kept, so that a stopped measurement goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch
import yaml
from PIL import Image
from torch import Tensor

from pipeline import records, run_batch_file
from pipeline.manifest import parse_value
from pipeline.method import consistency, disoccluded, flicker, warp
from pipeline.pictures import dis_flow, read_image, to_tensor

# Of the whole motion, whatever the number of frames: the window's center and its width, as shares
# of the picture's sides, at the beginning and at the end.
_BEGIN, _END = (0.40, 0.46, 0.75), (0.58, 0.52, 0.60)


@dataclass(frozen=True)
class Camera:
    """A window that moves over a picture.

    Attributes:
        picture: width and height in px.
        frame: width and height in px of what the window shows.
        frames: of the whole motion.
    """

    picture: tuple[int, int]
    frame: tuple[int, int]
    frames: int

    def window(self, number: int) -> tuple[float, float, float]:
        """Center of the window in px of the picture, and these px a px of the frame."""
        share = number / max(1, self.frames - 1)
        across, down, side = (a + (b - a) * share for a, b in zip(_BEGIN, _END, strict=True))
        width, height = self.picture
        return across * width, down * height, side * width / self.frame[0]

    def shows(self, picture: Image.Image, number: int) -> Image.Image:
        """One frame."""
        across, down, scale = self.window(number)
        half = (scale * self.frame[0] / 2, scale * self.frame[1] / 2)
        box = (across - half[0], down - half[1], across + half[0], down + half[1])
        return picture.resize(self.frame, Image.Resampling.LANCZOS, box=box)

    def backward(self, number: int) -> Tensor:
        """The known flow from a frame to the one before, 1 x 2 x H x W in px."""
        width, height = self.frame
        now, before = self.window(number), self.window(number - 1)
        flows = []
        for axis, side in ((0, width), (1, height)):
            places = torch.arange(side, dtype=torch.float32) + 0.5
            there = now[axis] + (places - side / 2) * now[2]
            flows.append((there - before[axis]) / before[2] + side / 2 - places)
        return torch.stack(
            (flows[0].expand(height, width), flows[1][:, None].expand(height, width))
        )[None]


def known_flicker(camera: Camera, results: list[Tensor]) -> float:
    """Mean flicker of all results but the first, by the known motion."""

    def one(number: int) -> float:
        backward = camera.backward(number)
        # Nothing hides anything in a still picture: only what comes in from the edge is left out.
        weights = (~disoccluded(-backward, backward)).float()
        moved = warp(results[number - 1], backward)
        return float(flicker(results[number], moved, weights))

    return mean(one(number) for number in range(1, len(results)))


def estimated_flicker(frames: list[Image.Image], results: list[Tensor]) -> float:
    """The same by the flow between the frames, where it is to be trusted."""

    def flow(first: Image.Image, second: Image.Image) -> Tensor:
        return torch.from_numpy(dis_flow(first, second)).permute(2, 0, 1)[None]

    def one(number: int) -> float:
        before, now = frames[number - 1], frames[number]
        backward = flow(now, before)
        weights = consistency(flow(before, now), backward)
        return float(flicker(results[number], warp(results[number - 1], backward), weights))

    return mean(one(number) for number in range(1, len(results)))


def stylized(
    out: Path, name: str, content: str, style: Path, settings: dict[str, object]
) -> tuple[list[Tensor], float]:
    """The results of all frames, and seconds of slots a frame."""
    manifest = out / f"{name}.yaml"
    given = {"output": name, "content": content, "style": str(style), "backbone": "lite"}
    manifest.write_text(yaml.safe_dump({**given, "settings": settings}))
    run_batch_file(manifest, quiet=True)
    made = sorted(records(out / name), key=lambda row: str(row["name"]))
    results = [to_tensor(read_image(Path(row["image"])))[None] for row in made]
    return results, mean(row["seconds"] for row in made)


def main() -> None:
    """Prints both clips' flicker and the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/video"))
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--of", type=int, default=48, help="frames of the whole motion")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    picture = read_image(given.picture)
    height = round(given.size * picture.height / picture.width)
    camera = Camera(picture.size, (given.size, height), given.of)
    folder = given.out / "frames"
    folder.mkdir(parents=True, exist_ok=True)
    frames = [camera.shows(picture, number) for number in range(given.frames)]
    for number, frame in enumerate(frames):
        frame.save(folder / f"{number + 1:04}.png")
    settings: dict[str, object] = {"size": given.size}
    settings |= {key: parse_value(value) for key, value in (s.split("=", 1) for s in given.set)}
    measures: dict[str, Callable[[list[Tensor]], float]] = {
        "known motion": lambda results: known_flicker(camera, results),
        "estimated flow": lambda results: estimated_flicker(frames, results),
    }
    found: dict[str, list[float]] = {}
    for name, content in (("clip", "frames/%04d.png"), ("alone", "frames/*.png")):
        results, seconds = stylized(
            given.out.resolve(), name, content, given.style.resolve(), settings
        )
        found[name] = [measure(results) for measure in measures.values()]
        values = ", ".join(f"{m} {v:.4f}" for m, v in zip(measures, found[name], strict=True))
        print(f"{name}: {values}; {seconds:.1f} s a frame", flush=True)
    ratios = [a / b for a, b in zip(found["clip"], found["alone"], strict=True)]
    print("ratio: " + ", ".join(f"{m} {r:.2f}" for m, r in zip(measures, ratios, strict=True)))


if __name__ == "__main__":
    main()
