"""Jobs that are there, as a manifest that makes just these again.

In: how they were made. Out: YAML. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.store import BACKBONE_KEYS, Made


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
        "settings": {k: v for k, v in records[0].settings.items() if k not in swept},
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
