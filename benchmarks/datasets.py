"""A data set stylized, then read by what trains on it: labels right, a network trained on it.

    python benchmarks/datasets.py

Makes a tree as ImageNet's, `{split}/{class}/*.JPEG` of every size, stylizes it as files, as tar
shards and as Parquet tables, and the shards once more from a tree that was packed before. Reads the
files by `torchvision.datasets.ImageFolder`, the shards by `webdataset` (a package of its own), the
tables by pyarrow, and compares each label with the tree's. Then trains torchvision's ResNet-18 for
an epoch on the stylized files: a smoke test, which the loss passes by falling.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import cross_entropy
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18

from pipeline.commands import Options, batch_manifest

CLASSES = ("n01440764", "n01443537", "n01484850", "n01491361")


def make_tree(folder: Path, each: int, largest: int) -> int:
    """JPEGs of sides from 40 to `largest` px, a color a class; how many."""
    draw, count = np.random.default_rng(0), 0
    for split, share in (("train", each), ("val", max(1, each // 4))):
        for number, name in enumerate(CLASSES):
            place = folder / split / name
            place.mkdir(parents=True)
            for index in range(share):
                width, height = (int(side) for side in draw.integers(40, largest, 2))
                noise = draw.integers(0, 120, (6, 6, 3), dtype=np.uint8)
                noise[..., number % 3] += 60 + 50 * (number // 3)
                picture = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
                picture.save(place / f"{name}_{index}.JPEG", "JPEG")
                count += 1
    return count


def make_shard(tree: Path, path: Path) -> None:
    """The same as a tar shard for each split, with `cls`."""
    path.mkdir()
    for split in ("train", "val"):
        with tarfile.open(path / f"{split}-000000.tar", "w") as tar:
            for file in sorted((tree / split).rglob("*.JPEG")):
                label = str(CLASSES.index(file.parent.name)).encode()
                for suffix, data in (("jpg", file.read_bytes()), ("cls", label)):
                    info = tarfile.TarInfo(f"{file.stem}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))


def stylize(folder: Path, output: str, content: str, form: str, size: int, devices: str) -> Path:
    """Runs it; the run folder."""
    (folder / f"{output}.yaml").write_text(
        f"output: {{path: {output}, format: {form}, shard_size: 20}}\ncontent: {content}\n"
        "style: style.png\nbackbone: lite\n"
        f"settings: {{preset: fast, size: {size}, steps: 10, format: jpg, fit: short, "
        "size_step: 16, color: preserve_luminance}\n"
    )
    options = Options(devices, folder / "cache")
    if batch_manifest(folder / f"{output}.yaml", options, quiet=True, with_report=False):
        raise SystemExit(f"{output}: some jobs failed")
    return folder / output


def labels_of_files(run: Path) -> Iterator[tuple[str, str]]:
    """Name and class of each picture, as ImageFolder has them."""
    for split in ("train", "val"):
        found = ImageFolder(str(run / "images" / split))
        yield from ((Path(path).name, found.classes[label]) for path, label in found.samples)


def labels_of_tars(run: Path, classes: list[str]) -> Iterator[tuple[str, str]]:
    """The same, as webdataset has them."""
    import webdataset

    urls = sorted(str(path) for path in (run / "shards").glob("*.tar"))
    for sample in webdataset.WebDataset(urls, shardshuffle=False).decode("pil"):
        if min(sample["jpg"].size) < 16:
            raise SystemExit(f"{sample['__key__']}: no picture")
        yield sample["__key__"].rpartition("/")[2], classes[sample["cls"]]


def labels_of_tables(run: Path) -> Iterator[tuple[str, str]]:
    """The same, from the tables' columns."""
    import pyarrow.parquet as pq

    for path in sorted((run / "shards").glob("*.parquet")):
        table = pq.read_table(path)
        names = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["label"]
        for row in table.select(["name", "label"]).to_pylist():
            yield row["name"].rpartition("/")[2], names["names"][row["label"]]


def wrong(labels: Iterator[tuple[str, str]], count: int) -> int:
    """How many labels are wrong or missing; a picture's name begins with its class."""
    found = list(labels)
    return abs(len(found) - count) + sum(not name.startswith(label) for name, label in found)


def train(run: Path, size: int) -> tuple[float, float]:
    """Mean loss over the training pictures before an epoch and after it."""
    torch.manual_seed(0)
    turn = transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor()])
    found = ImageFolder(str(run / "images/train"), turn)
    loader = torch.utils.data.DataLoader(found, batch_size=8, shuffle=True)
    network = resnet18(num_classes=len(found.classes)).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-4)

    def mean_loss() -> float:
        with torch.no_grad():
            losses = [cross_entropy(network(shown), labels).item() for shown, labels in loader]
        return float(np.mean(losses))

    before = mean_loss()
    for shown, labels in loader:
        optimizer.zero_grad()
        cross_entropy(network(shown), labels).backward()
        optimizer.step()
    return before, mean_loss()


def measure(folder: Path, each: int, largest: int, size: int, devices: str) -> dict[str, float]:
    """All figures: pictures, wrong labels by reader, the network's losses, seconds."""
    began = time.monotonic()
    count = make_tree(folder / "imagenet", each, largest)
    make_shard(folder / "imagenet", folder / "packed")
    noise = np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((128, 128), Image.Resampling.BICUBIC).save(folder / "style.png")
    files = stylize(folder, "files", "imagenet", "files", size, devices)
    tars = stylize(folder, "tars", "imagenet", "webdataset", size, devices)
    tables = stylize(folder, "tables", "imagenet", "parquet", size, devices)
    again = stylize(folder, "again", "'packed/*.tar'", "webdataset", size, devices)
    classes = json.loads((tars / "shards/classes.json").read_text())
    first, last = train(files, size)
    return {
        "pictures": count,
        "wrong, ImageFolder": wrong(labels_of_files(files), count),
        "wrong, webdataset": wrong(labels_of_tars(tars, classes), count),
        "wrong, tables": wrong(labels_of_tables(tables), count),
        "wrong, shards from shards": wrong(labels_of_tars(again, list(CLASSES)), count),
        "ResNet-18's loss, before": first,
        "ResNet-18's loss, after an epoch": last,
        "seconds": time.monotonic() - began,
    }


def main() -> None:
    """Prints the figures; ends with 1 where a label is wrong or the loss did not fall."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--each", type=int, default=24, help="training pictures of a class")
    parser.add_argument("--largest", type=int, default=500, help="longest side, px")
    parser.add_argument("--size", type=int, default=64, help="canvas, px")
    parser.add_argument("--devices", default="auto")
    parser.add_argument("--keep", type=Path, help="folder for all of it, kept")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found = measure(folder, given.each, given.largest, given.size, given.devices)
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    for name, value in found.items():
        print(f"{name:32} {value:10.4g}")
    bad = any(value for name, value in found.items() if name.startswith("wrong"))
    fell = found["ResNet-18's loss, after an epoch"] < found["ResNet-18's loss, before"]
    raise SystemExit(int(bad or not fell))


if __name__ == "__main__":
    main()
