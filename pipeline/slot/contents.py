"""A content picture as a batch needs it.

In: a path. Out: the picture, what is optimized from it, its digest, its mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image
from torch import Tensor

from pipeline.pictures import (
    Mask,
    canvas_size,
    file_sha256,
    fit_image,
    read_image,
    read_mask,
    to_tensor,
)


@dataclass(frozen=True)
class Content:
    """A content picture, read.

    Attributes:
        image: in its own colors, upright, sRGB.
        working: what is optimized from and compared with: `image`, or its luminance.
        sha256: of the file.
    """

    image: Image.Image
    working: Image.Image
    sha256: str
    mask: Mask | None = None

    @cached_property
    def sample(self) -> Tensor:
        """The picture at 256 px, for its colors' statistics; 3 x h x w."""
        size = canvas_size(*self.image.size, 256, "long")
        return to_tensor(fit_image(self.image, *size))


def read_content(path: Path, background: str, gray: bool, mask: Path | None) -> Content:
    """Reads a content picture; the arguments are those of `content_key`.

    Raises:
        ImageError: it, or its mask, cannot be read.
    """
    image = read_image(path, background)
    working = image.convert("L").convert("RGB") if gray else image
    return Content(image, working, file_sha256(path), read_mask(mask) if mask else None)
