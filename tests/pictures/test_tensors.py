"""Pictures as tensors and back."""

import numpy as np
import pytest
from PIL import Image

from pipeline.pictures import to_image, to_tensor


def test_tensor_and_picture_are_inverse() -> None:
    image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    tensor = to_tensor(image)
    assert tensor.shape == (3, 8, 8)
    assert float(tensor.max()) == pytest.approx(191 / 255)
    assert np.array_equal(np.asarray(to_image(tensor)), np.asarray(image))
    assert np.asarray(to_image(tensor * 4 - 1)).max() == 255
