"""Jobs that are there, as a manifest that makes just these again.

In: how they were made. Out: YAML. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.store import BACKBONE_KEYS, Made


def common_settings(jobs: Iterable[Mapping[str, Any]], swept: Collection[str]) -> dict[str, Any]:
    """What all jobs' settings have in common, but for swept ones.

    What differs beside them is what a swept preset or level stands for, and follows from it.

    >>> common_settings([{"seed": 0, "steps": 20}, {"seed": 1, "steps": 20}], {"seed"})
    {'steps': 20}
    >>> common_settings(
    ...     [{"strength": "subtle", "content_weight": 2.0, "size": 64},
    ...      {"strength": "strong", "content_weight": 0.5, "size": 64}], {"strength"})
    {'size': 64}
    """
    found: dict[str, Any] | None = None
    for settings in jobs:
        if found is None:
            found = {k: v for k, v in settings.items() if k not in swept}
        elif gone := [k for k, v in found.items() if k not in settings or settings[k] != v]:
            for name in gone:
                del found[name]
    return found or {}


def pairs_manifest(records: Sequence[Made], output: Path, backbone: Mapping[str, Any]) -> str:
    """A manifest that makes just these jobs again, as YAML.

    Args:
        output: its run folder.
        backbone: `name`, and `weights` if they are a file.
    """
    swept = {name for record in records for name in record.swept}
    whole = {
        "output": str(output),
        "backbone": {k: v for k, v in backbone.items() if k in BACKBONE_KEYS and v},
        "settings": common_settings((record.settings for record in records), swept),
        "pairs": [_pair_of(record) for record in records],
    }
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)


def _pair_of(record: Made) -> dict[str, Any]:
    """One job as an entry of `pairs`."""
    pair = {
        "content": record.content.path,
        "style": _style_of(record),
        "settings": dict(record.swept),
    }
    masks = {"mask": record.content.mask, "keep": record.content.keep}
    return pair | {name: mask for name, mask in masks.items() if mask is not None}


def _style_of(record: Made) -> Any:
    """A job's style as manifests have it: a path, a blend, or regions."""
    pictures = record.style.pictures
    regions = {p.region: p.path for p in pictures if p.region is not None}
    if regions:
        return {"name": record.style.name, "regions": regions}
    if len(pictures) == 1:
        return pictures[0].path
    # Where the weights were swept they may be 0, and the pair's settings have them.
    swept = "blend" in record.swept
    return {
        "name": record.style.name,
        "blend": {p.path: 1.0 if swept else p.weight for p in pictures},
    }
