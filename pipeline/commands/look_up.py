"""`nst presets` and `nst schema`: settings, presets and the manifest's schema to look up.

In: nothing, or a preset's name. Out: tables, Markdown, JSON. Must not load torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline.commands.output import layer_text
from pipeline.errors import ManifestError
from pipeline.manifest import (
    PRESET_HELP,
    PRESETS,
    WISHES,
    Settings,
    json_schema,
    preset_values,
)
from pipeline.terminal import console

if TYPE_CHECKING:
    from rich.table import Table


def _table(*columns: str, title: str | None = None) -> Table:
    from rich.table import Table  # here alone: it takes a while to load

    return Table(*columns, title=title)


def show_schema() -> None:
    """Prints the manifest's JSON Schema."""
    print(json.dumps(json_schema(), indent=1))


def show_presets(name: str | None, *, markdown: bool = False) -> None:
    """Prints the presets, or all resolved settings of one, perhaps as a Markdown table."""
    if name is None:
        table = _table("preset", "what it is for", "settings that it chooses")
        for preset, values in PRESETS.items():
            differing = ", ".join(f"{k}: {v}" for k, v in values.items()) or "-"
            table.add_row(preset, PRESET_HELP[preset], differing)
        console().print(table)
        return
    if preset_values(name) is None:
        raise ManifestError([f"{name!r} is not a preset; known are {', '.join(PRESETS)}"])
    rows = list(_setting_rows(name))
    if markdown:
        print("| setting | value | unit | range | what it is |\n| --- | --- | --- | --- | --- |")
        for row in rows:
            print(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |")
        return
    table = _table("setting", "value", "unit", "range", "what it is", title=f"preset {name}")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def show_wishes(*, markdown: bool = False) -> None:
    """Prints which knob gives which look and what it costs, perhaps as a Markdown table."""
    rows = [(wish.want, wish.write, wish.price) for wish in WISHES]
    if markdown:
        print(_WISHES_HEAD)
        for want, write, price in rows:
            print(f"| {want} | `{write}` | {price} |")
        return
    table = _table("you want", "write", "it costs", title="knobs, from preset default at 512 px")
    for row in rows:
        table.add_row(*row)
    console().print(table)


_WISHES_HEAD = "| you want | write | it costs |\n| --- | --- | --- |"


def _setting_rows(preset: str) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, value, unit, range and help of every setting of a preset."""
    settings = Settings.model_validate({"preset": preset})
    for key, value in settings.model_dump(mode="json").items():
        field = Settings.model_fields[key]
        extra = field.json_schema_extra
        unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
        shown = layer_text(value) if isinstance(value, dict) else str(value)
        yield key, shown, unit, _range(key), field.description or ""


@cache
def _properties() -> dict[str, Any]:
    return dict(Settings.model_json_schema()["properties"])


def _range(key: str) -> str:
    """A setting's range or choices, from its schema."""
    schema = _properties()[key]
    may_be = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    schema = may_be[0] if len(may_be) == 1 else schema  # or unset
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None and high is None:
        return ""
    left = ">" if "exclusiveMinimum" in schema else ""
    right = "<" if "exclusiveMaximum" in schema else ""
    return f"{left}{_plain(low)} .. {right}{_plain(high)}"


def _plain(number: float) -> str:
    """A limit as people write it."""
    if number >= 1e9:
        power = math.log2(number)
        return f"2^{power:g}" if power.is_integer() else f"{number:g}"
    return f"{number:g}" if isinstance(number, float) else str(number)
