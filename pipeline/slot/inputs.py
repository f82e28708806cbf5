"""Input files as the plan saw them: what is decoded are the bytes that were hashed.

In: a path, and what the plan found it to be. Out: its picture; or that it is another one by now.
Knows nothing of jobs.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ImageError
from pipeline.pictures import Decoded, Mask, decode, file_bytes, identity_of, mask_of


def read_as_planned(path: Path, planned: str, background: str = "white") -> Decoded:
    """Reads a picture file once, and checks that its bytes are those of the job's key.

    Args:
        planned: its identity in the plan; empty where there is none.

    Raises:
        ImageError: it cannot be read, or was changed since.
    """
    data = file_bytes(path, planned)
    if planned and identity_of(data) != planned:
        raise ImageError(
            f"{path}: changed since the plan was made; run the same command again, which makes "
            f"this picture's jobs anew"
        )
    return decode(path, background, data)


def read_mask_as_planned(path: Path, planned: str) -> Mask:
    """The same of a mask.

    Raises:
        ImageError: it cannot be read, has too many colors, or was changed since.
    """
    return mask_of(read_as_planned(path, planned), path)
