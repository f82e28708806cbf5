"""The objective of a batch at one scale, from settings and what the scale is given.

In: a backbone, jobs, pictures and targets. Out: a `StyleTransferLoss` over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method.backbone import Backbone
from pipeline.method.batch_weights import job_weights
from pipeline.method.losses.guides import Regions
from pipeline.method.losses.laplacian import Outlines
from pipeline.method.losses.neighbors import Neighbors, StyleVectors
from pipeline.method.losses.objective import Kinds, StyleTransferLoss
from pipeline.method.losses.statistic import Prepared
from pipeline.method.losses.temporal import Before
from pipeline.method.moving import moved
from pipeline.method.tiles import JOINED, features_of


@dataclass(frozen=True)
class ScaleInputs:
    """What one scale of a batch needs.

    Attributes:
        contents: U x 3 x H x W in [0, 1], each content picture once.
        rows: which of them each of the B jobs has, B whole numbers.
        styles: per style layer the targets, U x C x K, or U x R x C x K with regions; each style
            once.
        tile: side of the tiles in px in which pictures go through the network; 0 takes them whole.
        regions: which part of the canvas takes which target; None for one region of all.
        neighbors: each job's style vectors; empty without that term.
        before: the results of the frames before, of jobs that are frames of clips; None for others.
        keep: how much of each place of each job's content is kept, B x 1 x H x W in [0, 1]; None
            for all alike.
        style_rows: which of the styles each job has, B whole numbers; None for one each.
        prepared: per style layer what `prepare_targets` gave of these styles, one after the other;
            empty has it found at each scale.
    """

    contents: Tensor
    rows: Tensor
    styles: Mapping[str, Tensor]
    tile: int = 0
    regions: Regions | None = None
    neighbors: Sequence[StyleVectors] = ()
    before: Before | None = None
    keep: Tensor | None = None
    style_rows: Tensor | None = None
    prepared: Mapping[str, Prepared] = field(default_factory=dict)


def batch_loss(
    backbone: Backbone, jobs: Sequence[Settings], given: ScaleInputs
) -> StyleTransferLoss:
    """The objective of jobs that share losses and layers; their weights are their own."""
    shared, device = jobs[0], given.contents.device
    wanted = (*shared.content_layers, *((JOINED,) if given.neighbors else ()))
    features = features_of(backbone, given.contents, wanted, given.tile)
    layout = torch.channels_last  # as the features that they are compared with
    contents = {
        layer: values[given.rows].contiguous(memory_format=layout)
        for layer, values in features.items()
    }
    return StyleTransferLoss(
        Kinds(shared.loss, shared.style_loss, shared.tv_loss),
        {layer: contents[layer] for layer in shared.content_layers},
        given.styles,
        job_weights(jobs, device),
        given.regions,
        backbone.channels,
        _neighbors(jobs, given, contents[JOINED]) if given.neighbors else None,
        given.before,
        given.keep,
        Outlines.of(given.contents[given.rows]) if any(s.laplacian_weight for s in jobs) else None,
        given.style_rows,
        given.prepared,
    )


def _neighbors(jobs: Sequence[Settings], given: ScaleInputs, joined: Tensor) -> Neighbors:
    own = torch.tensor([(s.neighbor_content, s.neighbor_salience) for s in jobs])
    shares, powers = moved(own.T.contiguous(), given.contents.device).unbind()
    guides = given.regions.guides if given.regions else None
    return Neighbors.of(given.neighbors, joined, shares, powers, guides)
