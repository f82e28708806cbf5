"""A job's settings: the table's rows, resolved from a preset; what goes together, what decides
pixels.

In: values as people write them. Out: `Settings`. Knows nothing of files or devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from pipeline.layers import LAYERS, NEIGHBOR_LAYERS
from pipeline.manifest.fields import AUTO, ORIGINAL
from pipeline.manifest.levels import LEVELS, level_problem, level_values
from pipeline.manifest.presets import preset_values, preset_version
from pipeline.manifest.table import Written
from pipeline.pictures import side_problem

# Settings that once had another name -> today's. The old ones go on working wherever settings are
# given.
OLD_NAMES = {"optimiser": "optimizer", "normalised": "normalized"}
# `size_step: auto`: below this size half a step would be more than a sixteenth of a side.
_STEP_PX, _STEP_FROM_PX = 16, 128
# Job keys are made of the names that settings had at first, so that a new name changes no key.
_NAMES_IN_KEYS = {new: old for old, new in OLD_NAMES.items()}


def both_names(values: Mapping[str, Any]) -> tuple[str, str] | None:
    """The old name of a setting that stands there under both, and what is said of it; or None."""
    for old, new in OLD_NAMES.items():
        if old in values and new in values:
            return old, f"{old} and {new} are one setting; leave one out"
    return None


def with_new_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings, old names replaced by today's.

    Raises:
        ValueError: a setting stands there under both of its names.

    >>> with_new_names({"optimiser": "lbfgs", "seed": 1})
    {'optimizer': 'lbfgs', 'seed': 1}
    """
    twice = both_names(values)
    if twice:
        raise ValueError(twice[1])
    return {OLD_NAMES.get(name, name): value for name, value in values.items()}


def side_step(size_step: object, size: object) -> int:
    """What sides are multiples of, px, with these settings.

    >>> side_step("auto", 512), side_step("auto", "original"), side_step(8, 512)
    (16, 1, 8)
    """
    if isinstance(size_step, int):
        return size_step
    return _STEP_PX if isinstance(size, int) and size >= _STEP_FROM_PX else 1


