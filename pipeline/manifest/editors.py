"""The manifest's JSON Schema, for editors.

In: the models. Out: plain values. What the models take beside what pydantic says (short forms,
lists where one would do) is put in here.
"""

from __future__ import annotations

from typing import Any

from pipeline.layers import AUTO, BACKBONES
from pipeline.manifest.presets import PRESETS
from pipeline.manifest.schema import ManifestFile
from pipeline.manifest.settings import Settings

_Schema = dict[str, Any]


def json_schema() -> _Schema:
    """The manifest's JSON Schema; `settings` and `grid` know every setting with its help."""
    schema = ManifestFile.model_json_schema()
    settings = Settings.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    definitions |= settings.pop("$defs", {})
    definitions["Settings"] = _settings(settings)
    described = schema["properties"]
    described["settings"] = {"$ref": "#/$defs/Settings", "description": "settings of every job"}
    described["grid"] = _grid(described["grid"]["description"], settings)
    _short_forms(described)
    definitions["PairEntry"]["properties"]["settings"] = described["settings"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nst manifest",
    } | schema


def _settings(settings: _Schema) -> _Schema:
    """Every setting, with what validators of our own take as well."""
    preset = settings["properties"]["preset"]
    older = {"type": "string", "pattern": "^[a-z0-9-]+@[1-9][0-9]*$"}
    preset["anyOf"] = [{"type": preset.pop("type"), "enum": list(PRESETS)}, older]
    for values in settings["properties"].values():
        values.pop("pixels", None)
    for name in ("content_layers", "style_layers"):
        field = settings["properties"][name]
        mapping = {k: field.pop(k) for k in ("type", "additionalProperties", "propertyNames")}
        field.pop("minLength", None), field.pop("minProperties", None)
        names = mapping["propertyNames"]
        several = {"type": "array", "items": names, "minItems": 1, "uniqueItems": True}
        field["anyOf"] = [{**mapping, "minProperties": 1}, several, names]
    named = {"allOf": [{"$ref": "#/$defs/BackboneChoice"}, {"not": _IS_AUTO}]}
    settings["properties"]["backbone"]["anyOf"] = [
        {"enum": list(BACKBONES)},
        named,
        {"type": "null"},
    ]
    return settings


# Of jobs it has to be said which it is.
_IS_AUTO = {"required": ["name"], "properties": {"name": {"const": AUTO}}}


def _grid(description: str, settings: _Schema) -> _Schema:
    """A list of values for any setting."""
    # Swept, nothing stands for the manifest's own network.
    named = [one for one in settings["properties"]["backbone"]["anyOf"] if one != {"type": "null"}]
    described = {
        **settings["properties"],
        "backbone": settings["properties"]["backbone"] | {"anyOf": named},
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "description": description,
        "properties": {
            name: {
                "type": "array",
                "minItems": 1,
                "description": values.get("description", ""),
                "items": values,
            }
            for name, values in described.items()
        },
    }


def _short_forms(described: _Schema) -> None:
    """Words where models have mappings, one thing where they have lists."""
    listed = {"type": "array", "items": {"type": "string"}}
    described["content"] |= {"anyOf": [{"type": "string"}, listed]}
    described["content"].pop("type", None), described["content"].pop("items", None)
    style_items = described["style"].pop("items")
    described["style"].pop("type", None)
    described["style"] |= {"anyOf": [style_items, {"type": "array", "items": style_items}]}
    short = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
    pairs = described["pairs"]
    pairs.pop("items"), pairs.pop("type")
    entries = {"anyOf": [short, {"$ref": "#/$defs/PairEntry"}]}
    pairs["anyOf"] = [{"type": "string"}, {"type": "array", "items": entries}]
    described["output"] = {
        "anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/Output"}],
        "description": "the run folder",
    }
    described["backbone"] = {
        "anyOf": [{"enum": [*BACKBONES, AUTO]}, {"$ref": "#/$defs/BackboneChoice"}],
        "description": "the feature network",
    }
