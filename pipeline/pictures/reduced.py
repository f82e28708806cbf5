"""Pictures decoded at no more than is needed: a JPEG's blocks at a half, a quarter or an eighth of
their size, others averaged by whole numbers of pixels.

In: a picture file that is open, or its picture; the size that is wanted of it. Out: the same,
smaller or as it was. Must not load torch.
"""

from __future__ import annotations

from PIL import ExifTags, Image

# How many times the wanted width and height are left at least, for Lanczos to go on from: a JPEG's
# blocks are scaled as well as Lanczos does it, so that it ends 2 of 255 levels apart at most, and
# 0.4 on average; a mean over squares of pixels is not as good, and wants more room.
_BLOCKS, _SQUARES = 3, 6
_TURNED = (5, 6, 7, 8)  # orientations in which width and height change places


def _factor(size: tuple[int, int], wanted: tuple[int, int], room: int) -> int:
    return max(1, min(size[0] // (room * wanted[0]), size[1] // (room * wanted[1])))


def draft(file: Image.Image, wanted: tuple[int, int] | None) -> tuple[int, int] | None:
    """Has a JPEG decoded at a part of its size, if it is not yet decoded and large enough.

    Args:
        wanted: width and height in px of the upright picture that is made of it; None for all.

    Returns:
        the file's own upright size, or None where it is decoded whole.
    """
    if wanted is None or file.format not in ("JPEG", "MPO"):
        return None
    own = file.size
    turned = file.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
    factor = _factor(own, wanted[::-1] if turned else wanted, _BLOCKS)
    if factor == 1:
        return None
    file.draft(None, (-(-own[0] // factor), -(-own[1] // factor)))
    if file.size == own:
        return None
    return own[::-1] if turned else own


def averaged(image: Image.Image, wanted: tuple[int, int] | None) -> Image.Image:
    """A picture made smaller by means over squares of pixels, if it is large enough.

    Args:
        wanted: as of `draft`.
    """
    factor = 1 if wanted is None else _factor(image.size, wanted, _SQUARES)
    return image if factor == 1 else image.reduce(factor)
