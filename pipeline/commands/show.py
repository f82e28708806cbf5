"""`nst show`: how a picture of ours was made, by its own text or the record beside it.

In: a picture or a record, perhaps from someone else. Out: text or JSON. Must not load torch.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.commands.output import layer_text, print_json
from pipeline.manifest import as_given
from pipeline.store import Made, Record, StylePicture, read_made
from pipeline.terminal import line, say


def show_picture(picture: Path, *, as_json: bool) -> int:
    """Prints how a picture was made; returns the exit code.

    Raises:
        ImageError: it does not say so.
    """
    made = read_made(picture)
    if as_json:
        print_json(made.plain())
        return 0
    for name, value in _rows(picture, made):
        say(line(f"{name:<12}{value}"))
    return 0


def _rows(picture: Path, made: Made) -> Iterator[tuple[str, str]]:
    """What is said, each with its name."""
    versions = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    finished = f", {made.finished}" if isinstance(made, Record) and made.finished else ""
    yield "made by", f"{versions or 'an older nst'}{finished}"
    yield from _inputs(made)
    backbone = made.backbone
    about = backbone.get("weights") or backbone.get("choice") or ""
    digest = str(backbone.get("weights_sha256", ""))[:16]
    yield "backbone", f"{backbone.get('name', '?')}, digest {digest}... {about}".rstrip()
    if made.clip is not None:
        yield "clip", f"frame {made.clip.frame} of {made.clip.frames} of {made.clip.path}"
    yield from _settings(made)
    if made.losses:
        last: dict[str, Any] = {**made.losses[-1]}
        step = last.pop("step", made.steps)
        losses = ", ".join(f"{name} {value:.4g}" for name, value in last.items())
        yield "losses", f"{losses} (step {step})"
    if made.clip is None and made.names_inputs:
        yield "again", f"nst again {shlex.quote(str(picture))}"


def _inputs(made: Made) -> Iterator[tuple[str, str]]:
    content = made.content
    if not made.names_inputs:
        return
    yield "content", f"{content.path}{_size(content.size)}, SHA-256 {content.sha256}"
    if content.mask:
        yield "mask", f"{content.mask}, SHA-256 {content.mask_sha256 or '?'}"
    if content.keep:
        yield "keep", f"{content.keep}, SHA-256 {content.keep_sha256 or '?'}"
    several = len(made.style.pictures) > 1
    if several:
        yield "style", made.style.name
    for part in made.style.pictures:
        yield "" if several else "style", _style(part, several)


def _style(part: StylePicture, several: bool) -> str:
    share = f", {part.region or f'{part.weight:.3g}'}" if several else ""
    mask = f", mask {part.mask}" if part.mask else ""
    return f"{part.path}{_size(part.size)}{share}, SHA-256 {part.sha256}{mask}"


def _size(size: tuple[int, int]) -> str:
    return f", {size[0]} x {size[1]} px" if all(size) else ""


def _settings(made: Made) -> Iterator[tuple[str, str]]:
    """The preset, and what differs from it; all settings where the preset is unknown here."""
    try:
        given, preset = as_given(made.settings, made.preset_version), ""
    except ValueError as error:
        given, preset = dict(made.settings), f" ({error})"
    name = str(made.settings.get("preset", "default")).partition("@")[0]
    yield "preset", f"{name}, version {made.preset_version}{preset}"
    given.pop("preset", None)
    given.pop("backbone", None)  # said above, with its digest
    yield "seed", str(given.pop("seed", made.seed))
    for number, (key, value) in enumerate(given.items()):
        yield "settings" if number == 0 else "", f"{key}: {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, dict) and all(isinstance(v, (int, float)) for v in value.values()):
        return layer_text(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
