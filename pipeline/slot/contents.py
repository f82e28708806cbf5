"""A content picture as a batch needs it.

In: a path. Out: the picture, what is optimized from it, its digest, its mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.errors import ImageError
from pipeline.notices import Notice
from pipeline.pictures import (
    Mask,
    canvas_size,
    check_shape,
    fit_image,
    guide_levels,
    in_shape,
    read_identity,
    share_levels,
    to_tensor,
)
from pipeline.plan import Planned
from pipeline.slot.inputs import read_as_planned, read_mask_as_planned

_SAMPLE_PX = 256


@dataclass(frozen=True)
class Content:
    """A content picture, read. No more of its pixels are kept than the batch asks for: a camera's
    picture takes 50 MB, and a batch may have many.

    Attributes:
        image: in its own colors, upright, sRGB; at the largest of the sizes it was read for, or
            whole without any.
        working: what is optimized from and compared with: `image`, or its luminance.
        identity: of the file, what decides how it is read.
        mask: its regions.
        keep: 8-bit gray: what is brighter keeps more of its content.
        alpha: 8-bit; None for a picture without transparency, and where nobody asks for it.
        notices: what is to be said of its files.
        size: width and height in px of the picture in the file.
        levels: by width and height, `working` at the sizes it was read for, 8-bit h x w x 3.
        guides, shares: likewise guidance channels of `mask`, 8-bit R x h x w, and `keep`, 8-bit
            h x w; empty without these.
        colors: what `sample` gives, if it was asked for.
    """

    image: Image.Image
    working: Image.Image
    identity: str
    mask: Mask | None = None
    keep: Image.Image | None = None
    alpha: Image.Image | None = None
    notices: tuple[Notice, ...] = ()
    size: tuple[int, int] = (0, 0)
    levels: Mapping[tuple[int, int], Tensor] = field(default_factory=dict)
    guides: Mapping[tuple[int, int], Tensor] = field(default_factory=dict)
    shares: Mapping[tuple[int, int], Tensor] = field(default_factory=dict)
    colors: Tensor | None = None

    @property
    def sha256(self) -> str:
        """Of the file; 64 hex digits."""
        return self.identity[:64]

    @cached_property
    def sample(self) -> Tensor:
        """The picture at 256 px, for its colors' statistics; 3 x h x w."""
        return _sample(self.image) if self.colors is None else self.colors

    def level(self, width: int, height: int, stretch: bool) -> Tensor:
        """`working` at a size, 8-bit height x width x 3."""
        found = self.levels.get((width, height))
        return _level(self.working, (width, height), stretch) if found is None else found

    def guides_at(self, width: int, height: int, stretch: bool) -> Tensor | None:
        """Guidance channels of `mask` at a size, 8-bit R x height x width; None without a mask."""
        if self.mask is None:
            return None
        found = self.guides.get((width, height))
        return guide_levels(self.mask, width, height, stretch) if found is None else found

    def shares_at(self, width: int, height: int, stretch: bool) -> Tensor | None:
        """`keep` at a size, 8-bit height x width; None without it."""
        if self.keep is None:
            return None
        found = self.shares.get((width, height))
        return share_levels(self.keep, width, height, stretch) if found is None else found


def _sample(image: Image.Image) -> Tensor:
    return to_tensor(fit_image(image, *canvas_size(*image.size, _SAMPLE_PX, "long")))


def _level(image: Image.Image, size: tuple[int, int], stretch: bool) -> Tensor:
    return torch.from_numpy(np.array(fit_image(image, *size, stretch)))


def read_content(
    path: Path,
    background: str,
    gray: bool,
    mask: Path | None,
    keep: Path | None = None,
    keeps_alpha: bool = False,
    planned: Planned = ("", "", ""),
    sizes: Sequence[tuple[int, int]] = (),
    stretch: bool = False,
    sampled: bool = False,
    reduced: bool = False,
    levels: bool = False,
) -> Content:
    """Reads a content picture and makes it as large as it is wanted, once, in whatever thread that
    is; the arguments are those of `ContentKey`.

    Raises:
        ImageError: it, or a mask, cannot be read, or changed since the plan; a mask is of another
            shape, or `keep` is all black.
    """
    wanted = _wanted(sizes, sampled) if reduced and sizes else None
    decoded = read_as_planned(path, planned[0], background, wanted)
    image = decoded.straight if keeps_alpha else decoded.image
    regions = None
    if mask:
        regions = read_mask_as_planned(
            mask, planned[1], decoded.size, path, levels, decoded.image.size
        )
    notices = (*decoded.notices, *(regions.notices if regions else ()))
    kept = None
    if keep:
        own = read_as_planned(keep, planned[2])
        check_shape(own.image.size, keep, decoded.size, path)
        shaped = in_shape(own.image.convert("L"), decoded.image.size)
        kept, notices = _checked_keep(shaped, keep), notices + own.notices
    identity = planned[0] or read_identity(path)
    alpha = decoded.alpha if keeps_alpha else None
    return _fitted(
        Content(image, image, identity, regions, kept, alpha, notices, decoded.size),
        gray, sizes, stretch, sampled,
    )  # fmt: skip


def _wanted(sizes: Sequence[tuple[int, int]], sampled: bool) -> tuple[int, int]:
    """The width and height that all that is made of a picture stays within."""
    least = _SAMPLE_PX if sampled else 0
    width, height = (max(side) for side in zip(*sizes, strict=True))
    return max(width, least), max(height, least)


def _fitted(
    content: Content, gray: bool, sizes: Sequence[tuple[int, int]], stretch: bool, sampled: bool
) -> Content:
    """A picture at its sizes instead of the whole one."""
    image = content.image
    working = image.convert("L").convert("RGB") if gray else image
    if not sizes:
        return replace(content, working=working)
    fitted = {size: fit_image(working, *size, stretch) for size in dict.fromkeys(sizes)}
    levels = {size: torch.from_numpy(np.array(each)) for size, each in fitted.items()}
    guides = {size: content.guides_at(*size, stretch) for size in fitted}
    shares = {size: content.shares_at(*size, stretch) for size in fitted}
    largest = fitted[sizes[-1]]
    return replace(
        content,
        image=fit_image(image, *sizes[-1], stretch) if gray else largest,
        working=largest,
        levels=levels,
        guides={size: each for size, each in guides.items() if each is not None},
        shares={size: each for size, each in shares.items() if each is not None},
        colors=_sample(image) if sampled else None,
    )


def _checked_keep(keep: Image.Image, path: Path) -> Image.Image:
    if keep.getextrema()[1] == 0:
        raise ImageError(
            f"{path}: is black all over, so no content would be kept; paint some white"
        )
    return keep
