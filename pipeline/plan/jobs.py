"""Manifest -> a lazy stream of jobs: pairing, grid, names, keys.

In: a valid manifest and the digest of the backbone. Out: jobs in a stable order, each with a name
that no other job has. The plan is never held whole in memory.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError
from pipeline.manifest import DEFAULT_MAX_JOBS, INITS, Manifest, Picture, Sample, Settings, Style
from pipeline.pictures import file_sha256

_RESERVED = {"con", "prn", "aux", "nul"} | {f"{n}{i}" for n in ("com", "lpt") for i in range(10)}
_LONGEST_LABEL = 80


# --- names ----------------------------------------------------------------------------------------


def safe_label(text: str) -> str:
    """A file-name part that Linux, macOS and Windows all take, without `__` in or at its ends.

    Labels are joined by `__`, so a label without it keeps joined names unambiguous.
    """
    # A Linux file name need not be UTF-8; what is not becomes `?`, and that `_`.
    text = unicodedata.normalize("NFC", text.encode(errors="replace").decode())
    text = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", text)
    text = re.sub(r"_+", "_", text).strip(" ._") or "unnamed"
    if text.split(".")[0].strip().lower() in _RESERVED:
        text = f"{text}-file"
    if len(text.encode()) > _LONGEST_LABEL:
        kept = text.encode()[: _LONGEST_LABEL - 9].decode(errors="ignore").rstrip(" ._")
        text = f"{kept}-{_short_hash(text)}"
    return text


def safe_path_label(path: str) -> str:
    """A relative path, each part made safe; never absolute, never above its root."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join(safe_label(part) for part in parts) or "unnamed"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def unique_labels(candidates: Sequence[Sequence[str]]) -> list[str]:
    """One label for each row of candidates: the first column in which it stands alone.

    Compared without case, since macOS and Windows do. The last candidate of a row has to be unique.
    """
    chosen: list[str | None] = [None] * len(candidates)
    taken: set[str] = set()
    for column in range(max((len(row) for row in candidates), default=0)):
        open_rows = [i for i, label in enumerate(chosen) if label is None]
        counts: dict[str, int] = {}
        for i in open_rows:
            folded = candidates[i][min(column, len(candidates[i]) - 1)].casefold()
            counts[folded] = counts.get(folded, 0) + 1
        for i in open_rows:
            label = candidates[i][min(column, len(candidates[i]) - 1)]
            if counts[label.casefold()] == 1 and label.casefold() not in taken:
                chosen[i] = label
                taken.add(label.casefold())
    assert all(label is not None for label in chosen)
    return [label for label in chosen if label is not None]


def _content_candidates(picture: Picture) -> list[str]:
    label = safe_path_label(picture.label)
    suffix = picture.path.suffix.lstrip(".").lower()
    return [label, f"{label}-{suffix}", f"{label}-{_short_hash(str(picture.path))}"]


def _style_candidates(style: Style) -> list[str]:
    label = safe_label(style.label)
    whole = json.dumps([[str(path), weight] for path, weight in style.parts])
    suffix = style.parts[0][0].suffix.lstrip(".").lower() if len(style.parts) == 1 else "blend"
    return [label, f"{label}-{suffix}", f"{label}-{_short_hash(style.label + whole)}"]


def value_label(name: str, value: Any) -> str:
    """A swept value in a file name: `style_weight-1000`, `style_layers-conv1_1+conv2_1`."""
    if isinstance(value, bool):
        text = "on" if value else "off"
    elif isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, (list, tuple)):
        text = "+".join(f"{item:g}" for item in value)
    elif isinstance(value, Mapping):
        equal = len(set(value.values())) == 1
        text = "+".join(key if equal else f"{key}={weight:g}" for key, weight in value.items())
    else:
        text = Path(str(value)).stem if "/" in str(value) else str(value)
    return safe_label(f"{name}-{text}")


def _axis_labels(name: str, values: Sequence[Any]) -> list[str]:
    rows = [
        [label := value_label(name, value), f"{label}-{_short_hash(repr(value))}"]
        for value in values
    ]
    return unique_labels(rows)


