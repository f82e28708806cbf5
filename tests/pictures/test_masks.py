"""Masks: regions found, matched by color, fitted as pictures are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import ImageError
from pipeline.pictures import BLACK, WHITE, guides_of, read_mask, region_name, styled_regions


def write(path: Path, values: list[list[object]]) -> Path:
    Image.fromarray(np.array(values, dtype=np.uint8)).resize(
        (40, 20), Image.Resampling.NEAREST
    ).save(path)
    return path


def test_a_gray_mask_has_two_regions_that_share_every_pixel(tmp_path: Path) -> None:
    mask = read_mask(write(tmp_path / "m.png", [[0, 64, 128, 255]]))
    assert mask.names == (WHITE, BLACK)
    guides = guides_of(mask, 40, 20)
    torch.testing.assert_close(guides.sum(0), torch.ones(20, 40))
    assert [round(float(guides[0, 10, x]) * 255) for x in (5, 15, 25, 35)] == [0, 64, 128, 255]


def test_a_color_map_has_one_region_a_color(tmp_path: Path) -> None:
    red, blue, black = [255, 0, 0], [0, 0, 255], [0, 0, 0]
    mask = read_mask(write(tmp_path / "m.png", [[red, blue], [black, blue]]))
    assert mask.names == (BLACK, "#0000ff", "#ff0000")
    guides = guides_of(mask, 4, 2)
    assert guides[:, 0, 0].tolist() == [0, 0, 1] and guides[:, 1, 0].tolist() == [1, 0, 0]
    assert guides.sum(0).round().eq(1).all()


def test_masks_are_cropped_as_their_pictures_are(tmp_path: Path) -> None:
    mask = read_mask(write(tmp_path / "m.png", [[255, 0, 0, 255]]))
    assert not guides_of(mask, 20, 20)[0].any()  # exact: only the middle is left
    assert guides_of(mask, 20, 20, stretch=True)[0, :, 0].round().all()


def test_a_photograph_is_no_mask(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "m.png")
    with pytest.raises(ImageError, match="81 colors, but a mask has one flat color a region"):
        read_mask(tmp_path / "m.png")


def test_regions_match_by_color() -> None:
    names, where = (WHITE, BLACK, "#ff0000"), Path("m.png")
    assert styled_regions(names, None, where, "s") == [0, None, 0]
    assert styled_regions(names, ("#ff0000", WHITE), where, "s") == [1, None, 0]
    with pytest.raises(ImageError, match=r"m.png: has the regions .*style s is for #00ff00"):
        styled_regions(names, ("#00ff00",), where, "s")


def test_regions_are_named_by_css_colors() -> None:
    assert region_name("white") == WHITE and region_name("#f00") == "#ff0000"
