"""A job's time from a few steps.

In: a job. Out: seconds. Writes nothing, and keeps what it loads for the batches that follow.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from pipeline.layers import LAYERS
from pipeline.method import (
    ScaleInputs,
    StyleVectors,
    neighbor_targets,
    optimize,
    style_targets,
)
from pipeline.pictures import fit_image, to_tensor
from pipeline.plan import Batch, Job, content_key, scales_of
from pipeline.slot.beginnings import with_beginning
from pipeline.slot.contents import read_content
from pipeline.slot.fitting import Fitting
from pipeline.slot.messages import RunContext
from pipeline.slot.precision import network_type, use_precision
from pipeline.slot.process import PROCESS
from pipeline.slot.seat import take_seat
from pipeline.slot.styles import Prepared
from pipeline.slot.tensors import init_pictures, init_styles, scale_inputs

_STEPS = 3  # at each scale; the first of them warms up


def time_job(context: RunContext, job: Job) -> float:
    """Estimated seconds of one job on the first slot: two timed steps at each scale.

    Style targets are left out, since they are computed once for many jobs.

    Raises:
        NstError: the job cannot be run at all.
    """
    settings, scales = job.settings, scales_of(job)
    short = tuple(replace(scale, steps=_STEPS) for scale in scales)
    seat = take_seat(context, 0, PROCESS)
    if context.threads:
        torch.set_num_threads(context.threads)
    precision = use_precision(settings.precision, seat.device)
    network = seat.network(settings, network_type(precision))
    fitting = Fitting(seat, network, Batch(0, (job,), short))
    content = replace(read_content(*content_key(job, scales)), mask=None)
    layers = tuple(layer for layer in LAYERS if layer in settings.style_layers)
    pixels = [to_tensor(fit_image(content.image, s.width, s.height)) for s in short]
    moved = [image.to(seat.device) for image in pixels]
    tiles = [fitting.target_tile(network, image.shape[2], image.shape[1]) for image in moved]
    targets = tuple(
        style_targets(network, image, layers, settings.style_loss, tile)
        for image, tile in zip(moved, tiles, strict=True)
    )
    neighbors: tuple[StyleVectors, ...] = ()
    if settings.neighbor_weight:
        pairs = zip(moved, tiles, strict=True)
        neighbors = tuple(neighbor_targets(network, image, tile) for image, tile in pairs)
    prepared = Prepared(job, content, (), targets, (), 0, 0, (), neighbors=neighbors)

    prepared = with_beginning(prepared, short[0])

    def inputs(index: int) -> ScaleInputs:
        scale = short[index]
        return scale_inputs(scale, index, [prepared], seat.device, fitting.tile(scale))

    marks: list[float] = []
    pictures, styles = init_pictures([prepared], short[0]), init_styles([prepared])
    for step in optimize(network, [settings], short, inputs, pictures, styles=styles):
        float(step.losses.total.sum())  # waits for the device
        marks.append(time.perf_counter())
    last = _STEPS - 1
    each = [(marks[_STEPS * i + last] - marks[_STEPS * i]) / last for i in range(len(scales))]
    return sum(scale.steps * seconds for scale, seconds in zip(scales, each, strict=True))
