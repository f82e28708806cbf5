"""Input files as the plan saw them: what is decoded are the bytes that were hashed.

In: a path, and what the plan found it to be. Out: its picture; or that it is another one by now.
Knows nothing of jobs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.errors import ImageError
from pipeline.pictures import (
    Decoded,
    Mask,
    check_shape,
    decode,
    file_bytes,
    identity_of,
    in_shape,
    mask_of,
)


def read_as_planned(
    path: Path, planned: str, background: str = "white", wanted: tuple[int, int] | None = None
) -> Decoded:
    """Reads a picture file once, and checks that its bytes are those of the job's key.

    Args:
        planned: its identity in the plan; empty where there is none.
        wanted: of `decode`.

    Raises:
        ImageError: it cannot be read, or was changed since.
    """
    data = file_bytes(path, planned)
    if planned and identity_of(data) != planned:
        raise ImageError(
            f"{path}: changed since the plan was made; run the same command again, which makes "
            f"this picture's jobs anew"
        )
    return decode(path, background, data, wanted)


def read_mask_as_planned(
    path: Path,
    planned: str,
    picture: tuple[int, int],
    its: Path,
    levels: bool = False,
    decoded_as: tuple[int, int] | None = None,
) -> Mask:
    """The same of a mask, in the shape of its picture.

    Args:
        picture: its picture's width and height in px.
        its: its picture's file, for messages.
        levels: as `mask_of` has it.
        decoded_as: what the picture was decoded to, where that is less.

    Raises:
        ImageError: it cannot be read, has too many colors or another shape, or was changed since.
    """
    decoded = read_as_planned(path, planned)
    check_shape(decoded.image.size, path, picture, its)
    shaped = replace(decoded, image=in_shape(decoded.image, decoded_as or picture))
    return mask_of(shaped, path, levels)
