"""Pictures and masks <-> tensors.

In: 8-bit pictures, or float tensors. Out: float32 tensors 3 x H x W in [0, 1], or whole numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.pictures.fit import fit_image
from pipeline.pictures.masks import Mask


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as float32, 3 x H x W, in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255)


def to_levels(pixels: Tensor, depth: int = 8) -> np.ndarray[Any, Any]:
    """A float tensor 3 x H x W in [0, 1] as H x W x 3 whole numbers of 8 or 16 bits; values outside
    are clipped."""
    top, kind = (255, np.uint8) if depth == 8 else (65535, np.uint16)
    levels = pixels.detach().double().clamp(0, 1).mul(top).round()
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy().astype(kind))


def to_image(pixels: Tensor) -> Image.Image:
    """A float tensor 3 x H x W in [0, 1] as an 8-bit RGB picture; values outside are clipped."""
    return Image.fromarray(to_levels(pixels), "RGB")


def share_levels(image: Image.Image, width: int, height: int, stretch: bool = False) -> Tensor:
    """A gray picture, fitted as its picture is, as 8 bits, height x width."""
    # BOX does not ring: shares stay within [0, 1], and those of a mask's regions sum to 1.
    fitted = fit_image(image, width, height, stretch, Image.Resampling.BOX)
    return torch.from_numpy(np.array(fitted))


def shares_of(image: Image.Image, width: int, height: int, stretch: bool = False) -> Tensor:
    """The same as float32 in [0, 1]."""
    return share_levels(image, width, height, stretch).float() / 255


def guide_levels(mask: Mask, width: int, height: int, stretch: bool = False) -> Tensor:
    """A mask's guidance channels, fitted as the picture is, as 8 bits, R x height x width."""
    regions = mask.regions.values()
    return torch.stack([share_levels(image, width, height, stretch) for image in regions])


def guides_of(mask: Mask, width: int, height: int, stretch: bool = False) -> Tensor:
    """The same as float32 in [0, 1]."""
    return guide_levels(mask, width, height, stretch).float() / 255
