"""Where a mask leaves a picture as it is, and the soft edge around that.

In: a mask's regions and which of them are stylized. Out: of each pixel how much is.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageChops
from torch import Tensor
from torch.nn import functional

from pipeline.pictures import Mask, shares_of


def styled_share(
    mask: Mask | None, shares: Sequence[float], width: int, height: int, stretch: bool
) -> Tensor | None:
    """How much of each pixel is stylized, height x width in [0, 1]; None where all of it is.

    Args:
        shares: of the style loss for each region; 0 for one that no style is for.
        stretch: how the picture is fitted.
    """
    if mask is None:
        return None
    regions = zip(mask.regions.values(), shares, strict=True)
    left = [image for image, share in regions if share == 0]
    if not left:
        return None
    whole = left[0]
    for other in left[1:]:
        whole = ImageChops.add(whole, other)
    # Added up in whole numbers before they are scaled, so that 0 is 0 exactly.
    return 1 - shares_of(whole, width, height, stretch)


def soft_edge(styled: Tensor, width: int) -> Tensor:
    """The share that rises from what is left as it is into what is stylized.

    0 stays 0; so many px further in and beyond it is what it was.

    Args:
        styled: height x width in [0, 1].
        width: of the edge in px.
    """
    inside = styled[None, None]
    total = inside.clone()
    for _ in range(width):
        inside = -functional.max_pool2d(-inside, 3, stride=1, padding=1)
        total += inside
    return (total / (width + 1))[0, 0]
