"""Optical flow between two pictures by a classical method: DIS of OpenCV, the extra `video`.

In: pictures of one size. Out: flows in px. Must not load torch.

Kroeger, Timofte, Dai, Van Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from pipeline.pictures.extra import video_package


def dis_flow(first: Image.Image, second: Image.Image) -> np.ndarray[Any, Any]:
    """Where each pixel of the first picture is in the second, less where it is in the first.

    Args:
        first, second: of one size.

    Returns:
        H x W x 2 float32 in px: across, then down.

    Raises:
        MissingPackageError: OpenCV is not installed.
    """
    cv2 = video_package("cv2")
    cv2.setNumThreads(1)  # the slots share out the cores
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grays = [np.array(image.convert("L")) for image in (first, second)]
    flow: np.ndarray[Any, Any] = method.calc(grays[0], grays[1], None)
    return flow