class Settings(Written):
    """Every parameter of one job, resolved."""

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, data: Any) -> Any:
        """What is not given comes from the preset, and only then from the table."""
        if not isinstance(data, Mapping):
            return data
        given = with_new_names(data)
        preset = preset_values(str(given.get("preset", "default"))) or {}
        return {**preset, **level_values(given), **given}

    def problem(self) -> str | None:
        """What is wrong between settings that are each right, or None."""
        wrong = level_problem(self.preset, {"strength": self.strength, "stroke": self.stroke})
        if wrong:
            return wrong
        both = self.fit in ("exact", "stretch")
        if self.max_size and self.size != ORIGINAL:
            return f"max_size {self.max_size} goes with size original, not with {self.size}"
        if 0 < self.max_size < 16:
            return f"max_size {self.max_size} is too small; 16 is the least"
        if both != (isinstance(self.size, str) and self.size != ORIGINAL):
            wanted = "size: WxH" if both else "fit: exact"
            return f"size {self.size} with fit {self.fit} does not go; {wanted} is needed"
        if isinstance(self.size, int) and (wrong := side_problem(self.size, self.written_as)):
            return f"size {self.size} does not go: {wrong}"
        if self.depth == 16 and self.format not in ("png", "tiff"):
            return f"depth 16 with format {self.format} does not go; png or tiff is needed"
        if self.alpha == "keep" and self.format == "jpg":
            return "alpha keep with format jpg does not go; png, webp or tiff is needed"
        if self.depth == 16 and self.profile == "content":
            return "depth 16 with profile content does not go; profile srgb is needed"
        if self.depth == 16 and self.format == "tiff" and self.exif:
            return "exif with depth 16 and format tiff does not go; format png is needed"
        return None

    @property
    def written_as(self) -> tuple[str, str]:
        """Formats of the picture and of its animation."""
        return self.format, self.animation

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that the losses need, in the network's order."""
        wanted: set[str] = {*self.content_layers, *self.style_layers}
        wanted |= {*NEIGHBOR_LAYERS} if self.neighbor_weight else set()
        return tuple(layer for layer in LAYERS if layer in wanted)

    @property
    def side_step(self) -> int:
        """What sides are multiples of, px: `size_step` as a number."""
        return side_step(self.size_step, self.size)

    def of_clips(self) -> Settings:
        """The same for a clip's frames, whose shape is the clip's unless it was told otherwise."""
        return self.model_copy(update={"size_step": 1}) if self.size_step == AUTO else self

    def _idle(self) -> set[str]:
        """Settings younger than the first job keys that decide nothing with these values: without
        them, keys stay what they were.

        Where there are clips and masks, `Keys` has what is of them."""
        idle = {"average_share"} if self.average is not None else {"average"}
        idle |= {"alpha"} if self.alpha == "flatten" else set()
        idle |= {"size_step"} if self.side_step == 1 else set()
        idle |= set() if self.max_size else {"max_size"}
        idle |= set() if self.neighbor_salience else {"neighbor_salience"}
        idle |= set() if self.laplacian_weight else {"laplacian_weight"}
        idle |= {"decoding"} if self.decoding == "whole" else set()
        idle |= {*_OF_CLIPS, "mask_edge"}
        return idle | ({*_OF_NEIGHBORS} if not self.neighbor_weight else set())

    def deciding_frames(self) -> dict[str, Any]:
        """The settings that decide pixels only of a clip's frames after the first."""
        return self.model_dump(mode="json", include={*_OF_CLIPS})

    def deciding_pixels(self) -> dict[str, Any]:
        """The settings that decide the output file, as plain values under the names of job keys."""
        values = self.model_dump(mode="json", exclude=_NOT_DECIDING | self._idle())
        values |= {"size_step": self.side_step} if "size_step" in values else {}
        return {_NAMES_IN_KEYS.get(name, name): value for name, value in values.items()}

    def changed_from(self, other: Settings) -> list[str]:
        """The names of settings that decide pixels and are not as another's."""
        aside = _NOT_DECIDING | (self._idle() & other._idle())
        mine, theirs = (each.model_dump(mode="json", exclude=aside) for each in (self, other))
        return [name for name, value in mine.items() if value != theirs[name]]


def as_given(values: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Resolved settings as a person would give them: their preset, and what differs from it.

    Args:
        values: of a record, plain.
        version: of the preset, as it was then; it is named where today's is another one.

    Raises:
        ValueError: no such preset, or none of this version, or a level that there is not.

    >>> as_given({"preset": "default", "stroke": "large", "style_scale": 1.5, "seed": 3}, 5)
    {'preset': 'default', 'stroke': 'large', 'seed': 3}
    """
    values = with_new_names(values)
    preset = str(values.get("preset", "default"))
    if "@" not in preset and version != preset_version(preset):
        preset = f"{preset}@{version}"
    if preset_values(preset) is None:
        raise ValueError(f"preset {preset} is not one of this nst's")
    levels = {level: values[level] for level in LEVELS if values.get(level) is not None}
    for level, name in levels.items():
        if str(name) not in LEVELS[level]:
            raise ValueError(f"{level} {name} is not one of this nst's")
    first = {"preset": preset, **levels}
    plain = Settings.model_validate(first).model_dump(mode="json")
    others = {name: value for name, value in values.items() if name not in first}
    return first | {n: v for n, v in others.items() if n not in plain or v != plain[n]}


_OF_NEIGHBORS = (
    "neighbor_weight",
    "neighbor_every",
    "neighbor_content",
    "neighbor_salience",
)
_OF_CLIPS = ("temporal_weight", "clip_steps", "flow")
_NOT_DECIDING = {
    name
    for name, field in Settings.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and not field.json_schema_extra["pixels"]
}
