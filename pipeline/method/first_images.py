"""The pictures that the optimization begins with.

In: settings, content and style pictures as tensors. Out: B x 3 x H x W in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method.losses.guides import Regions
from pipeline.method.moving import moved
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


# What `init` is called where it is the content picture.
_CONTENTS = ("content", "content_matched")
_GRAY = 0.5
# ImageNet's mean color in RGB, and the noise that neural-style begins with, on its scale of 255.
_MEAN_COLOR = (123.68, 116.779, 103.939)


# Noise of a seed and a deviation.
_Noise = Callable[[int, float], Tensor]


def _first_image(
    settings: Settings, shape: torch.Size, styles: Styles | None, noise: _Noise
) -> Tensor:
    """What `init` stands for where that is neither the content nor a file, 3 x H x W on the CPU;
    see the setting's help."""
    seed = settings.seed
    if settings.init == "gray":
        return torch.full(shape, _GRAY)
    if settings.init == "mean":
        color = torch.tensor(_MEAN_COLOR).view(3, 1, 1) / 255
        return color + noise(seed, 0.001 / 255)
    if settings.init == "uniform":
        return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    if settings.init == "style_noise":
        assert styles is not None  # whoever calls gives them where they are needed
        pixels = torch.cat([style.flatten(1) for style in styles.pictures], 1)
        mean, deviation = pixels.mean(1).view(3, 1, 1), pixels.std(1).view(3, 1, 1)
        return noise(seed, 1.0) * deviation + mean
    return noise(seed, 0.25) + 0.5


def _matched(content: Tensor, picture: Tensor, styles: Styles | None) -> Tensor:
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
    together = contents.clone(memory_format=torch.contiguous_format)
    for index, (job, own) in enumerate(zip(jobs, styles, strict=True)):
        if job.init == "content_matched":
            picture = _matched(before[index].cpu(), contents[index].cpu(), own)
            together[index] = moved(picture, contents.device)
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
    """Where the optimization starts, B x 3 x H x W in [0, 1], on the contents' device.

    x = (1 - k) x_0 + k n, with `init`'s picture x_0, `init_noise` k and normal noise n of mean 0.5
    and deviation 0.25. What is drawn is drawn on the CPU, so that it is the same for any device;
    contents stay where they are.

    Args:
        contents: the content pictures at the first scale.
        pictures: per job `init` file the picture at the first scale, 3 x H x W.
        styles: each job's; needed where `init` is `style_noise` or `content_matched`.
        regions: at the first scale.
    """
    images = contents_as_begun(jobs, contents, contents, styles, regions).clone()
    noise = cache(partial(noise_like, contents.shape[1:]))  # grids share seeds
    for index, (settings, image) in enumerate(zip(jobs, images.unbind(), strict=True)):
        file, own = pictures.get(settings.init), styles[index] if styles else None
        _begin(image, settings, file, own, noise)
    return images.clamp_(0, 1)


def _begin(
    image: Tensor, settings: Settings, file: Tensor | None, styles: Styles | None, noise: _Noise
) -> None:
    """Makes of a content picture, 3 x H x W on the device, what a job begins with."""
    share = settings.init_noise
    mixed = noise(settings.seed + 1, 0.25) + 0.5 if share else None
    if settings.init in _CONTENTS:
        if mixed is not None:
            image.lerp_(moved(mixed, image.device), share)
    elif settings.init == "gray" and mixed is None:
        image.fill_(_GRAY)
    else:
        own = _first_image(settings, image.shape, styles, noise) if file is None else file
        image.copy_(moved(own if mixed is None else own.lerp(mixed, share), image.device))
