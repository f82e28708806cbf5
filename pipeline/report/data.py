"""The page's data and figures.

In: entries, axes, the run's summaries. Out: plain values for the template and the script.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.report.axes import Axis, clips_of
from pipeline.report.details import CHUNK
from pipeline.report.entries import LOSSES, Entry
from pipeline.report.grow import grown_settings
from pipeline.report.inputs import Inputs
from pipeline.report.pairs import common_settings
from pipeline.report.thumbnails import input_thumbnail, thumbnail_name
from pipeline.store import BACKBONE_KEYS, RunFolder
from pipeline.terminal import counted


def page_data(
    store: RunFolder,
    entries: Sequence[Entry],
    axes: Sequence[Axis],
    thumbnails: set[str],
    folder: Path,
) -> dict[str, Any]:
    """What the page works on, a list a column."""
    errors = list(dict.fromkeys(entry.error for entry in entries if entry.error is not None))
    made = (dict(entry.record.get("settings") or {}) for entry in entries if entry.image)
    settings = common_settings(made, {axis.name for axis in axes})
    sizes = [entry.size for entry in entries]
    return {
        "run": str(store.path.resolve()),
        "title": store.path.resolve().name,
        "chunk": CHUNK,
        "axes": _axes(store, axes, folder),
        "names": [entry.name for entry in entries],
        "suffixes": [_suffix(entry) for entry in entries],
        "thumbs": [
            name if (name := thumbnail_name(entry.sha256)) in thumbnails else 0 for entry in entries
        ],
        "errors": errors,
        "error": [errors.index(e.error) if e.error is not None else -1 for e in entries],
        "losses": {
            name: [_rounded(entry.losses[i]) for entry in entries]
            for i, name in enumerate(LOSSES[:3])
        },
        "seconds": [round(entry.seconds, 2) for entry in entries],
        "sizes": sizes[0] if len(set(sizes)) == 1 else sizes,
        "settings": settings,
        "backbone": _backbone(store),
        "masks": {entry.content: entry.mask for entry in entries if entry.mask},
        "keeps": {entry.content: entry.keep for entry in entries if entry.keep},
        **_grown(entries),
        **_clips(store, entries),
    }


def _axes(store: RunFolder, axes: Sequence[Axis], folder: Path) -> list[dict[str, Any]]:
    """Each axis with its values, thumbnails of those that are pictures, and each job's."""
    inputs = Inputs(store)

    def thumbs(axis: Axis) -> list[str | None]:
        if axis.kind not in ("content", "style"):
            return []
        return [input_thumbnail(store, folder, inputs, *p) if p else None for p in axis.pictures]

    return [
        {
            "name": axis.name,
            "kind": axis.kind,
            "labels": axis.labels,
            "values": axis.values,
            "thumbs": thumbs(axis),
            "column": axis.column,
        }
        for axis in axes
    ]


def _grown(entries: Sequence[Entry]) -> dict[str, Any]:
    """What changes in each job's settings at a larger size: the distinct ones, and each job's."""
    found: dict[str, int] = {}
    column = []
    for entry in entries:
        grown = grown_settings(dict(entry.record.get("settings") or {}), entry.scales)
        column.append(found.setdefault(json.dumps(grown), len(found)))
    return {"grown": [json.loads(text) for text in found], "grow": column if len(found) > 1 else []}


def _clips(store: RunFolder, entries: Sequence[Entry]) -> dict[str, Any]:
    """The clips with their video, if it is there, and each job's clip; -1 of a picture alone."""
    paths = clips_of(entries)
    found: dict[str, int] = {}
    clips: list[dict[str, Any]] = []
    column = []
    for entry in entries:
        if entry.name not in paths:
            column.append(-1)
            continue
        place = json.dumps([paths[entry.name], entry.style, entry.swept], default=str)
        number = found.setdefault(place, len(found))
        if number == len(clips):
            clips.append({"video": "", "frames": 0})
        if entry.clip is not None and not clips[number]["frames"]:
            video = store.videos / f"{entry.clip.video}.mp4"
            there = store.inside.is_file(video)
            clips[number]["video"] = video.relative_to(store.path).as_posix() if there else ""
            clips[number]["frames"] = entry.clip.frames
        column.append(number)
    return {"clips": clips, "clip": column if clips else []}


def _suffix(entry: Entry) -> str | int:
    """The picture's suffix, its name being the job's; 0 for none."""
    return Path(entry.image).suffix if entry.image else 0


def _rounded(value: float | None) -> float | None:
    return None if value is None or value != value else float(f"{value:.4g}")


def _backbone(store: RunFolder) -> dict[str, Any]:
    """What an exported manifest says of the network."""
    header = store.header()
    if header is None:
        return {"name": "lite"}
    return {k: v for k, v in header.backbone.plain().items() if k in BACKBONE_KEYS and v}


def run_figures(store: RunFolder, entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Figures of the run, each with its name."""
    runs = store.summaries()
    done = sum(entry.image is not None for entry in entries)
    failed = len(entries) - done
    header = store.header()
    jobs = (header.jobs if header else 0) or sum(run.jobs for run in runs.values())
    rows = [("done", f"{done:,} of {max(jobs, len(entries)):,}"), ("failed", f"{failed:,}")]
    spent = [
        part for run in runs.values() for part in (*run.earlier, run)
        if part.done and math.isfinite(part.seconds) and math.isfinite(part.utilization)
    ]  # fmt: skip
    seconds = sum(part.seconds for part in spent)
    if seconds:
        made = sum(part.done for part in spent)
        rows.append(("images per hour", f"{3600 * made / seconds:,.0f}"))
        rows.append(("time", _duration(seconds)))
        busy = sum(part.utilization * part.seconds for part in spent) / seconds
        rows.append(("slots busy", f"{100 * busy:.0f}%"))
    targets = [dict(e.record.get("targets") or {}) for e in entries if e.image]
    hits, computed = (sum(t.get(k, 0) for t in targets) for k in ("hits", "computed"))
    if stale := len(store.stale()):
        rows.append(("left out", f"{counted(stale, 'picture')} of no job any more"))
    rows.append(("style targets", f"{computed:,} computed, {hits:,} from the cache"))
    devices: dict[str, int] = {}
    for entry in entries:
        if entry.image:
            where = f"{entry.record.get('device', '?')}, {entry.record.get('precision', '?')}"
            devices[where] = devices.get(where, 0) + 1
    rows += [
        ("device", f"{where}: {counted(count, 'picture')}") for where, count in devices.items()
    ]
    return rows


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


@dataclass(frozen=True)
class Reason:
    """Why jobs failed.

    Attributes:
        count: how many for this reason.
        contents: their contents' names, each once.
    """

    text: str
    count: int
    contents: tuple[str, ...]


def failure_reasons(entries: Iterable[Entry]) -> list[Reason]:
    """Each reason once, the most frequent first."""
    reasons: dict[str, list[str]] = {}
    for entry in entries:
        if entry.error is not None:
            reasons.setdefault(entry.error, []).append(Path(entry.content).name)
    ordered = sorted(reasons.items(), key=lambda item: -len(item[1]))
    return [Reason(text, len(names), tuple(dict.fromkeys(names))) for text, names in ordered]
