"""The packages of the extra `video`, asked for when they are needed. Must not load torch."""

from __future__ import annotations

import importlib
from typing import Any

from pipeline.errors import MissingPackageError, install

_NAMES = {"av": "PyAV", "cv2": "OpenCV"}


def video_package(module: str) -> Any:
    """`av` or `cv2`.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"clips need {_NAMES[module]}, which is not installed: {install('video')}"
        ) from error
