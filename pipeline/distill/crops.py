"""The pictures to train on, and crops of them.

In: a folder, a seed, a step. Out: the same crops for the same step, B x 3 x H x W in [0, 1]. A new
way to make crops odd goes into `_augment`. Must not know the networks.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor

from pipeline.distill.recipe import Recipe
from pipeline.errors import ImageError
from pipeline.manifest import Passed, walk
from pipeline.pictures import is_image_name, read_image
from pipeline.terminal import counted

_LONGEST_SIDE = 480
# Pictures to train on, folder by folder.
Folders = Sequence[Sequence[Path]]


def find_pictures(folder: Path) -> list[Path]:
    """All picture files below `folder`, sorted.

    Raises:
        ImageError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder}: no such folder; name a folder of pictures to train on")
    found = (folder / below for below in walk(folder, None, Passed()))
    pictures = sorted(path for path in found if is_image_name(path))
    if len(pictures) < 2:
        raise ImageError(
            f"{folder}: {counted(len(pictures), 'picture')} found, at least 2 are needed (one is "
            f"held out); put JPEG or PNG files there"
        )
    return pictures


def split_pictures(pictures: Sequence[Path], seed: int) -> tuple[list[Path], list[Path]]:
    """(training, held out): about a thirtieth, 1 to 48 pictures, is held out by a seeded draw."""
    order = list(pictures)
    random.Random(seed).shuffle(order)
    held_out = min(48, max(1, len(order) // 30))
    return order[held_out:], order[:held_out]


@lru_cache(maxsize=2048)
def _pixels(path: Path) -> Tensor:
    """The picture as uint8 3 x H x W, its long side at most `_LONGEST_SIDE`."""
    image = read_image(path)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def whole_picture(path: Path) -> Tensor:
    """The picture, its long side at most 480 px, 1 x 3 x H x W in [0, 1]."""
    return _pixels(path).float()[None] / 255


def _crop(path: Path, side: int, draw: random.Random) -> Tensor:
    """A random crop at a random scale, perhaps mirrored, 3 x side x side in [0, 1]."""
    pixels = _pixels(path)
    shortest = min(pixels.shape[1:])
    span = max(8, round(min(shortest, side * draw.uniform(0.7, 2.2))))
    top, left = (draw.randint(0, n - span) for n in pixels.shape[1:])
    cut = pixels[:, top : top + span, left : left + span].float()[None] / 255
    cut = F.interpolate(cut, (side, side), mode="bilinear", antialias=True)[0]
    return cut.flip(2) if draw.random() < 0.5 else cut


def _augment(crop: Tensor, other: Tensor, draw: random.Random, noise: torch.Generator) -> Tensor:
    """Makes some crops odd, since optimization passes through odd pictures: recolored, mixed,
    noisy, posterized or turned on their side."""
    if draw.random() < 0.3:  # recolor: a gamma and a gain for each channel, perhaps swapped
        gains = torch.tensor([draw.uniform(0.5, 1.4) for _ in range(3)])[:, None, None]
        gammas = torch.tensor([draw.uniform(0.6, 1.8) for _ in range(3)])[:, None, None]
        crop = (crop.clamp_min(1e-3) ** gammas * gains)[draw.sample(range(3), 3)]
    if draw.random() < 0.15:  # a picture over another
        crop = crop.lerp(other, draw.uniform(0.2, 0.6))
    if draw.random() < 0.2:  # stronger contrast and color than photographs have
        crop = (crop - 0.5) * draw.uniform(1.2, 2.5) + 0.5
    if draw.random() < 0.25:
        grain = torch.randn(crop.shape, generator=noise)
        coarse = draw.choice((1, 1, 2, 4))
        grain = F.avg_pool2d(grain[None], coarse, ceil_mode=True)
        grain = F.interpolate(grain, crop.shape[1:], mode="nearest")[0] * coarse
        crop = crop + grain * draw.uniform(0.02, 0.25)
    if draw.random() < 0.1:
        levels = draw.choice((2, 3, 5))
        crop = (crop * levels).round() / levels
    if draw.random() < 0.25:
        crop = crop.transpose(1, 2)
    return crop.clamp(0, 1)


def draw_crops(folders: Folders, recipe: Recipe, step: int, count: int) -> Tensor:
    """Fresh crops, count x 3 x crop x crop; the same for the same step.

    Each folder is drawn from as often as any other, whatever the number of its pictures.
    """
    draw = random.Random(f"{recipe.seed}/{step}")
    noise = torch.Generator().manual_seed(draw.getrandbits(60))

    def crop() -> Tensor:
        return _crop(draw.choice(draw.choice(folders)), recipe.crop, draw)

    crops = [crop() for _ in range(count + 1)]
    return torch.stack([_augment(*pair, draw, noise) for pair in itertools.pairwise(crops)])
