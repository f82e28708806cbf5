"""The table of wishes: what it has one write is valid, and its times are those of the schedule."""

import pytest
import yaml

from pipeline.manifest import WISHES, Settings, settings_problems
from pipeline.manifest.schema import ManifestFile
from pipeline.manifest.wishes import Wish
from pipeline.method import schedule_scales


def written(wish: Wish) -> dict[str, object]:
    return dict(yaml.safe_load(wish.write))


def step_pixels(**settings: object) -> float:
    """Steps times pixels of a photograph of 4:3, which is what nearly all of the time goes into."""
    scales = schedule_scales(Settings.model_validate(settings), 4096, 3072)
    return sum(scale.width * scale.height * scale.steps for scale in scales)


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: wish.write[:30])
def test_what_is_to_be_written_is_valid_and_takes_the_time_that_is_said(wish: Wish) -> None:
    given = written(wish)
    if given.keys() <= ManifestFile.model_fields.keys():
        ManifestFile.model_validate({"output": "run", **given})
        return
    assert settings_problems(given) == []
    assert Settings.model_validate(given).problem() is None
    assert step_pixels(**given) / step_pixels() == pytest.approx(wish.time, rel=0.15)


def test_no_two_rows_are_one_wish() -> None:
    assert (
        len({wish.want for wish in WISHES}) == len({wish.write for wish in WISHES}) == len(WISHES)
    )
    assert [w.price for w in (Wish("a", "b"), Wish("a", "b", "x", 2.5))] == [
        "nothing", "2.5 times the time; x"
    ]  # fmt: skip
