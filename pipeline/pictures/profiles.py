"""Color profiles: everything inside is sRGB, and everything written says so.

In: pictures with the bytes of a profile. Out: sRGB pictures. Must not load torch.
"""

from __future__ import annotations

import io
from functools import cache

from PIL import Image, ImageCms

from pipeline.pictures.formats import DAMAGED


def convert_profile(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """An RGB picture in sRGB; and why its profile is unusable and was left out, or empty."""
    problem = ""
    if profile and image.mode in ("RGB", "L", "CMYK", "LAB"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, srgb(), outputMode="RGB")
            return (converted if converted is not None else image.convert("RGB")), problem
        except (ImageCms.PyCMSError, *DAMAGED) as error:
            problem = str(error)
    return image.convert("RGB"), problem


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
