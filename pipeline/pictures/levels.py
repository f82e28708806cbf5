"""Samples of more than 8 bits as 8-bit levels, rounded.

In: arrays, the first axis rows. Out: uint8 arrays of the same shape. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.errors import ImageError

Array = np.ndarray[Any, Any]
_ROWS = 64  # at once: what is between whole files of samples and of levels would fill the memory


def _by_rows(values: Array, act: Callable[[Array], Array]) -> Array:
    found = np.empty(values.shape, np.uint8)
    for begin in range(0, len(values), _ROWS):
        found[begin : begin + _ROWS] = act(values[begin : begin + _ROWS])
    return found


def levels_of_integers(values: Array, top: int) -> Array:
    """Whole numbers from 0 to `top` as 0 to 255; what is outside is clipped.

    >>> levels_of_integers(np.array([0, 32768, 65535]), 65535).tolist()
    [0, 128, 255]
    """
    factor = np.float64(255 / top)
    return _by_rows(values, lambda rows: np.clip(np.rint(rows * factor), 0, 255))


def levels_of_floats(values: Array, name: str) -> Array:
    """Floats as 0 to 255: 1 is white, and what is brighter (highlights of a render) is white too.

    Args:
        name: of the file, for messages.

    Raises:
        ImageError: some are no numbers; or most are above 1, or whole numbers to 255 are among
            them, so that another range is meant.

    >>> levels_of_floats(np.array([-0.1, 0.0, 0.5, 1.0, 7.3]), "a.tiff").tolist()
    [0, 0, 128, 255, 255]
    """
    if not np.isfinite(values).all():
        raise ImageError(
            f"{name}: has values that are NaN or infinite; replace them by numbers from 0 to 1"
        )
    bright = values[values > 1]
    share = bright.size / max(1, values.size)
    counted = share > 0.01 and bright.max() <= 255 and np.mean(bright == np.rint(bright)) > 0.9
    if share > 0.5 or counted:
        raise ImageError(
            f"{name}: {share:.0%} of its float values are above 1, up to {bright.max():g}, and "
            f"floats are read as 0 (black) to 1 (white); divide them, or store it as 8 or 16 bits"
        )
    return _by_rows(values, lambda rows: np.rint(np.clip(rows, 0, 1) * 255))
