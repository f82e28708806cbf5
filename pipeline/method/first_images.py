"""The pictures that the optimization begins with.

In: settings, content and style pictures as tensors. Out: B x 3 x H x W in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipeline.manifest import Settings


def noise_like(shape: Sequence[int], seed: int, deviation: float) -> Tensor:
    """Normal noise, drawn on the CPU so that it is the same on every device; 3 x H x W."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator) * deviation


# ImageNet's mean color in RGB, and the noise that neural-style begins with, on its scale of 255.
_MEAN_COLOR = (123.68, 116.779, 103.939)


def _first_image(
    settings: Settings, content: Tensor, styles: Sequence[Tensor], file: Tensor | None
) -> Tensor:
    """What `init` stands for, 3 x H x W; see the setting's help."""
    if file is not None:
        return file
    shape, seed = content.shape, settings.seed
    if settings.init == "content":
        return content
    if settings.init == "gray":
        return torch.full(shape, 0.5)
    if settings.init == "mean":
        color = torch.tensor(_MEAN_COLOR).view(3, 1, 1) / 255
        return color + noise_like(shape, seed, 0.001 / 255)
    if settings.init == "uniform":
        return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    if settings.init == "style_noise":
        pixels = torch.cat([style.flatten(1) for style in styles], 1)
        mean, deviation = pixels.mean(1).view(3, 1, 1), pixels.std(1).view(3, 1, 1)
        return noise_like(shape, seed, 1.0) * deviation + mean
    return noise_like(shape, seed, 0.25) + 0.5


def first_images(
    jobs: Sequence[Settings],
    contents: Tensor,
    pictures: Mapping[str, Tensor],
    styles: Sequence[Sequence[Tensor]] = (),
) -> Tensor:
    """Where the optimization starts, B x 3 x H x W in [0, 1].

    x = (1 - k) x_0 + k n, with `init`'s picture x_0, `init_noise` k and normal noise n of mean 0.5
    and deviation 0.25.

    Args:
        contents: the content pictures at the first scale.
        pictures: per job `init` file the picture at the first scale, 3 x H x W.
        styles: per job its style pictures, 3 x h x w; needed where `init` is `style_noise`.
    """
    images = []
    for index, (settings, content) in enumerate(zip(jobs, contents.cpu(), strict=True)):
        own = styles[index] if styles else ()
        image = _first_image(settings, content, own, pictures.get(settings.init))
        if settings.init_noise:
            noise = noise_like(content.shape, settings.seed + 1, 0.25) + 0.5
            image = image.lerp(noise, settings.init_noise)
        images.append(image.clamp(0, 1))
    return torch.stack(images).to(contents.device)
