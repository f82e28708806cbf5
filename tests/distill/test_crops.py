"""Pictures to train on, and crops of them."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from students import RECIPE

from pipeline.distill import find_pictures, split_pictures
from pipeline.distill.crops import _augment, _crop, draw_crops
from pipeline.errors import ImageError


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="0 pictures found"):
        find_pictures(tmp_path / "empty")
    with pytest.raises(ImageError, match="no such folder"):
        find_pictures(tmp_path / "nowhere")


def test_pictures_are_found_at_any_depth_and_nothing_else(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    found = [picture("b.png"), picture("a/deep/c.jpg")]
    (tmp_path / "notes.txt").write_text("no picture")
    assert find_pictures(tmp_path) == sorted(found)


@pytest.mark.parametrize(("count", "out"), [(2, 1), (29, 1), (60, 2), (90, 3), (3000, 48)])
def test_a_thirtieth_is_held_out_by_the_seed(count: int, out: int) -> None:
    pictures = [Path(str(number)) for number in range(count)]
    training, held_out = split_pictures(pictures, 1)
    assert len(held_out) == out and sorted(training + held_out) == sorted(pictures)
    assert split_pictures(pictures, 1) == (training, held_out)
    if count > 2:
        assert split_pictures(pictures, 2) != (training, held_out)


def test_a_step_has_the_same_crops_every_time_and_no_other_step_has_them(
    photos: list[Path],
) -> None:
    crops = draw_crops([photos], RECIPE, 5, 2)
    assert crops.shape == (2, 3, 32, 32)
    assert torch.equal(crops, draw_crops([photos], RECIPE, 5, 2))
    assert not torch.equal(crops, draw_crops([photos], RECIPE, 6, 2))
    assert not torch.equal(crops, draw_crops([photos], replace(RECIPE, seed=1), 5, 2))


def test_a_picture_smaller_than_a_crop_is_made_larger(picture: Callable[..., Path]) -> None:
    crop = _crop(picture("small.png", 1, (12, 9)), 32, random.Random(0))
    assert crop.shape == (3, 32, 32) and crop.min() >= 0 and crop.max() <= 1


def test_odd_crops_stay_pictures_and_some_crops_stay_as_they_are() -> None:
    draw, noise = random.Random(0), torch.Generator().manual_seed(0)
    crop, other = torch.rand(2, 3, 16, 16, generator=noise)
    made = [_augment(crop, other, draw, noise) for _ in range(60)]
    assert all(m.shape == crop.shape and m.min() >= 0 and m.max() <= 1 for m in made)
    same = sum(torch.equal(m, crop) for m in made)
    assert 0 < same < 60
