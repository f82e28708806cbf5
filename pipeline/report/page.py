"""A run as one HTML page: a summary, and its pictures as a grid of any two axes.

In: a run folder. Out: `report.html`, which opens from disk without a network, and small files
beside it in `report/`: thumbnails, and each job's record and loss curves in chunks that the page
loads when they are looked at. Reads records only; knows nothing of networks or devices.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image, UnidentifiedImageError

from pipeline.errors import ImageError, NstError
from pipeline.files import write_atomic
from pipeline.pictures import read_image
from pipeline.plan import value_label
from pipeline.store import RunFolder
from pipeline.version import __version__

THUMBNAIL_PX = 192
_CHUNK = 50  # records in one file of details
_LOSSES = ("total", "content", "style", "tv")
_COLORS = {"total": "1", "content": "2", "style": "3", "tv": "4"}  # of the page's palette


@dataclass(frozen=True)
class Built:
    """What `build_report` did.

    Attributes:
        path: the page.
        jobs: how many records and failed jobs it shows.
        left_out: records that could not be read, each with the reason.
    """

    path: Path
    jobs: int
    left_out: tuple[str, ...]


@dataclass
class _Axis:
    """One axis of the grid: its values in order of appearance, and each job's among them."""

    name: str
    index: dict[str, int] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    pictures: list[Path | None] = field(default_factory=list)
    column: list[int] = field(default_factory=list)

    def add(self, key: str, label: str, value: Any, picture: Path | None) -> None:
        """The next job's value."""
        if key not in self.index:
            self.index[key] = len(self.labels)
            self.labels.append(label)
            self.values.append(value)
            self.pictures.append(picture)
        self.column.append(self.index[key])


@dataclass(frozen=True)
class _Entry:
    """A job as the page shows it: a record, or a failure without one."""

    name: str
    content: str
    style: str
    parts: Mapping[str, float]
    regions: Mapping[str, str]
    mask: str
    swept: Mapping[str, Any]
    image: str | None
    sha256: str
    losses: tuple[float | None, ...]
    seconds: float
    size: tuple[int, int]
    finished: str
    error: str | None
    record: Mapping[str, Any]


def build_report(store: RunFolder) -> Built:
    """Writes `report.html` of a run, done or not, and what it needs.

    Thumbnails that are there already are kept; those of pictures that are gone are removed.

    Raises:
        RunFolderError: no space or no rights, or the pictures are in tar shards.
    """
    store.check_loose()
    entries, left_out = _entries(store)
    folder = store.path / "report"
    thumbnails = _thumbnails(store, folder / "thumbs", entries)
    axes = _axes(entries)
    data = _data(store, entries, axes, thumbnails, folder / "thumbs")
    _write_details(folder / "detail", entries)
    page = (
        _environment()
        .get_template("report.html")
        .render(
            title=store.path.name,
            version=__version__,
            summary=_summary(store, entries),
            failures=_failures(entries),
            left_out=left_out,
            timeline=_timeline(entries),
            data=script_json(data),
        )
    )
    path = store.path / "report.html"
    write_atomic(path, page.encode())
    return Built(path, len(entries), tuple(left_out))


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "web")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


