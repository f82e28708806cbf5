"""`nst run`: one pair of pictures into one file, through a run folder that is thrown away.

In: paths and settings. Out: the picture, its record and what else was asked for beside it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.commands.options import Options
from pipeline.commands.output import print_warnings
from pipeline.errors import ImageError, ManifestError
from pipeline.files import cannot_write, write_atomic
from pipeline.manifest import (
    OLD_NAMES,
    Manifest,
    Output,
    Picture,
    Settings,
    Style,
    old_name_warning,
    parse_value,
    settings_problems,
    with_new_names,
)
from pipeline.pictures import check_header
from pipeline.schedule import duration, make_progress
from pipeline.store import RunFolder, to_json
from pipeline.terminal import say

_FORMATS = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}


@dataclass(frozen=True)
class PairRequest:
    """One pair to be stylized.

    Attributes:
        output: the picture to write; its suffix decides the format.
        settings: as in a manifest.
        backbone: its name.
        weights: a weight file, `caffe` or `torchvision`, instead of the first that is there.
        mask, style_mask: the content's and the style's regions, by colors.
        keep: where the content counts more, gray.
    """

    content: Path
    style: Path
    output: Path
    settings: dict[str, Any]
    backbone: str
    weights: Path | str | None = None
    mask: Path | None = None
    style_mask: Path | None = None
    keep: Path | None = None


def parse_settings(assignments: Sequence[str], *, whole: bool = True) -> dict[str, Any]:
    """`key=value` words as settings; values are written as in a manifest.

    Args:
        whole: they are all that there is, so that they have to go together.

    Raises:
        ManifestError: no `=`, an unknown key, or a value out of range.
    """
    values: dict[str, Any] = {}
    problems = []
    for word in assignments:
        key, equals, text = word.partition("=")
        if not equals:
            problems.append(f"--set {word}: write key=value")
        elif key in values:
            problems.append(f"--set {word}: {key} is set twice")
        else:
            values[key] = parse_value(text)
    for position, message in settings_problems(values):
        name = ".".join(map(str, position))
        problems.append(f"--set {name}: {message}")
    if whole and not problems:
        problem = Settings.model_validate(values).problem()
        problems += [f"--set: {problem}"] if problem else []
    if problems:
        raise ManifestError(problems)
    print_warnings(f"--set {old_name_warning(name)}" for name in values if name in OLD_NAMES)
    return with_new_names(values)


def run_pair(request: PairRequest, options: Options, *, quiet: bool = False) -> int:
    """Stylizes one pair into `request.output`, with the record beside it; returns the exit code.

    Raises:
        ImageError: a suffix that is no format, or a picture that cannot be read.
        ManifestError: settings that do not go together.
        RunFolderError: the output cannot be written.
    """
    settings = _with_format(request)
    given = (request.content, request.style, request.mask, request.style_mask, request.keep)
    for path in filter(None, given):
        check_header(path)
    from pipeline.commands.run import run_manifest  # loads torch, which takes seconds

    output = request.output
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".nst-", dir=output.parent))
    try:
        manifest = _manifest_of(replace(request, settings=settings), folder)
        inline = replace(options, run=replace(options.run, engine="inline"))
        summary = run_manifest(manifest, inline, make_progress(quiet=quiet))
        if summary.done:
            _move_result(RunFolder(folder), output)
            if not quiet:
                say(f"{output} ({duration(summary.seconds)})")
        return summary.exit_code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with_format(request: PairRequest) -> dict[str, Any]:
    """The settings, with the format that the output's suffix stands for."""
    suffix = request.output.suffix.lower()
    if suffix not in _FORMATS:
        raise ImageError(f"{request.output}: the suffix must be one of {', '.join(_FORMATS)}")
    settings = {**request.settings, "format": _FORMATS[suffix]}
    problem = Settings.model_validate(settings).problem()
    if problem:
        raise ManifestError([problem])
    return settings


def _manifest_of(request: PairRequest, folder: Path) -> Manifest:
    """The manifest of one job whose run folder is `folder`."""
    content, style = request.content, request.style
    own = [path and path.resolve() for path in (request.mask, request.keep, request.style_mask)]
    masks = (own[2],) if own[2] else ()
    return Manifest(
        path=Path("nst run"),
        text="",
        output=folder,
        contents=(Picture(content.resolve(), content.stem, mask=own[0], keep=own[1]),),
        styles=(Style(style.stem, ((style.resolve(), 1.0),), masks),),
        pairing="product",
        pairs=(),
        paired=(1, 1),
        backbone=request.backbone,
        weights=request.weights,
        settings=request.settings,
        axes={},
        folders=(),
        form=Output.model_validate({"path": str(folder)}),
    )


def _move_result(store: RunFolder, output: Path) -> None:
    """Moves the one job's picture, record and what it kept along the way beside each other."""
    for record in store.records():
        picture = store.path / record.output.path
        frames = store.frames / record.name
        found = record.model_copy(deep=True)
        found.output.path, found.name = output.name, output.stem
        try:
            if record.animation is not None:
                animation = store.path / record.animation
                found.animation = f"{output.stem}-animation{animation.suffix}"
                animation.replace(output.with_name(found.animation))
            if frames.is_dir():
                kept = output.with_name(f"{output.stem}-frames")
                shutil.rmtree(kept, ignore_errors=True)
                frames.replace(kept)
            picture.replace(output)
            write_atomic(output.with_suffix(".json"), to_json(found.plain()))
        except OSError as error:
            raise cannot_write(output, error) from error
