"""Sizes after fitting."""

import numpy as np
import pytest
from PIL import Image

from pipeline.pictures import canvas_size, fit_image

RED, GREEN = (255, 0, 0), (0, 128, 0)


def two_halves(left: object = RED, right: object = GREEN, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (40, 20), left)  # type: ignore[arg-type]
    image.paste(right, (20, 0, 40, 20))  # type: ignore[arg-type]
    return image


def test_fit_names_the_side() -> None:
    assert canvas_size(400, 200, 100, "long") == (100, 50)
    assert canvas_size(400, 200, 100, "short") == (200, 100)
    assert canvas_size(400, 200, "64x48", "exact") == (64, 48)
    assert canvas_size(400, 200, 100, "long", shrink=0.5) == (50, 25)
    assert canvas_size(1000, 2, 100, "long") == (100, 1)
    assert canvas_size(301, 200, "original", "short") == (301, 200)
    assert canvas_size(301, 200, "original", "long", shrink=0.5) == (150, 100)
    assert canvas_size(301, 200, "original", "long", step=16) == (304, 192)
    assert canvas_size(200, 400, "original", "long", most=100) == (50, 100)
    assert canvas_size(20, 40, "original", "long", most=100) == (20, 40)


def test_fitting_crops_to_the_middle() -> None:
    wide = Image.new("RGB", (60, 20), RED)
    wide.paste(GREEN, (20, 0, 40, 20))
    assert set(np.asarray(fit_image(wide, 20, 20)).reshape(-1, 3)[:, 0]) == {0}


def test_stretched_pictures_are_not_cropped() -> None:
    stretched = fit_image(two_halves(), 10, 10, stretch=True)
    assert stretched.size == (10, 10)
    assert stretched.getpixel((0, 5)) == RED and stretched.getpixel((9, 5)) == GREEN


@pytest.mark.parametrize("step", [1, 8, 16, 64])
@pytest.mark.parametrize("fit", ["long", "short"])
def test_sides_are_multiples_of_the_step_and_move_by_at_most_half(fit: str, step: int) -> None:
    for width, height in ((3000, 2000), (1000, 999), (401, 1200), (64, 64)):
        exact = canvas_size(width, height, 512, fit)
        sides = canvas_size(width, height, 512, fit, step=step)
        for side, before in zip(sides, exact, strict=True):
            assert side % step == 0 and abs(side - before) <= step / 2 + 0.5
        half = canvas_size(width, height, 512, fit, shrink=0.5, step=step)
        assert step == 1 or half == (sides[0] / 2, sides[1] / 2)
    assert canvas_size(99, 50, "640x481", "exact", step=step) == (640, 481)
    assert canvas_size(4000, 10, 512, "long", step=16) == (512, 16)
