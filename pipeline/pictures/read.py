"""Picture files -> upright 8-bit sRGB: orientation, profile, alpha, depth.

In: paths. Out: Pillow's pictures, and digests of files. Must not load torch, nor know jobs.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from pipeline.errors import ImageError
from pipeline.pictures.formats import DAMAGED, open_file, too_large, why_unread
from pipeline.pictures.profiles import convert_profile


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits.

    Raises:
        ImageError: the file cannot be read.
    """
    try:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); check path and rights"
        raise ImageError(message) from error


def read_image(path: Path, background: str = "white") -> Image.Image:
    """Reads a picture file as upright 8-bit sRGB.

    EXIF orientation is applied, an embedded ICC profile is converted to sRGB, transparency is
    composited on `background` (a CSS color name or `#rrggbb`), gray, palette, CMYK and 16-bit
    pictures become RGB, and of an animation the first frame is taken.

    Raises:
        ImageError: no picture, truncated, unreadable, or more pixels than Pillow allows.
    """
    try:
        with open_file(path) as file:
            warnings.filterwarnings("ignore", message="Palette images with Transparency")
            warnings.filterwarnings("ignore", message="Corrupt EXIF data")
            return _to_srgb(file, background)
    except Image.DecompressionBombError as error:
        raise too_large(path) from error
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: {why_unread(path)}") from error
    except DAMAGED as error:
        if isinstance(error, OSError) and error.strerror:  # the system's, not Pillow's
            raise ImageError(f"{path}: cannot be read ({error.strerror}); check it") from error
        raise ImageError(f"{path}: damaged or truncated picture ({error}); replace it") from error


def _to_srgb(file: Image.Image, background: str) -> Image.Image:
    profile = file.info.get("icc_profile")
    image = ImageOps.exif_transpose(file)
    if image.mode.startswith(("I", "F")):
        image = _deep_to_8_bit(image)
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") else None
    if alpha is not None:
        image = image.convert("L" if image.mode in ("LA", "La") else "RGB")
    image = convert_profile(image, profile)
    if alpha is not None:
        canvas = Image.new("RGB", image.size, ImageColor.getrgb(background)[:3])
        canvas.paste(image, mask=alpha)
        image = canvas
    return image


def _deep_to_8_bit(image: Image.Image) -> Image.Image:
    """16-bit and float grays to 8-bit gray; integers span 0..65535, floats 0..1 or 0..255."""
    values = np.asarray(image).astype(np.float64)
    float_top = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0
    top = float_top if image.mode == "F" else 65535.0
    return Image.fromarray(np.clip(np.rint(values / top * 255), 0, 255).astype(np.uint8), "L")
