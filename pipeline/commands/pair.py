"""`nst run`: one pair of pictures into one file.

In: paths and settings. Out: the picture, its record and what else was asked for beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.commands.alone import run_alone, with_format
from pipeline.commands.given import named_network
from pipeline.commands.options import Options
from pipeline.errors import ManifestError, WeightsError
from pipeline.layers import AUTO
from pipeline.manifest import (
    Manifest,
    Network,
    Output,
    Picture,
    Style,
)
from pipeline.pictures import check_header
from pipeline.remote import begin_downloads
from pipeline.schedule import Progress


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
        advice: how `lite`, and other weights, are asked for where this was, for messages.
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
    advice: tuple[str, str] = ("--backbone lite", "--weights ")


def run_pair(
    request: PairRequest, options: Options, *, quiet: bool = False, shown: Progress | None = None
) -> int:
    """Stylizes one pair into `request.output`, with the record beside it; returns the exit code.

    Args:
        shown: what is told of it, instead of what fits.

    Raises:
        ImageError: a suffix that is no format, or a picture that cannot be read.
        ManifestError: settings that do not go together.
        RunFolderError: the output cannot be written.
    """
    begin_downloads(options.cache)
    settings = with_format(request.settings, request.output, request.settings.get("format"))
    given = (request.content, request.style, request.mask, request.style_mask, request.keep)
    for path in filter(None, given):
        check_header(path)
    manifest = _manifest_of(replace(request, settings=settings), _network(request, settings))
    try:
        code, _ = run_alone(manifest, request.output, options, quiet=quiet, shown=shown)
    except WeightsError as error:  # its advice is for manifests
        lite, weights = request.advice
        text = str(error).replace("`backbone: lite`", f"`{lite}`")
        text = re.sub(r"`backbone: \{name: \w+, weights: FILE\}`", f"`{weights}FILE`", text)
        raise WeightsError(text.replace("`weights: caffe`", f"`{weights}caffe`")) from error
    return code


def _network(request: PairRequest, settings: dict[str, Any]) -> Network:
    """The network that was asked for, which is taken out of the settings.

    Raises:
        ManifestError: it was asked for twice; or as `named_network`.
    """
    named = named_network(settings.pop("backbone", None))
    asked = Network(request.backbone, request.weights)
    if named is not None and asked != Network(AUTO):
        raise ManifestError([f"backbone is both {asked.name} and {named.name}; leave one out"])
    return named or asked


def _manifest_of(request: PairRequest, network: Network) -> Manifest:
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
        backbone=network.name,
        weights=network.weights,
        preprocessing=network.preprocessing,
        settings=request.settings,
        axes={},
        folders=(),
        form=Output.model_validate({"path": "."}),
    )
