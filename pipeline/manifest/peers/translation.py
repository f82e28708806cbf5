"""What was understood of another tool's command, and that tool's options as data.

In: an option's values. Out: settings, and notes of what has no setting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import ImageError, ManifestError
from pipeline.layers import layer_named
from pipeline.manifest.presets import STYLE_LAYERS
from pipeline.pictures import read_size
from pipeline.terminal import counted

CAFFE = {"name": "vgg19", "weights": "caffe"}
RELU_LAYERS = tuple(layer.replace("conv", "relu") for layer in STYLE_LAYERS)
# Of a picture that is not there to be looked at.
_USUAL_SHAPE = (4, 3)


@dataclass
class Translation:
    """What was understood of a command so far.

    Attributes:
        own: values of that tool's that are no setting by themselves.
        notes: comments of the manifest.
    """

    preset: str
    content: str = "content.jpg"
    styles: list[str] = field(default_factory=list)
    weights: list[float] | None = None
    output: str = "out.png"
    backbone: Any = "vgg19"
    settings: dict[str, Any] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def shape(self, why: str) -> tuple[int, int]:
        """Width and height of the content picture, or 4 and 3 with a note if it is not there."""
        try:
            return read_size(Path(self.content))
        except ImageError:
            self.notes.append(f"{why}: depends on the picture's shape; 4:3 is taken for it")
            return _USUAL_SHAPE


Act = Callable[[Translation, Sequence[str]], None]


@dataclass(frozen=True)
class Option:
    """One option of another tool.

    Attributes:
        act: takes the values into the translation.
        least, most: values that follow it; `most` of -1 is all up to the next option.
    """

    act: Act
    least: int = 1
    most: int = 1


@dataclass(frozen=True)
class Tool:
    """Another tool.

    Attributes:
        options: by name.
        short: other spellings of options.
        finish: what hangs together, after all options; the plain words are given.
        programs: names by which it is started, beside any `.py` or `.lua`.
        takes: which plain words it takes, for messages; empty for none.
    """

    preset: str
    options: Mapping[str, Option]
    finish: Callable[[Translation, Sequence[str]], None]
    programs: tuple[str, ...] = ()
    short: Mapping[str, str] = field(default_factory=dict)
    takes: str = ""


def number(text: str) -> float | int:
    """A finite number, whole where it is written so.

    Raises:
        ManifestError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ManifestError([f"{text!r} is no number"])
    return int(value) if value.is_integer() and "e" not in text.lower() else value


def sets(name: str, factor: float = 1.0) -> Option:
    """A setting by its number, times a factor."""

    def act(found: Translation, values: Sequence[str]) -> None:
        value = number(values[0])
        found.settings[name] = value if factor == 1 else value * factor

    return Option(act)


def keeps(name: str, kind: Callable[[str], Any] = str, most: int = 1) -> Option:
    """A value of the tool's own, for `finish`; a list where there may be several."""

    def act(found: Translation, values: Sequence[str]) -> None:
        found.own[name] = kind(values[0]) if most == 1 else [kind(value) for value in values]

    return Option(act, 1, most)


def flag(name: str) -> Option:
    """Something of the tool's own that is wanted."""
    return Option(lambda found, values: found.own.update({name: True}), 0, 0)


def chooses(name: str, choices: Mapping[str, Any]) -> Option:
    """A setting by a word."""

    def act(found: Translation, values: Sequence[str]) -> None:
        found.settings[name] = one_of(choices, values[0])

    return Option(act)


def one_of(choices: Mapping[str, Any], word: str) -> Any:
    """What a word stands for.

    Raises:
        ManifestError: none of the choices.
    """
    if word not in choices:
        raise ManifestError([f"{word!r} is none of {', '.join(choices)}"])
    return choices[word]


def note(name: str, why: str, least: int = 1, most: int = 1) -> Option:
    """An option without a setting; the manifest says what there is instead."""

    def act(found: Translation, values: Sequence[str]) -> None:
        found.notes.append(f"{' '.join([name, *values])}: {why}")

    return Option(act, least, most)


def notes(why: str, *names: str, least: int = 1, most: int = 1) -> dict[str, Option]:
    """Several such options."""
    return {name: note(name, why, least, most) for name in names}


def refuses(why: str, most: int = -1) -> Option:
    """An option without which another picture would be made, and which is not offered."""

    def act(found: Translation, values: Sequence[str]) -> None:
        raise ManifestError([why])

    return Option(act, 0, most)


def takes(name: str) -> Option:
    """One of the translation's attributes."""
    return Option(lambda found, values: setattr(found, name, values[0]))


def take_styles(found: Translation, values: Sequence[str]) -> None:
    """The style pictures."""
    found.styles = list(values)


def layers_of(found: Translation, words: Sequence[str]) -> list[str]:
    """Layers by the tool's names: `relu4_2`; those before their ReLU are taken after it, and noted.

    Raises:
        ManifestError: one is none.
    """
    layers = []
    for word in words:
        layer = layer_named(word.replace("_relu", "_conv") if word.startswith("block") else word)
        if layer is None:
            raise ManifestError([f"{word!r} is no layer such as relu4_2"])
        if "conv" in word:
            found.notes.append(f"{word}: taken after its ReLU, not before")
        layers.append(layer)
    return layers


def blended(found: Translation, weights: Sequence[float]) -> None:
    """The styles' weights; pictures that weigh nothing are left out.

    Raises:
        ManifestError: not as many as styles, less than 0, or all 0.
    """
    if len(weights) != len(found.styles):
        styles, given = counted(len(found.styles), "style"), counted(len(weights), "weight")
        raise ManifestError([f"{styles}, but {given}; give one for each"])
    if min(weights) < 0 or not max(weights) > 0:
        raise ManifestError(["weights of styles must be 0 or more, and one of them more than 0"])
    for style, weight in zip(found.styles, weights, strict=True):
        if not weight:
            found.notes.append(f"{style}: weighs 0 and is left out")
    both = [(s, w) for s, w in zip(found.styles, weights, strict=True) if w]
    found.styles, found.weights = [s for s, _ in both], [w for _, w in both]


ELSEWHERE = "chosen with `nst batch --devices`"
SHOWN = "progress is always shown, and losses are in the record"
