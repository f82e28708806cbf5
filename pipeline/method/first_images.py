"""The pictures that the optimization begins with.

In: settings, content and style pictures as tensors. Out: B x 3 x H x W in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method.losses.guides import Regions
from pipeline.pictures import move_to_styles


@dataclass(frozen=True)
class Styles:
    """A job's style pictures, for beginnings that need their colors.

    Attributes:
        pictures: 3 x h x w each.
        weights: of each in the blend; they sum to 1.
    """

    pictures: Sequence[Tensor]
    weights: Sequence[float]


def noise_like(shape: Sequence[int], seed: int, deviation: float) -> Tensor:
    """Normal noise, drawn on the CPU so that it is the same on every device; 3 x H x W."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) * deviation


# What begins with the content picture.
_CONTENTS = ("content", "content_matched")
# ImageNet's mean color in RGB, and the noise that neural-style begins with, on its scale of 255.
_MEAN_COLOR = (123.68, 116.779, 103.939)


def _first_image(
    settings: Settings, content: Tensor, styles: Styles | None, file: Tensor | None
) -> Tensor:
    """What `init` stands for, 3 x H x W; see the setting's help."""
    if file is not None:
        return file
    shape, seed = content.shape, settings.seed
    if settings.init in _CONTENTS:
        return content
    if settings.init == "gray":
        return torch.full(shape, 0.5)
    if settings.init == "mean":
        color = torch.tensor(_MEAN_COLOR).view(3, 1, 1) / 255
        return color + noise_like(shape, seed, 0.001 / 255)
    if settings.init == "uniform":
        return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    if settings.init == "style_noise":
        assert styles is not None  # whoever calls gives them where they are needed
        pixels = torch.cat([style.flatten(1) for style in styles.pictures], 1)
        mean, deviation = pixels.mean(1).view(3, 1, 1), pixels.std(1).view(3, 1, 1)
        return noise_like(shape, seed, 1.0) * deviation + mean
    return noise_like(shape, seed, 0.25) + 0.5


def _moved(content: Tensor, picture: Tensor, styles: Styles | None) -> Tensor:
    """A picture's colors, moved as the content's are to the style's."""
    assert styles is not None
    return move_to_styles(content, styles.pictures, styles.weights)(picture)


def contents_as_begun(
    jobs: Sequence[Settings],
    contents: Tensor,
    before: Tensor,
    styles: Sequence[Styles | None],
    regions: Regions | None = None,
) -> Tensor:
    """The content pictures in the colors in which jobs begin with them, B x 3 x H x W: of those
    with `content_matched` the style's, but for regions that have none.

    Args:
        contents: in their own colors.
        before: the same at the size by which colors are moved.
        styles: each job's; empty where none needs them.
        regions: at the size of `contents`.
    """
    if all(settings.init != "content_matched" for settings in jobs):
        return contents
    moved = [
        _moved(small.cpu(), content.cpu(), own) if job.init == "content_matched" else content.cpu()
        for job, content, small, own in zip(jobs, contents, before, styles, strict=True)
    ]
    together = torch.stack(moved).to(contents.device)
    if regions is None:
        return together
    styled = regions.guides * (regions.shares > 0)[..., None, None]
    return contents.lerp(together, styled.sum(1, keepdim=True).clamp(0, 1))


def first_images(
    jobs: Sequence[Settings],
    contents: Tensor,
    pictures: Mapping[str, Tensor],
    styles: Sequence[Styles | None] = (),
    regions: Regions | None = None,
) -> Tensor:
    """Where the optimization starts, B x 3 x H x W in [0, 1].

    x = (1 - k) x_0 + k n, with `init`'s picture x_0, `init_noise` k and normal noise n of mean 0.5
    and deviation 0.25.

    Args:
        contents: the content pictures at the first scale.
        pictures: per job `init` file the picture at the first scale, 3 x H x W.
        styles: each job's; needed where `init` is `style_noise` or `content_matched`.
        regions: at the first scale.
    """
    contents = contents_as_begun(jobs, contents, contents, styles, regions)
    # They need not leave the device, which waits for what does.
    if all(s.init in _CONTENTS and not s.init_noise for s in jobs):
        return contents.clamp(0, 1)
    images = []
    for index, (settings, content) in enumerate(zip(jobs, contents.cpu(), strict=True)):
        own = styles[index] if styles else None
        image = _first_image(settings, content, own, pictures.get(settings.init))
        if settings.init_noise:
            noise = noise_like(content.shape, settings.seed + 1, 0.25) + 0.5
            image = image.lerp(noise, settings.init_noise)
        images.append(image.clamp(0, 1))
    return torch.stack(images).to(contents.device)
