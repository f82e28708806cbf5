"""`nst run`: one pair of pictures into one file.

In: paths and settings. Out: the picture, its record and what else was asked for beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.commands.alone import run_alone, with_format
from pipeline.commands.options import Options
from pipeline.commands.output import print_warnings
from pipeline.errors import ManifestError
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
    without_secrets,
)
from pipeline.pictures import check_header
from pipeline.remote import begin_downloads


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


def parse_settings(
    assignments: Sequence[str],
    given: Mapping[str, Any] = MappingProxyType({}),
    *,
    whole: bool = True,
) -> dict[str, Any]:
    """`key=value` words as settings; values are written as in a manifest.

    Args:
        given: valid settings that these go over.
        whole: these are all that there is, so that they have to go together.

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
            values[key] = without_secrets(parse_value(text))
    for position, message in settings_problems({**given, **values}):
        name = ".".join(map(str, position))
        problems.append(f"--set {name}: {message}")
    if whole and not problems:
        problem = Settings.model_validate({**given, **with_new_names(values)}).problem()
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
    begin_downloads(options.cache)
    settings = with_format(request.settings, request.output)
    given = (request.content, request.style, request.mask, request.style_mask, request.keep)
    for path in filter(None, given):
        check_header(path)
    manifest = _manifest_of(replace(request, settings=settings))
    code, _ = run_alone(manifest, request.output, options, quiet=quiet)
    return code


def _manifest_of(request: PairRequest) -> Manifest:
    """The manifest of one job."""
    content, style = request.content, request.style
    own = [path and path.resolve() for path in (request.mask, request.keep, request.style_mask)]
    masks = (own[2],) if own[2] else ()
    return Manifest(
        path=Path("nst run"),
        text="",
        output=request.output.parent,
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
        form=Output.model_validate({"path": "."}),
    )
