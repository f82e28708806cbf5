"""Which of a grid's jobs is the best for each pair, by one score that is the same for all.

In: a run's records and pictures. Out: scores. A job's own loss cannot rank it against others, since
each is measured with its own weights; here every picture goes through one evaluator: one backbone,
one size, one balance of content and style.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.address import as_path
from pipeline.errors import ImageError
from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    Kinds,
    StyleTransferLoss,
    features_of,
    job_weights,
    style_targets,
)
from pipeline.pictures import canvas_size, decode, fit_image, to_tensor
from pipeline.report.inputs import Inputs
from pipeline.store import (
    ContentInput,
    Record,
    RunFolder,
    StylePicture,
    blend_targets,
)

SIZE_PX = 256


@dataclass(frozen=True)
class Scored:
    """One job's score; smaller is better.

    Attributes:
        record: the job's.
        score: content + balance * style.
        content: sum (F - P)^2 / sum P^2 at conv4_2.
        style: mean over the five style layers of ||G - A|| / ||A||.
    """

    record: Record
    score: float
    content: float
    style: float


def found_inputs(store: RunFolder, records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """The records whose pictures and masks are there, with the paths that they have now.

    Returns:
        the records, and what is gone or changed, each once.
    """
    inputs, found, gone = Inputs(store), [], {}
    for record in records:
        moved = record.model_copy(deep=True)
        whole = bool(record.style.pictures)
        if not whole:
            gone[f"{record.name}: names no style picture"] = False
        used: list[ContentInput | StylePicture] = [moved.content, *moved.style.pictures]
        files = [(picture, "path", picture.sha256) for picture in used]
        files += [(picture, "mask", picture.mask_sha256) for picture in used]
        files += [(moved.content, "keep", moved.content.keep_sha256)]
        for holder, name, digest in files:
            path = getattr(holder, name)
            if not path or (name != "path" and not digest):  # of a mask an older record has none
                continue
            place = inputs.search(path, digest)
            if place is None:
                gone[f"{path}: is gone, or another picture now"] = whole = False
            else:
                setattr(holder, name, str(place))
        if whole:
            found.append(moved)
    return found, list(gone)


def score_pair(
    store: RunFolder, records: Sequence[Record], backbone: Backbone, balance: float
) -> tuple[list[Scored], list[str]]:
    """Scores the jobs of one content and one style, the best first.

    Pictures, content and style are brought to `SIZE_PX` and measured by the relative losses of the
    default preset's layers, in float32.

    Args:
        records: of one pair.
        backbone: gives the default preset's layers.
        balance: how many units of content loss a unit of style loss is worth.

    Returns:
        the jobs, and the results that are gone or cannot be read.

    Raises:
        ImageError: the content or a style picture cannot be read.
    """
    settings = Settings(tv_weight=0, content_weight=1, style_weight=balance)
    layers = tuple(settings.style_layers)
    parts = []
    for part in records[0].style.pictures:
        image = decode(as_path(part.path)).image
        pixels = to_tensor(fit_image(image, *canvas_size(*image.size, SIZE_PX, "long")))
        parts.append((style_targets(backbone, pixels, layers), part.weight))
    targets = {layer: matrix[None] for layer, matrix in blend_targets(parts).items()}
    content = decode(as_path(records[0].content.path)).image
    weights = job_weights([settings], torch.device("cpu"))
    found, left_out = [], []
    for record in records:
        try:
            picture = decode(store.picture(record.output.path)).image
        except ImageError as error:
            left_out.append(str(error))
            continue
        size = canvas_size(*picture.size, SIZE_PX, "long")
        pixels = to_tensor(fit_image(picture, *size))[None]
        kept = features_of(
            backbone, to_tensor(fit_image(content, *size))[None], tuple(settings.content_layers)
        )
        with torch.no_grad():
            loss = StyleTransferLoss(Kinds("relative"), kept, targets, weights)
            losses = loss(pixels, backbone(pixels))
        found.append(
            Scored(record, float(losses.total), float(losses.content), float(losses.style))
        )
    return sorted(found, key=lambda scored: scored.score), left_out


def by_pair(records: Sequence[Record]) -> list[list[Record]]:
    """Records grouped by content and style, in order of appearance."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        style = tuple((p.path, p.weight) for p in record.style.pictures)
        groups.setdefault((record.content.path, style), []).append(record)
    return list(groups.values())
