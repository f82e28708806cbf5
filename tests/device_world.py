"""The step loop of a batch on the fake device, with the tensors that a slot gives it, watched.

Settings in, what the watch saw out; whatever is here runs in the process that has the device.
"""

import math
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from calls import Watch
from fake_device import fake_device, without_values
from lapses import LAPSES
from PIL import Image
from torch import Tensor

from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    ScaleInputs,
    Step,
    StyleVectors,
    Weights,
    job_weights,
    load_weights,
    neighbor_targets,
    optimize,
    schedule_scales,
    style_targets,
)
from pipeline.method.first_images import first_images
from pipeline.method.losses.total_variation import TV_LOSSES
from pipeline.pictures import Mask, guides_of
from pipeline.slot.contents import Content
from pipeline.slot.curves import Curves
from pipeline.slot.motion import Motion
from pipeline.slot.styles import Prepared
from pipeline.slot.tensors import begun_images, scale_inputs
from pipeline.slot.timer import Timer
from pipeline.slot.way import Way
from pipeline.store import RunFolder

SIZE = (96, 80)
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@lru_cache
def lite() -> Weights:
    """The shipped network's weights, read once."""
    return load_weights("lite")


def network_of(settings: Settings, extras: str = "") -> Backbone:
    """The shipped network for these settings, on the CPU."""
    dtype = next((kind for name, kind in _TYPES.items() if name in extras.split()), torch.float32)
    return Backbone(
        lite(), settings.layers, settings.pooling, settings.padding, dtype, settings.pooling_scale
    )


def _picture(mode: str = "RGB", seed: int = 0) -> Image.Image:
    shape = (*SIZE[::-1], 3) if mode == "RGB" else SIZE[::-1]
    levels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(levels, mode)


class DeviceWorld:
    """Some jobs through the shipped network on a device, as a slot has them.

    Args:
        extras: `regions`, `keep`, `before`, `tiles`: what is there beside the settings.
        network: what `network_of` gave, if it is there.
    """

    def __init__(
        self,
        settings: Settings,
        extras: str = "",
        device: str = "cpu",
        jobs: int = 2,
        network: Backbone | None = None,
    ) -> None:
        self.settings, self.device, self.extras, self.jobs = settings, device, extras.split(), jobs
        self.backbone = (network or network_of(settings, extras)).to(device)
        self.scales = schedule_scales(settings, *SIZE)
        first = self._prepared()
        shown = [replace(first.content, working=_picture(seed=job)) for job in range(jobs)]
        self.ready = [replace(first, content=content) for content in shown]

    def _prepared(self) -> Prepared:
        """A job as a slot has it; all but pictures and masks are tensors on the CPU."""
        regions = "regions" in self.extras
        mask = Mask({name: _picture("L") for name in ("#ffffff", "#000000")}) if regions else None
        picture, keep = _picture(), _picture("L") if "keep" in self.extras else None
        job: Any = SimpleNamespace(settings=self.settings, name="a", key="k")
        neighbors: tuple[StyleVectors, ...] = ()
        if self.settings.neighbor_weight:  # else features that it wants may not be there
            neighbors = tuple(self._vectors(s.height, s.width, regions) for s in self.scales)
        return Prepared(
            job,
            Content(picture, picture, "", mask, keep),
            (),
            tuple(self._targets(s.height, s.width, mask) for s in self.scales),
            (1.0, 1.0) if regions else (),
            0,
            0,
            (),
            neighbors=neighbors,
            motion=_motion() if "before" in self.extras else None,
        )

    def _targets(self, height: int, width: int, mask: Mask | None) -> dict[str, Tensor]:
        image = torch.rand(3, height, width).to(self.device)
        guides = None if mask is None else guides_of(mask, width, height).to(self.device)
        s = self.settings
        found = style_targets(
            self.backbone, image, tuple(s.style_layers), s.style_loss, guides=guides
        )
        return {layer: target.cpu() for layer, target in found.items()}

    def _vectors(self, height: int, width: int, regions: bool) -> StyleVectors:
        image = torch.rand(3, height, width).to(self.device)
        whole = neighbor_targets(self.backbone, image).to("cpu")
        if not regions:
            return whole
        return replace(whole, allowed=torch.ones(2, whole.vectors.shape[1], dtype=torch.bool))

    def inputs(self, index: int) -> ScaleInputs:
        """The tensors of one scale, as a slot gives them."""
        tile = 48 if "tiles" in self.extras else 0
        return scale_inputs(self.scales[index], index, self.ready, self.device, tile)

    def steps(self) -> Iterator[Step]:
        """The step loop as a slot has it."""
        begun = begun_images(self.ready, self.scales[0], self.device)
        jobs = [self.settings] * self.jobs
        return optimize(self.backbone, jobs, self.scales, self.inputs, begun=begun)

    @property
    def lasts(self) -> list[int]:
        """The last step of each scale."""
        return [sum(s.steps for s in self.scales[: i + 1]) for i in range(len(self.scales))]


