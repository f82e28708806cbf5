"""Drawings of a run as SVG: loss curves, and pictures over time.

In: losses and moments. Out: text that stands in the page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pipeline.report.entries import LOSSES, Entry

_COLORS = {"total": "1", "content": "2", "style": "3", "tv": "4"}  # of the page's palette


def curves_svg(record: Mapping[str, Any]) -> str:
    """The losses over the steps as an SVG, on a logarithmic scale; empty without losses."""
    points = [p for p in record.get("losses") or [] if isinstance(p, Mapping) and "step" in p]
    series: dict[str, list[tuple[float, float]]] = {}
    for name in LOSSES:
        values = [(float(p["step"]), float(p[name])) for p in points if _is_positive(p.get(name))]
        if len(values) > 1:
            series[name] = values
    if not series:
        return ""
    steps = [step for values in series.values() for step, _ in values]
    levels = [math.log10(v) for values in series.values() for _, v in values]
    left, right, low, high = min(steps), max(steps), min(levels), max(levels)
    span, depth = max(right - left, 1e-9), max(high - low, 1e-3)
    lines = []
    for name, values in series.items():
        places = " ".join(
            f"{44 + 306 * (s - left) / span:.1f},{12 + 136 * (high - math.log10(v)) / depth:.1f}"
            for s, v in values
        )
        lines.append(f'<polyline class="c{_COLORS[name]}" points="{places}"/>')
    ticks = "".join(
        f'<text x="40" y="{y}" text-anchor="end">{10**level:.2g}</text>'
        for y, level in ((16, high), (150, low))
    )
    keys = "".join(
        f'<text class="k{_COLORS[name]}" x="{44 + 80 * i}" y="182">{name}</text>'
        for i, name in enumerate(series)
    )
    return (
        '<svg class="curves" viewBox="0 0 360 188" role="img" '
        f'aria-label="losses over {right:.0f} steps"><path class="axis" d="M44 8V148H350"/>'
        f'{"".join(lines)}{ticks}<text x="350" y="164" text-anchor="end">step {right:.0f}</text>'
        f"{keys}</svg>"
    )


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 < value < float("inf")


def timeline_svg(entries: Iterable[Entry]) -> str:
    """Pictures done over time, as an SVG; empty with less than two."""
    moments = []
    for entry in entries:
        if entry.image and entry.finished:
            try:
                moments.append(datetime.fromisoformat(entry.finished).timestamp())
            except ValueError:
                continue
    moments.sort()
    if len(moments) < 2 or moments[-1] == moments[0]:
        return ""
    keep = [*moments[:: max(1, len(moments) // 400)], moments[-1]]
    span = moments[-1] - moments[0]
    places = " ".join(
        f"{600 * (m - moments[0]) / span:.1f},{58 - 56 * (i + 1) / len(keep):.1f}"
        for i, m in enumerate(keep)
    )
    return (
        '<svg class="timeline" viewBox="0 0 600 60" preserveAspectRatio="none" role="img" '
        f'aria-label="pictures done over time"><polyline points="0,58 {places}"/></svg>'
    )
