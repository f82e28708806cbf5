"""The table of settings, and the presets."""

from pipeline.manifest import PRESETS, Settings, json_schema


def test_every_setting_has_help_and_presets_are_valid() -> None:
    schema = json_schema()["$defs"]["Settings"]["properties"]
    assert set(schema) == set(Settings.model_fields)
    assert all(entry["description"] for entry in schema.values())
    for name in PRESETS:
        assert Settings.model_validate({"preset": name}).problem() is None
