"""The manifest that a translated command becomes.

In: a translation. Out: plain values, and YAML with comments.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import yaml

from pipeline.errors import ManifestError
from pipeline.manifest.check import settings_problems
from pipeline.manifest.peers.translation import Translation, blended

_FORMATS = {".jpg": "jpg", ".jpeg": "jpg", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff"}


def manifest_values(found: Translation) -> dict[str, Any]:
    """The manifest as plain values.

    Raises:
        ManifestError: settings that are not valid, or weights that do not go with the styles.
    """
    output = PurePath(found.output)
    suffix = output.suffix.lower()
    if suffix in _FORMATS:
        found.settings["format"] = _FORMATS[suffix]
    found.styles = found.styles or ["style.jpg"]
    if found.weights is not None:
        blended(found, found.weights)
    style: list[Any] = list(found.styles)
    if len(style) > 1:
        weights = found.weights or [1.0] * len(style)
        blend: dict[str, float] = {}
        for path, weight in zip(style, weights, strict=True):
            blend[path] = blend.get(path, 0.0) + weight
        style = [{"name": "blend", "blend": blend}]
    settings = {"preset": found.preset, **found.settings}
    problems = settings_problems(settings)
    if problems:
        raise ManifestError([f"{'.'.join(map(str, at))}: {text}" for at, text in problems])
    return {
        "output": str(output.with_suffix("")),
        "content": [found.content],
        "style": style,
        "backbone": found.backbone,
        "settings": settings,
    }


def manifest_text(values: dict[str, Any], found: Translation, tool: str) -> str:
    """The manifest as YAML; what has no place in it stands above as comments."""
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    notes = "".join(f"# {' '.join(note.split())}\n" for note in dict.fromkeys(found.notes))
    return f"# made from a command of {tool}\n{notes}{text}"
