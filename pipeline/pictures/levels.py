"""Samples of more than 8 bits as 8-bit levels, rounded.

In: arrays. Out: uint8 arrays of the same shape. Must not load torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.errors import ImageError


def levels_of_integers(values: np.ndarray[Any, Any], top: int) -> np.ndarray[Any, Any]:
    """Whole numbers from 0 to `top` as 0 to 255.

    >>> levels_of_integers(np.array([0, 32768, 65535]), 65535).tolist()
    [0, 128, 255]
    """
    found: np.ndarray[Any, Any] = np.clip(np.rint(values / np.float64(top) * 255), 0, 255)
    return found.astype(np.uint8)


def levels_of_floats(values: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """Floats as 0 to 255: 1 is white, and what is brighter (highlights of a render) is white too.

    Args:
        name: of the file, for messages.

    Raises:
        ImageError: some are no numbers; or most are above 1, so that another range is meant.

    >>> levels_of_floats(np.array([-0.1, 0.0, 0.5, 1.0, 7.0]), "a.tiff").tolist()
    [0, 0, 128, 255, 255]
    """
    if not np.isfinite(values).all():
        raise ImageError(
            f"{name}: has values that are NaN or infinite; replace them by numbers from 0 to 1"
        )
    bright = float(np.mean(values > 1)) if values.size else 0.0
    if bright > 0.5:
        raise ImageError(
            f"{name}: {bright:.0%} of its float values are above 1, up to {values.max():g}, and "
            f"floats are read as 0 (black) to 1 (white); divide them, or store it as 8 or 16 bits"
        )
    found: np.ndarray[Any, Any] = np.rint(np.clip(values, 0, 1) * 255)
    return found.astype(np.uint8)
