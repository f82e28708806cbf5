"""Pictures scaled and cropped to a size.

In: pictures. Out: the same, fitted. Must not load torch.
"""

from __future__ import annotations

from PIL import (
    Image,
    ImageOps,
)


def fit_image(
    image: Image.Image,
    width: int,
    height: int,
    stretch: bool = False,
    resampling: Image.Resampling = Image.Resampling.LANCZOS,
) -> Image.Image:
    """Resizes to exactly `width` x `height`.

    Args:
        stretch: whether to change the aspect ratio; else what it leaves over is cropped equally
            from both sides.
    """
    if stretch:
        return image.resize((width, height), resampling)
    return ImageOps.fit(image, (width, height), resampling)