def _motion() -> Motion:
    shown = torch.rand(3, *SIZE[::-1])
    return Motion(shown, shown, shown[:1], shown)


@dataclass(frozen=True)
class Seen:
    """What a watch saw.

    Attributes:
        wrong: what no step may ask, each once.
        steps: those in which something was wrong.
        counts: how many calls each watched step, or what is between two, made.
        waits: at which steps something waited for a value of the device, once for each value.
    """

    wrong: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)

    def take(self, watch: Watch, step: int) -> None:
        """Adds what the watch saw of a step, which it forgets."""
        self.counts.append(len(watch.calls))
        self.waits.extend([step] * watch.calls.count("_local_scalar_dense"))
        self.steps.extend([step] if watch.wrong else [])
        self.wrong.extend(dict.fromkeys(each for each in watch.wrong if each not in self.wrong))
        watch.forget()


@contextmanager
def _world(
    settings: Settings, extras: str = "", jobs: int = 2, holds: bool = True
) -> Iterator[tuple[DeviceWorld, Watch]]:
    network = network_of(settings, extras)  # which wants the values of its weights
    with fake_device() as device, Watch(device, holds) as watch:
        yield DeviceWorld(settings, extras, device, jobs, without_values(network)), watch


def watched(settings: Settings, extras: str = "", jobs: int = 2, holds: bool = True) -> Seen:
    """Runs all steps and looks at those after each scale's first.

    Args:
        extras: see `DeviceWorld`; and `bf16` or `fp16`.
        holds: see `Watch`.
    """
    seen, firsts = Seen(), [1]
    with _world(settings, extras, jobs, holds) as (world, watch):
        firsts += [last + 1 for last in world.lasts]
        for step in world.steps():
            watch.on = False
            if step.number not in firsts:
                seen.take(watch, step.number)
            watch.on = step.number + 1 not in firsts
    return seen


def watched_between(settings: Settings, tells: bool) -> Seen:
    """Runs all steps and looks at what a slot does after each: losses kept, news told.

    Args:
        tells: whether news are due, which are at most 4 times a second.
    """
    seen = Seen()
    context = SimpleNamespace(checkpoint_every_s=0.0)
    seat: Any = SimpleNamespace(context=context, name="0", device="", label="gpu")
    batch: Any = SimpleNamespace(number=0)
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(1) as pool,
        _world(settings) as (world, watch),
    ):
        store, curves = RunFolder(Path(folder)), Curves([[], []])
        store.begin("", {})
        way = Way(store, seat, batch, pool, Timer())
        for step in world.steps():
            way.last_news = -math.inf if tells else math.inf
            watch.on = True
            curves.add(step)
            way.after(step, world.ready, curves)
            watch.on = False
            seen.take(watch, step.number)
    return seen


def watched_beginning(settings: Settings) -> Seen:
    """Looks at what makes the pictures to begin with."""
    seen = Seen()
    with _world(settings) as (world, watch):
        contents = world.inputs(0).contents
        watch.on = True
        first_images([settings] * world.jobs, contents, {})
        seen.take(watch, 0)
    return seen


def copies_at_once(settings: Settings) -> tuple[int, int]:
    """How many copies to the device the weights of many jobs make, and from it the losses of many
    steps."""
    with _world(settings) as (world, watch):
        curves = Curves([[], []])
        for step in world.steps():
            curves.add(step)
        watch.on = True
        job_weights([settings] * world.jobs, torch.device(world.device))
        to_device = watch.calls.count("_to_copy")
        watch.forget()
        curves.values()
        return to_device, watch.calls.count("_to_copy")


def watched_lapse(name: str, in_loop: bool = False) -> Seen:
    """One of `LAPSES` alone, or in each step as if it were part of a loss."""
    lapse = LAPSES[name]

    def loss(images: Tensor) -> Tensor:
        lapse(images)
        return images.square().sum((1, 2, 3))

    if in_loop:
        with patch.dict(TV_LOSSES, {"mean_squares": loss}):
            return watched(Settings(size=96, steps=[2, 2], scale_start=64, scale_factor=2.0))
    seen = Seen()
    with fake_device() as device, Watch(device) as watch:
        images = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last).to(device)
        watch.on = True
        with suppress(RuntimeError):  # torch may refuse two devices, and what has no values
            lapse(images)
        watch.on = False
        seen.take(watch, 1)
    return seen
