"""A content picture as a batch needs it.

In: a path. Out: the picture, what is optimized from it, its digest, its mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image
from torch import Tensor

from pipeline.errors import ImageError
from pipeline.notices import Notice
from pipeline.pictures import (
    Mask,
    canvas_size,
    check_shape,
    fit_image,
    in_shape,
    read_identity,
    to_tensor,
)
from pipeline.plan import Planned
from pipeline.slot.inputs import read_as_planned, read_mask_as_planned


@dataclass(frozen=True)
class Content:
    """A content picture, read.

    Attributes:
        image: in its own colors, upright, sRGB.
        working: what is optimized from and compared with: `image`, or its luminance.
        identity: of the file, what decides how it is read.
        mask: its regions.
        keep: 8-bit gray: what is brighter keeps more of its content.
        alpha: 8-bit; None for a picture without transparency.
        notices: what is to be said of its files.
    """

    image: Image.Image
    working: Image.Image
    identity: str
    mask: Mask | None = None
    keep: Image.Image | None = None
    alpha: Image.Image | None = None
    notices: tuple[Notice, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the file; 64 hex digits."""
        return self.identity[:64]

    @cached_property
    def sample(self) -> Tensor:
        """The picture at 256 px, for its colors' statistics; 3 x h x w."""
        size = canvas_size(*self.image.size, 256, "long")
        return to_tensor(fit_image(self.image, *size))


def read_content(
    path: Path,
    background: str,
    gray: bool,
    mask: Path | None,
    keep: Path | None = None,
    keeps_alpha: bool = False,
    planned: Planned = ("", "", ""),
    levels: bool = False,
) -> Content:
    """Reads a content picture; the arguments are those of `content_key`.

    Raises:
        ImageError: it, or a mask, cannot be read, or changed since the plan; a mask is of another
            shape, or `keep` is all black.
    """
    decoded = read_as_planned(path, planned[0], background)
    image = decoded.straight if keeps_alpha else decoded.image
    working = image.convert("L").convert("RGB") if gray else image
    regions = None
    if mask:
        regions = read_mask_as_planned(mask, planned[1], image.size, path, levels)
    notices = (*decoded.notices, *(regions.notices if regions else ()))
    kept = None
    if keep:
        own = read_as_planned(keep, planned[2])
        check_shape(own.image.size, keep, image.size, path)
        shaped = in_shape(own.image.convert("L"), image.size)
        kept, notices = _checked_keep(shaped, keep), notices + own.notices
    identity = planned[0] or read_identity(path)
    return Content(image, working, identity, regions, kept, decoded.alpha, notices)


def _checked_keep(keep: Image.Image, path: Path) -> Image.Image:
    if keep.getextrema()[1] == 0:
        raise ImageError(
            f"{path}: is black all over, so no content would be kept; paint some white"
        )
    return keep
