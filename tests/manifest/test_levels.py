"""Levels of strength and stroke: numbers under a name."""

from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import ManifestError
from pipeline.manifest import Settings, load_manifest
from pipeline.plan import Plan

HEAD = "output: run\ncontent: a.png\nstyle: s.png\nbackbone: lite\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "s.png"):
        Image.new("RGB", (64, 48), "red").save(tmp_path / name)
    return tmp_path


def keys(folder: Path, text: str) -> dict[str, str]:
    (folder / "m.yaml").write_text(HEAD + text)
    plan = Plan(load_manifest(folder / "m.yaml"), lambda s: "0" * 64, 3)
    return {job.name: job.key for job in plan.jobs()}


def test_more_strength_is_less_content_and_medium_is_the_default() -> None:
    names = ("subtle", "medium", "strong", "extreme")
    made = [Settings.model_validate({"strength": name}) for name in names]
    for number in ("content_weight", "neighbor_content"):
        values = [getattr(settings, number) for settings in made]
        assert values == sorted(values, reverse=True) and len(set(values)) == 4
    assert made[1].deciding_pixels() == Settings().deciding_pixels()
    strokes = [Settings.model_validate({"stroke": s}) for s in ("fine", "medium", "large")]
    assert [s.style_scale for s in strokes] == sorted(s.style_scale for s in strokes)


def test_a_number_that_is_given_wins() -> None:
    settings = Settings.model_validate({"strength": "extreme", "content_weight": 7})
    assert settings.content_weight == 7 and settings.neighbor_content == 0.0


def test_one_of_a_levels_numbers_may_be_given_beside_its_sweep(folder: Path) -> None:
    swept = keys(folder, "settings: {neighbor_content: 0.3}\ngrid: {strength: [medium, strong]}\n")
    assert len(set(swept.values())) == 2


def test_levels_are_numbers_in_keys_and_words_in_names(folder: Path) -> None:
    swept = keys(folder, "grid: {strength: [medium, extreme], stroke: [large]}\n")
    assert list(swept) == [
        "a.png__s__strength-medium__stroke-large",
        "a.png__s__strength-extreme__stroke-large",
    ]
    written = keys(
        folder, "settings: {content_weight: 0.2, neighbor_content: 0, style_scale: 1.5}\n"
    )
    assert swept["a.png__s__strength-extreme__stroke-large"] in written.values()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "settings: {strength: huge}\n",
            ":5: settings.strength: 'huge' is unknown; known are subtle, medium",
        ),
        (
            "grid: {strength: [subtle, strong], content_weight: [1, 2]}\n",
            ":5: grid.strength: stands for content_weight, which is swept too; leave one out",
        ),
        (
            "settings: {style_scale: 1.2}\ngrid: {stroke: [fine, large]}\n",
            ":6: grid.stroke: stands for style_scale, given beside it; leave one out",
        ),
        (
            "grid: {stroke: [fine, large]}\n"
            "pairs: [{content: a.png, style: s.png, settings: {style_scale: 2}}]\n",
            ":6: pairs[0].settings: stroke, swept in `grid`, stands for style_scale, given",
        ),
        (
            "grid: {strength: [subtle, strong]}\n"
            "pairs: [{content: a.png, style: s.png, settings: {preset: gatys2016}}]\n",
            ":6: pairs[0].settings: strength subtle with preset gatys2016 does not go",
        ),
        (
            "settings: {preset: neural-style, strength: strong}\n",
            ":5: settings: strength strong with preset neural-style does not go",
        ),
        (
            "settings: {stroke: large}\ngrid: {preset: [default, gatys2016]}\n",
            ":6: grid: stroke large with preset gatys2016 does not go",
        ),
    ],
)
def test_levels_that_cannot_do_what_they_say_are_refused(
    folder: Path, text: str, message: str
) -> None:
    with pytest.raises(ManifestError) as raised:
        keys(folder, text)
    assert message in str(raised.value)
