"""Pydantic's errors in words, with the nearest valid name where a name is wrong.

In: an error and its position. Out: a message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import (
    BaseModel,
)

from pipeline.manifest.close_names import nearest
from pipeline.manifest.document import Position
from pipeline.manifest.schema import (
    BackboneChoice,
    Blend,
    ManifestFile,
    Masks,
    Output,
    PairEntry,
    Sample,
)
from pipeline.manifest.settings import Settings


def is_of_the_form_meant(problem: Any) -> bool:
    """Where several forms are taken (a word or a mapping), whether this is of the one written."""
    forms, written = set(map(str, problem["loc"])), isinstance(problem["input"], Mapping)
    if problem["type"] == "literal_error" or "str" in forms:
        return not written
    return problem["type"] != "model_type" or "Sample" not in forms


_EXPLANATIONS = {
    "missing": "is needed and missing",
    "greater_than": "must be more than {gt:,}",
    "greater_than_equal": "must be at least {ge:,}",
    "less_than": "must be less than {lt:,}",
    "less_than_equal": "must be at most {le:,}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text; put numbers in quotes",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "list_type": "a list is needed",
    "dict_type": "must be a mapping, such as {{key: value}}",
    "model_type": "must be text or a mapping, such as {{key: value}}",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have at most {max_length} entries",
}


def explain(problem: Any, position: Position) -> str:
    """One pydantic error in words, with the nearest valid name where a name is wrong."""
    kind, context, given = problem["type"], problem.get("ctx", {}), problem["input"]
    if kind == "extra_forbidden":
        return "unknown key" + nearest(str(position[-1]), _known_keys(position[:-1]))
    if kind == "literal_error":
        options = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return f"{shown(given)} is unknown" + nearest(str(given), options)
    if kind == "missing":
        return _EXPLANATIONS[kind]
    if position == ("backbone",) and isinstance(given, list):
        return f"{shown(given)}: is one network; for several write `grid: {{backbone: [...]}}`"
    if kind == "value_error":
        return f"{shown(given)}: {context['error']}"
    template = _EXPLANATIONS.get(kind)
    whole = {
        k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in context.items()
    }
    message = template.format(**whole) if template else str(problem["msg"])
    return f"{shown(given)}: {message}"


def _known_keys(position: Position) -> Sequence[str]:
    if not position:
        return list(ManifestFile.model_fields)
    models: dict[str | int, type[BaseModel]] = {
        "backbone": BackboneChoice,
        "style": Blend,
        "pairing": Sample,
        "masks": Masks,
        "output": Output,
    }
    if position[0] == "pairs" and "settings" not in position:
        return list((Blend if "style" in position else PairEntry).model_fields)
    model = models.get(position[0], Settings)
    return list(model.model_fields)


def shown(value: object) -> str:
    """A value as messages have it, shortened."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
