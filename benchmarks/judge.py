"""The one judge of pictures: VGG-19's original weights, whatever network made them.

All figures are made at one size, average pooling, zero padding; lower is better, and none is the
last word: the eye's is. Pictures are judged as files or tensors; `python benchmarks/judge.py
--content photo.jpg --style painting.jpg picture.png ...` prints the figures of each.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from pipeline.method import Backbone, gram, load_weights
from pipeline.pictures import canvas_size, fit_image, read_image, to_image, to_tensor

SIDE_PX = 384  # the longer side at which pictures are judged
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
# Where no style loss looks.
SLICED_LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_4")
CONTENT_LAYER = "conv4_2"
_DIRECTIONS, _QUANTILES = 64, 256


@dataclass(frozen=True)
class Figures:
    """How far a picture is from its style and its content.

    Attributes:
        style: mean over `STYLE_LAYERS` of ||G - A||_F / ||A||_F, Gram matrices per position.
        sliced: mean over `SLICED_LAYERS` of the sliced Wasserstein distance: features projected on
            64 fixed unit directions, 256 quantiles each, the root of their mean squared difference
            over the root of the style's mean square.
        content: ||F - P||^2 / ||P||^2 at `CONTENT_LAYER`.
    """

    style: float
    sliced: float
    content: float

    def over(self, other: Figures) -> Figures:
        """The ratios of both."""
        return Figures(
            self.style / other.style, self.sliced / other.sliced, self.content / other.content
        )


def medians(figures: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    names = ("style", "sliced", "content")
    return Figures(*(median(getattr(f, name) for f in figures) for name in names))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie, linear between two."""
    return float(torch.tensor(values, dtype=torch.float64).quantile(share))


class Judge:
    """VGG-19 with Caffe's weights, as the paper had it, and what it says of pictures.

    Raises:
        WeightsError: the weights are not there; the message says how to have them.
    """

    def __init__(self, side: int = SIDE_PX) -> None:
        self.side = side
        layers = (*STYLE_LAYERS, *SLICED_LAYERS, CONTENT_LAYER)
        weights = load_weights("vgg19", "caffe")
        self.network = Backbone(weights, layers, pooling="avg", padding="zeros")
        self._known = lru_cache(maxsize=64)(self._features_of)

    def score(self, picture: Path | Tensor, content: Path, style: Path) -> Figures:
        """The figures of a picture made of `content` and `style`.

        Args:
            picture: a file, or 3 x H x W in [0, 1].
        """
        pixels = to_image(picture) if isinstance(picture, Tensor) else read_image(picture)
        size = canvas_size(*pixels.size, self.side, "long")
        found = self._features(to_tensor(fit_image(pixels, *size)))
        kept, wanted = self._known(content, size), self._known(style, None)
        return Figures(
            style_error(found, wanted), sliced_distance(found, wanted), content_error(found, kept)
        )

    def _features_of(self, path: Path, size: tuple[int, int] | None) -> dict[str, Tensor]:
        image = read_image(path)
        return self._features(
            to_tensor(fit_image(image, *(size or canvas_size(*image.size, self.side, "long"))))
        )

    @torch.no_grad()
    def _features(self, image: Tensor) -> dict[str, Tensor]:
        return {layer: found[0] for layer, found in self.network(image[None]).items()}


def style_error(found: Mapping[str, Tensor], style: Mapping[str, Tensor]) -> float:
    """See `Figures.style`; features C x h x w a layer."""
    total = 0.0
    for layer in STYLE_LAYERS:
        ours, wanted = gram(found[layer][None])[0], gram(style[layer][None])[0]
        total += float((ours - wanted).norm() / wanted.norm())
    return total / len(STYLE_LAYERS)


def sliced_distance(found: Mapping[str, Tensor], style: Mapping[str, Tensor]) -> float:
    """See `Figures.sliced`; features C x h x w a layer."""
    total = 0.0
    for layer in SLICED_LAYERS:
        directions = _directions(found[layer].shape[0])
        ours, wanted = (_quantiles(directions @ f.flatten(1)) for f in (found[layer], style[layer]))
        apart = (ours - wanted).square().mean().sqrt()
        total += float(apart / wanted.square().mean().sqrt())
    return total / len(SLICED_LAYERS)


def content_error(found: Mapping[str, Tensor], content: Mapping[str, Tensor]) -> float:
    """See `Figures.content`; features C x h x w a layer."""
    ours, kept = found[CONTENT_LAYER], content[CONTENT_LAYER]
    return float((ours - kept).square().sum() / kept.square().sum())


def _directions(channels: int) -> Tensor:
    draw = torch.Generator().manual_seed(channels)
    directions = torch.randn(_DIRECTIONS, channels, generator=draw)
    return directions / directions.norm(dim=1, keepdim=True)


def _quantiles(projected: Tensor) -> Tensor:
    shares = (torch.arange(_QUANTILES) + 0.5) / _QUANTILES
    ordered = projected.sort(1).values
    places = shares * ordered.shape[1] - 0.5
    low = places.floor().clamp(0, ordered.shape[1] - 1).long()
    high = (low + 1).clamp(max=ordered.shape[1] - 1)
    return ordered[:, low].lerp(ordered[:, high], (places - low).clamp(0, 1))


def main() -> None:
    """Prints the figures of some pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("pictures", type=Path, nargs="+")
    given = parser.parse_args()
    judge = Judge()
    for picture in given.pictures:
        found = judge.score(picture, given.content, given.style)
        print(f"{picture}: style {found.style:.3f} sliced {found.sliced:.3f} "
              f"content {found.content:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
