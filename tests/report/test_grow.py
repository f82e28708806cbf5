"""Favorites at a larger size: what a picture begins with is as it was."""

from collections.abc import Mapping

import pytest

from pipeline.manifest import Settings
from pipeline.method import schedule_scales
from pipeline.report.grow import grown_settings


def scales_at(size: int, settings: Mapping[str, object]) -> list[tuple[int, int, int]]:
    """Of a 3:2 picture, as records have them."""
    scales = schedule_scales(Settings.model_validate({**settings, "size": size}), 3000, 2000)
    return [(scale.width, scale.height, scale.steps) for scale in scales]


@pytest.mark.parametrize("preset", ["default", "fast", "draft", "preview", "gatys2016"])
@pytest.mark.parametrize("times", [2, 4])
def test_a_larger_favorite_begins_as_the_smaller_one_did(preset: str, times: int) -> None:
    settings = Settings(preset=preset, size=512).model_dump()
    before = scales_at(512, settings)
    grown = grown_settings(settings, before)
    if "size_step" in grown:
        grown["size_step"] *= times
    after = scales_at(512 * times, settings | grown)
    assert after[: len(before)] == before
    assert len(after) > len(before) and after[-1][0] == 512 * times


def test_where_scales_do_not_double_their_steps_stay_and_their_sizes_nearly() -> None:
    settings = Settings(preset="classic", size=512).model_dump()
    before = scales_at(512, settings)
    after = scales_at(1024, settings | grown_settings(settings, before))
    assert [steps for *_, steps in after[: len(before)]] == [steps for *_, steps in before]
    sides = zip(after, before, strict=False)
    assert all(0.85 < new[0] / old[0] <= 1 for new, old in sides)


def test_without_growing_one_number_of_steps_would_be_thinned_out() -> None:
    settings = Settings(size=512, steps=300).model_dump()
    thin = scales_at(1024, settings)
    grown = scales_at(1024, settings | grown_settings(settings, scales_at(512, settings)))
    assert thin[0][2] < grown[0][2] and sum(s for *_, s in thin) == 300


def test_a_list_of_steps_grows_by_itself() -> None:
    settings = Settings(size=512).model_dump()
    assert grown_settings(settings, scales_at(512, settings)) == {"size_step": 16}
    settings["size_step"] = 1
    assert grown_settings(settings, scales_at(512, settings)) == {}


def test_a_picture_made_at_one_size_goes_on_from_that_size() -> None:
    settings = Settings(
        size=512, scale_start=0, steps=500, step_falloff=0.5, size_step=1
    ).model_dump()
    grown = grown_settings(settings, scales_at(512, settings))
    assert grown == {"scale_start": 512, "steps": [500, 250]}
    begun = settings | {"scale_start": 512}  # its only scale is the first one already
    assert grown_settings(begun, scales_at(512, begun)) == {"steps": [500, 250]}
    listed = settings | {"steps": (500, 40)}  # says itself what follows
    assert grown_settings(listed, scales_at(512, listed)) == {"scale_start": 512}


def test_of_an_older_record_nothing_is_known() -> None:
    assert grown_settings(Settings(steps=300).model_dump(), []) == {}