def script_json(data: Any) -> str:
    """JSON that may stand in a <script> element: whatever a name holds, it cannot end it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# --- what there is --------------------------------------------------------------------------------


def _entries(store: RunFolder) -> tuple[list[_Entry], list[str]]:
    """All jobs with a record or a failure, by name; and what could not be read."""
    found: dict[str, _Entry] = {}
    left_out = []
    for path in sorted(store.images.rglob("*.json")):
        try:
            entry = _from_record(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            name = path.relative_to(store.path).as_posix()
            left_out.append(f"{name}: {type(error).__name__}: {error}")
            continue
        found[entry.name] = entry
    for name, failure in store.failures().items():
        if name not in found:
            found[name] = _from_failure(name, failure)
    return [found[name] for name in sorted(found)], left_out


def _from_record(record: Mapping[str, Any]) -> _Entry:
    last = record["losses"][-1] if record["losses"] else {}
    width, height = record["output"]["size"]
    return _Entry(
        name=str(record["name"]),
        content=str(record["content"]["path"]),
        style=str(record["style"]["name"]),
        parts={str(p["path"]): float(p["weight"]) for p in record["style"]["pictures"]},
        regions={
            str(p["region"]): str(p["path"]) for p in record["style"]["pictures"] if "region" in p
        },
        mask=str(record["content"].get("mask", "")),
        swept=dict(record["swept"]),
        image=str(record["output"]["path"]),
        sha256=str(record["output"]["sha256"]),
        losses=tuple(float(last[name]) if name in last else None for name in _LOSSES),
        seconds=sum(record["seconds"].values()),
        size=(int(width), int(height)),
        finished=str(record["finished"]),
        error=None,
        record=record,
    )


def _from_failure(name: str, failure: Mapping[str, Any]) -> _Entry:
    parts = failure.get("style_parts") or {}
    return _Entry(
        name=name,
        content=str(failure.get("content", "?")),
        style=str(failure.get("style", "?")),
        parts={str(path): float(weight) for path, weight in parts.items()},
        regions={},
        mask="",
        swept=dict(failure.get("swept") or {}),
        image=None,
        sha256="",
        losses=(None,) * len(_LOSSES),
        seconds=0.0,
        size=(0, 0),
        finished=str(failure.get("time", "")),
        error=str(failure.get("error", "")),
        record=failure,
    )


def _axes(entries: Sequence[_Entry]) -> list[_Axis]:
    """content, style and each swept setting."""
    swept = list(dict.fromkeys(name for entry in entries for name in entry.swept))
    contents, styles = _Axis("content"), _Axis("style")
    axes = {name: _Axis(name) for name in swept}
    labels = _short_names(sorted({entry.content for entry in entries}))
    for entry in entries:
        contents.add(entry.content, labels[entry.content], entry.content, Path(entry.content))
        first = next(iter(entry.parts), None)
        blend = {"name": entry.style, "parts": entry.parts, "regions": entry.regions}
        styles.add(
            json.dumps([entry.style, sorted(entry.parts.items())]),
            entry.style,
            blend,
            Path(first) if first else None,
        )
        for name, axis in axes.items():
            value = entry.swept.get(name)
            label = value_label("", value).lstrip("-") if name in entry.swept else "as set"
            axis.add(json.dumps(value, sort_keys=True), label, value, None)
    ordered = [contents, styles, *axes.values()]
    for axis in ordered:
        _in_order(axis)
    return ordered


def _short_names(paths: Sequence[str]) -> dict[str, str]:
    """File names without their suffix; with the folder where two are the same."""
    counts: dict[str, int] = {}
    for path in paths:
        counts[Path(path).stem] = counts.get(Path(path).stem, 0) + 1
    return {
        path: Path(path).stem
        if counts[Path(path).stem] == 1
        else f"{Path(path).parent.name}/{Path(path).stem}"
        for path in paths
    }


def _in_order(axis: _Axis) -> None:
    """Numbers by size, all else by name."""

    def rank(place: int) -> tuple[int, float, str]:
        value = axis.values[place]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return (0, float(value), "") if is_number else (1, 0.0, axis.labels[place])

    order = sorted(range(len(axis.labels)), key=rank)
    new = {old: place for place, old in enumerate(order)}
    for name in ("labels", "values", "pictures"):
        setattr(axis, name, [getattr(axis, name)[old] for old in order])
    axis.column = [new[old] for old in axis.column]


# --- small files ----------------------------------------------------------------------------------


def _thumbnails(store: RunFolder, folder: Path, entries: Iterable[_Entry]) -> set[str]:
    """Makes the thumbnails that are missing; the names of all that there are."""
    wanted = {entry.sha256[:20]: entry for entry in entries if entry.image}
    there = {path.stem for path in folder.glob("*.webp")}
    for name in there - set(wanted):
        if not name.startswith("in-"):
            (folder / f"{name}.webp").unlink(missing_ok=True)

    def make(item: tuple[str, _Entry]) -> str | None:
        name, entry = item
        assert entry.image is not None
        try:
            with Image.open(store.path / entry.image) as image:
                image.draft("RGB", (2 * THUMBNAIL_PX, 2 * THUMBNAIL_PX))
                _write_thumbnail(folder / f"{name}.webp", image.convert("RGB"))
        except (OSError, UnidentifiedImageError, ValueError):
            return None  # the page shows the full picture instead, or that it is gone
        return name

    missing = [(name, entry) for name, entry in wanted.items() if name not in there]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        made = {name for name in pool.map(make, missing) if name}
    return made | (there & set(wanted))


def _write_thumbnail(path: Path, image: Image.Image) -> None:
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=78, method=2)
    write_atomic(path, buffer.getvalue())


def _input_thumbnail(folder: Path, path: Path) -> str | None:
    """The thumbnail of a content or style picture, by its path and time; None if it is gone."""
    try:
        stamp = f"{path}\n{path.stat().st_mtime_ns}"
        name = "in-" + hashlib.sha256(stamp.encode(errors="surrogateescape")).hexdigest()[:17]
        if not (folder / f"{name}.webp").exists():
            _write_thumbnail(folder / f"{name}.webp", read_image(path))
    except (OSError, ImageError):
        return None
    return name


def _write_details(folder: Path, entries: Sequence[_Entry]) -> None:
    """Records and curves in files that a page opened from disk may load: scripts, not JSON."""
    for number, start in enumerate(range(0, len(entries), _CHUNK)):
        rows = [
            {"record": _shortened(entry.record), "curves": curves_svg(entry.record)}
            for entry in entries[start : start + _CHUNK]
        ]
        text = f"nstDetail({number},{script_json(rows)});\n"
        path = folder / f"{number:05}.js"
        if not path.exists() or path.read_bytes() != text.encode():
            write_atomic(path, text.encode())
    for path in folder.glob("*.js"):
        if not path.stem.isdigit() or int(path.stem) * _CHUNK >= len(entries):
            path.unlink(missing_ok=True)


def _shortened(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "losses"}


# --- drawings -------------------------------------------------------------------------------------


def curves_svg(record: Mapping[str, Any]) -> str:
    """The losses over the steps as an SVG, on a logarithmic scale; empty without losses."""
    points = [p for p in record.get("losses") or [] if isinstance(p, Mapping) and "step" in p]
    series: dict[str, list[tuple[float, float]]] = {}
    for name in _LOSSES:
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


def _timeline(entries: Iterable[_Entry]) -> str:
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


# --- the page's data ------------------------------------------------------------------------------


def _data(
    store: RunFolder,
    entries: Sequence[_Entry],
    axes: Sequence[_Axis],
    thumbnails: set[str],
    folder: Path,
) -> dict[str, Any]:
    """What the page works on, a list a column."""
    errors = list(dict.fromkeys(entry.error for entry in entries if entry.error is not None))
    first = next((entry.record for entry in entries if entry.image), {})
    swept = {axis.name for axis in axes}
    settings = {k: v for k, v in dict(first.get("settings") or {}).items() if k not in swept}
    sizes = [entry.size for entry in entries]
    return {
        "run": str(store.path.resolve()),
        "chunk": _CHUNK,
        "axes": [
            {
                "name": axis.name,
                "labels": axis.labels,
                "values": axis.values,
                "thumbs": [_input_thumbnail(folder, p) if p else None for p in axis.pictures]
                if axis.name in ("content", "style")
                else [],
                "column": axis.column,
            }
            for axis in axes
        ],
        "names": [entry.name for entry in entries],
        "suffixes": [_suffix(entry) for entry in entries],
        "thumbs": [
            entry.sha256[:20] if entry.sha256[:20] in thumbnails else 0 for entry in entries
        ],
        "errors": errors,
        "error": [errors.index(e.error) if e.error is not None else -1 for e in entries],
        "losses": {
            name: [_rounded(entry.losses[i]) for entry in entries]
            for i, name in enumerate(_LOSSES[:3])
        },
        "seconds": [round(entry.seconds, 2) for entry in entries],
        "sizes": sizes[0] if len(set(sizes)) == 1 else sizes,
        "settings": settings,
        "backbone": _backbone(store),
        "masks": {entry.content: entry.mask for entry in entries if entry.mask},
    }


def _suffix(entry: _Entry) -> str | int:
    """The picture's suffix, its name being the job's; 0 for none."""
    return Path(entry.image).suffix if entry.image else 0


def _rounded(value: float | None) -> float | None:
    return None if value is None or value != value else float(f"{value:.4g}")


def _backbone(store: RunFolder) -> dict[str, Any]:
    try:
        about = json.loads((store.path / "plan.json").read_bytes())["backbone"]
        return {k: about[k] for k in ("name", "weights") if about.get(k)}
    except (OSError, ValueError, KeyError, TypeError):
        return {"name": "lite"}


def _summary(store: RunFolder, entries: Sequence[_Entry]) -> list[tuple[str, str]]:
    """Figures of the run, each with its name."""
    try:
        runs = store.summaries()
    except NstError:
        runs = {}
    done = sum(entry.image is not None for entry in entries)
    failed = len(entries) - done
    jobs = sum(run["jobs"] for run in runs.values())
    rows = [("done", f"{done:,} of {max(jobs, len(entries)):,}"), ("failed", f"{failed:,}")]
    spent = [part for run in runs.values() for part in (*run["earlier"], run) if part["done"]]
    seconds = sum(part["seconds"] for part in spent)
    if seconds:
        made = sum(part["done"] for part in spent)
        rows.append(("images per hour", f"{3600 * made / seconds:,.0f}"))
        rows.append(("time", _duration(seconds)))
        busy = sum(part["utilization"] * part["seconds"] for part in spent) / seconds
        rows.append(("slots busy", f"{100 * busy:.0f}%"))
    targets = [dict(e.record.get("targets") or {}) for e in entries if e.image]
    hits, computed = (sum(t.get(k, 0) for t in targets) for k in ("hits", "computed"))
    rows.append(("style targets", f"{computed:,} computed, {hits:,} from the cache"))
    devices: dict[str, int] = {}
    for entry in entries:
        if entry.image:
            where = f"{entry.record.get('device', '?')}, {entry.record.get('precision', '?')}"
            devices[where] = devices.get(where, 0) + 1
    rows += [("device", f"{where}: {count:,} pictures") for where, count in devices.items()]
    return rows


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _failures(entries: Iterable[_Entry]) -> list[tuple[str, list[str]]]:
    """Reasons, the most frequent first, each with the names of its jobs."""
    reasons: dict[str, list[str]] = {}
    for entry in entries:
        if entry.error is not None:
            reasons.setdefault(entry.error, []).append(entry.name)
    return sorted(reasons.items(), key=lambda item: -len(item[1]))
