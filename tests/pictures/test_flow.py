"""Optical flow of pictures."""

import sys

import numpy as np
import pytest
from clips import moving
from PIL import Image

from pipeline.errors import MissingPackageError
from pipeline.pictures import dis_flow


def test_a_known_shift_is_found() -> None:
    pytest.importorskip("cv2")
    first, second = (Image.fromarray(f) for f in moving(2, (120, 90), step=3))
    flow = dis_flow(first, second)
    assert flow.shape == (90, 120, 2)
    inner = flow[10:-10, 10:-10].reshape(-1, 2)
    # The window moves to the right, so what it shows moves to the left.
    assert np.abs(np.median(inner, 0) - (-3, 0)).max() < 0.05
    assert np.abs(inner - (-3, 0)).max() < 0.5


def test_without_the_package_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    image = Image.new("RGB", (32, 32))
    with pytest.raises(MissingPackageError, match=r"OpenCV, .*: pip install '.\[video\]'"):
        dis_flow(image, image)
