"""Color profiles: everything inside is sRGB, and everything written says so.

In: pictures with the bytes of a profile. Out: sRGB pictures. Must not load torch.
"""

from __future__ import annotations

import io
import warnings
from functools import cache

from PIL import Image, ImageCms


def convert_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An RGB picture in sRGB; a profile that is unusable is warned of and left out."""
    if profile and image.mode in ("RGB", "L", "CMYK", "LAB"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, srgb(), outputMode="RGB")
            return converted if converted is not None else image.convert("RGB")
        except (ImageCms.PyCMSError, OSError) as error:
            warnings.warn(
                f"embedded color profile is unusable ({error}); taken as sRGB",
                stacklevel=2,
            )
    return image.convert("RGB")


def to_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """An sRGB picture in the colors of another RGB profile."""
    wanted = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.profileToProfile(image, srgb(), wanted, outputMode="RGB") or image


@cache
def srgb() -> ImageCms.ImageCmsProfile:
    """The sRGB profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def srgb_profile_bytes() -> bytes:
    """The sRGB profile that is embedded in every picture that is written."""
    return srgb().tobytes()