# --- jobs -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One content picture, one style, one point of the grid: one output picture.

    Attributes:
        index: position in the plan.
        name: output path below `images/`, without suffix; unique in the plan.
        key: SHA-256 over all that decides the output; 64 hex digits.
        point: the swept values.
    """

    index: int
    name: str
    key: str
    content: Picture
    style: Style
    settings: Settings
    point: Mapping[str, Any]


@dataclass(frozen=True)
class _Point:
    labels: tuple[str, ...]
    values: Mapping[str, Any]
    settings: Settings
    canonical: str


class Plan:
    """The jobs of a manifest, in order.

    Args:
        manifest: valid.
        digest: of the backbone's weights, for given settings (they decide normalization).
        algorithm: version of the code that decides pixels.
        max_jobs: more are refused.

    Raises:
        ManifestError: more than `max_jobs` jobs.
    """

    def __init__(
        self,
        manifest: Manifest,
        digest: Callable[[Settings], str],
        algorithm: int,
        max_jobs: int = DEFAULT_MAX_JOBS,
    ) -> None:
        self.manifest, self.algorithm = manifest, algorithm
        self._digest = digest
        self._points = math.prod(len(values) for values in manifest.axes.values())
        if len(self) > max_jobs:
            raise ManifestError(
                [
                    f"{manifest.path}:1: {len(self):,} jobs ({self.pair_count:,} pairs x "
                    f"{self._points:,} grid points) are more than --max-jobs {max_jobs:,}; make "
                    f"the grid smaller or raise the limit"
                ]
            )

    @property
    def shard_size(self) -> int:
        """Jobs in a tar shard; 0 where pictures stay loose files."""
        form = self.manifest.form
        return form.shard_size if form.format == "webdataset" else 0

    def drawn_pairs(self) -> Iterator[tuple[Picture, Style]]:
        """Content and style of every pair that the pairing makes, without the explicit ones."""
        for content, style, _ in itertools.islice(self._pairs(), self._main_pair_count()):
            yield self.manifest.contents[content], self.manifest.styles[style]

    # -- pairs --

    def _main_pair_count(self) -> int:
        contents, styles = self.manifest.paired
        if self.manifest.pairing == "zip":
            return min(contents, styles)
        if isinstance(self.manifest.pairing, Sample):
            return contents * min(self.manifest.pairing.sample, styles)
        return contents * styles

    @cached_property
    def _extra_pairs(self) -> list[tuple[int, int, int]]:
        """Explicit pairs that the pairing does not already make: content, style, own settings."""
        own = [repr(dict(pair.settings)) for pair in self.manifest.pairs]
        pairs = [
            (pair.content, pair.style, self._own_index[settings])
            for pair, settings in zip(self.manifest.pairs, own, strict=True)
        ]
        return [p for p in dict.fromkeys(pairs) if p[2] or not self._is_made((p[0], p[1]))]

    @cached_property
    def _own_settings(self) -> list[tuple[Mapping[str, Any], str]]:
        """The settings that explicit pairs have of their own, each with its label; first none."""
        distinct = {repr(dict(p.settings)): p.settings for p in self.manifest.pairs if p.settings}
        rows = []
        for shown, settings in distinct.items():
            label = "__".join(value_label(name, value) for name, value in settings.items())
            rows.append([label, f"{label}-{_short_hash(shown)}"])
        return [({}, ""), *zip(distinct.values(), unique_labels(rows), strict=True)]

    @cached_property
    def _own_index(self) -> dict[str, int]:
        return {repr(dict(own)): i for i, (own, _) in enumerate(self._own_settings)}

    def _is_made(self, pair: tuple[int, int]) -> bool:
        contents, styles = self.manifest.paired
        if pair[0] >= contents or pair[1] >= styles:
            return False
        if self.manifest.pairing == "zip":
            return pair[0] == pair[1]
        if isinstance(self.manifest.pairing, Sample):
            return pair[1] in self._sampled(pair[0])
        return True

    def _sampled(self, content: int) -> list[int]:
        """The styles drawn for one content; other contents have no say in it."""
        pairing = self.manifest.pairing
        assert isinstance(pairing, Sample)
        draw = random.Random(f"{pairing.seed}/{self.manifest.contents[content].label}")
        styles = self.manifest.paired[1]
        return sorted(draw.sample(range(styles), min(pairing.sample, styles)))

    def _pairs(self) -> Iterator[tuple[int, int, int]]:
        """Content, style, and which of the pairs' own settings."""
        contents, styles = self.manifest.paired
        if self.manifest.pairing == "zip":
            yield from ((i, i, 0) for i in range(min(contents, styles)))
        elif isinstance(self.manifest.pairing, Sample):
            for content in range(contents if styles else 0):
                yield from ((content, style, 0) for style in self._sampled(content))
        else:
            yield from itertools.product(range(contents), range(styles), (0,))
        yield from self._extra_pairs

    @property
    def pair_count(self) -> int:
        """Content x style pairs."""
        return self._main_pair_count() + len(self._extra_pairs)

    def __len__(self) -> int:
        return self.pair_count * self._points

    # -- grid --

    @cached_property
    def _axes(self) -> list[tuple[str, Sequence[Any], list[str]]]:
        return [
            (name, values, _axis_labels(name, values))
            for name, values in self.manifest.axes.items()
        ]

    def _point(self, index: int, own: int) -> _Point:
        values: dict[str, Any] = {}
        labels: list[str] = []
        for name, choices, names in reversed(self._axes):
            index, choice = divmod(index, len(choices))
            values[name] = choices[choice]
            labels.append(names[choice])
        mine, label = self._own_settings[own]
        values = {**mine, **dict(reversed(values.items()))}
        labels += [label] if label else []
        settings = Settings.model_validate({**self.manifest.settings, **values})
        deciding = settings.deciding_pixels()
        if settings.init not in INITS:
            deciding["init"] = self._sha256(Path(settings.init))
        canonical = json.dumps(deciding, sort_keys=True)
        return _Point(tuple(reversed(labels)), values, settings, canonical)

    # -- the stream --

    @cached_property
    def content_labels(self) -> list[str]:
        """Each content's label in output names."""
        return unique_labels([_content_candidates(c) for c in self.manifest.contents])

    @cached_property
    def style_labels(self) -> list[str]:
        """Each style's label in output names."""
        return unique_labels([_style_candidates(s) for s in self.manifest.styles])

    @cached_property
    def _sha256(self) -> Callable[[Path], str]:
        return lru_cache(maxsize=1_000_000)(file_sha256)

    def jobs(self) -> Iterator[Job]:
        """All jobs in order: contents, then their styles, then the grid, last axis fastest.

        Raises:
            ImageError: an input file has vanished or cannot be read.
        """
        point = lru_cache(maxsize=100_000)(self._point)
        numbers = itertools.count()
        for content_index, style_index, own in self._pairs():
            content = self.manifest.contents[content_index]
            style = self.manifest.styles[style_index]
            pair_name = f"{self.content_labels[content_index]}__{self.style_labels[style_index]}"
            for point_index in range(self._points):
                at = point(point_index, own)
                weighted = style.weighted(at.settings.blend)
                yield Job(
                    index=next(numbers),
                    name="__".join((pair_name, *at.labels)),
                    key=self._key(content, weighted, at),
                    content=content,
                    style=weighted,
                    settings=at.settings,
                    point=at.values,
                )

    def _key(self, content: Picture, style: Style, at: _Point) -> str:
        parts = [
            str(self.algorithm),
            self._digest(at.settings),
            self._sha256(content.path),
            json.dumps([[self._sha256(path), weight] for path, weight in style.parts]),
            at.canonical,
        ]
        masks = [content.mask, *style.masks]
        if any(masks):
            parts.append(json.dumps([mask and self._sha256(mask) for mask in masks]))
            parts.append(json.dumps(style.regions))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def count_by(jobs: Iterable[tuple[Job, bool]]) -> dict[str, dict[str, tuple[int, int]]]:
    """Counts of jobs and of done jobs by content, style and each swept setting's value.

    Args:
        jobs: each job with whether it is done.

    Returns:
        axis -> value -> (jobs, done).
    """
    table: dict[str, dict[str, tuple[int, int]]] = {}
    for job, done in jobs:
        values = {"content": job.content.label, "style": job.style.label}
        values |= {name: value_label("", value) for name, value in job.point.items()}
        for axis, value in values.items():
            row = table.setdefault(axis, {})
            total, finished = row.get(value, (0, 0))
            row[value] = (total + 1, finished + done)
    return table
