"""The table of settings, and the presets."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.manifest import PRESETS, Settings, json_schema, settings_problems


def test_every_setting_has_help_and_presets_are_valid() -> None:
    schema = json_schema()["$defs"]["Settings"]["properties"]
    assert set(schema) == set(Settings.model_fields)
    assert all(entry["description"] for entry in schema.values())
    for name in PRESETS:
        assert Settings.model_validate({"preset": name}).problem() is None


@pytest.mark.parametrize(
    ("name", "written", "taken"),
    [
        ("style_layers", "conv1_1", {"conv1_1": 1.0}),
        ("style_layers", ["conv1_1", "conv2_1"], {"conv1_1": 0.5, "conv2_1": 0.5}),
        ("size", 512.0, 512),
        ("steps", [3.0, 4], (3, 4)),
        ("background", "#ff8800", "#ff8800"),
        ("blend", 2, (2.0,)),
        ("blend", None, None),
    ],
)
def test_values_are_taken_as_people_write_them(name: str, written: object, taken: object) -> None:
    assert getattr(Settings.model_validate({name: written}), name) == taken


def test_a_size_of_two_sides_is_written_in_one_way() -> None:
    assert Settings.model_validate({"size": " 640X480 ", "fit": "exact"}).size == "640x480"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"style_layers": ["conv1_1", "conv1_1"]}, "a layer is named twice"),
        ({"style_layers": ["conv1_1", "relu1_1"]}, "a layer is named twice"),
        ({"style_layers": {"conv1_1": 1, "r11": 2}}, "a layer is named twice"),
        ({"style_layers": [["conv1_1"]]}, "\"['conv1_1']\""),
        ({"size": "8x640", "fit": "exact"}, "each side must be between 16 and 32768 px"),
        ({"size": True}, "must be a number of pixels, WxH, or original"),
        ({"size": "large"}, "must be a number of pixels, WxH, or original"),
        ({"size": 20.5}, "must be a whole number between 16 and 32768 px"),
        ({"steps": True}, "must be a whole number, or a list of them"),
        ({"steps": float("inf")}, "must be a whole number, or a list of them"),
        ({"steps": [3, float("nan")]}, "must be a whole number, or a list of them"),
        ({"steps": 1_000_001}, "must be at most 1,000,000"),
        ({"blend": "half"}, "must be a list of weights, one for each of the blend's pictures"),
        ({"blend": []}, "must be a list of weights"),
        ({"blend": [1, True]}, "weights must be numbers of at least 0"),
        ({"style_weight": float("inf")}, "must be a finite number"),
        ({"init": 3}, "must be text; put numbers in quotes"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(values: dict[str, Any], message: str) -> None:
    ((_, said),) = settings_problems(values)
    assert message in said


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depth": 16, "profile": "content"}, "profile srgb is needed"),
        ({"depth": 16, "format": "tiff", "exif": True}, "format png is needed"),
    ],
)
def test_what_does_not_go_together_is_said(values: dict[str, Any], message: str) -> None:
    assert message in str(Settings.model_validate(values).problem())


def test_what_is_no_mapping_is_no_settings() -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate([1])
