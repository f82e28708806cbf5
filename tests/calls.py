"""What the step loop asks of a device, call by call, on a device that has no values.

torch's meta device runs every operator, backward too, but knows shapes, types and layouts alone. It
is not the CPU, so what is written for GPUs runs on it as on one; and what would wait for a GPU's
values cannot be had from it.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.manifest import Settings
from pipeline.method import (
    Backbone,
    Before,
    Regions,
    ScaleInputs,
    StyleVectors,
    Weights,
    load_weights,
    neighbor_targets,
    optimize,
    schedule_scales,
)
from pipeline.method.tiles import style_targets_of

_WAITS = {
    "_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2",
    "_linalg_eigh", "_linalg_svd", "_linalg_check_errors", "repeat_interleave",
}  # fmt: skip
# How `torch.tensor(list, device=...)` is seen: the values come from the CPU.
_UPLOADS = {"lift_fresh", "lift"}
_CHANNELS_LAST = torch.channels_last


def tensors_in(values: Any) -> Iterator[Tensor]:
    """All tensors among arguments or results, in lists too."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from tensors_in(list(values.values()))
    elif isinstance(values, Sequence) and not isinstance(values, str):
        for value in values:
            yield from tensors_in(value)


class Watch(TorchDispatchMode):
    """Keeps the names of all calls while it is `on`, and what is wrong with them.

    While it is not, values that a device without them is asked for are made up.
    """

    def __init__(self, device: str = "meta") -> None:
        super().__init__()
        self.device, self.on = device, False
        self.calls: list[str] = []
        self.wrong: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        if not self.on:
            made_up = self._made_up(name, args, kwargs)
            found = func(*args, **kwargs) if made_up is None else made_up
            return self._laid_out(name, args, found)
        if name != "detach":  # autograd's own, of which versions of torch make more or fewer
            self.calls.append(name)
        self._check_call(name, args, kwargs)
        self._check_tensors(name, [*tensors_in(args), *tensors_in(kwargs)])
        if name == "_local_scalar_dense" and self.device == "meta":
            return 1.0
        found = func(*args, **kwargs)
        self._check_tensors(name, [*tensors_in(found)])
        return self._laid_out(name, args, found)

    def _laid_out(self, name: str, args: Any, found: Any) -> Any:
        """What cuDNN gives: channels-last where a convolution's input or kernel is."""
        last = any(t.is_contiguous(memory_format=_CHANNELS_LAST) for t in tensors_in(args[:3]))
        if name == "convolution" and last:
            return found.contiguous(memory_format=_CHANNELS_LAST)
        if name == "convolution_backward" and last and found[0] is not None:
            return (found[0].contiguous(memory_format=_CHANNELS_LAST), *found[1:])
        return found

    def _made_up(self, name: str, args: Any, kwargs: Any) -> Any:
        if self.device != "meta" or not args or not isinstance(args[0], Tensor):
            return None
        (first, *_) = args
        if first.device.type != "meta":
            return None
        if name == "_local_scalar_dense":
            return 1.0
        if name == "nonzero":
            return torch.empty(first.numel(), first.dim(), dtype=torch.long, device="meta")
        if name == "_to_copy" and kwargs.get("device") == torch.device("cpu"):
            return torch.zeros(first.shape, dtype=kwargs.get("dtype") or first.dtype)
        return None

    def _say(self, name: str, what: str) -> None:
        frame: FrameType | None = sys._getframe()
        while frame and "pipeline" not in Path(frame.f_code.co_filename).parts:
            frame = frame.f_back
        where = f" ({frame.f_code.co_filename}:{frame.f_lineno})" if frame else ""
        self.wrong.append(f"{name}: {what}{where}")

    def _check_call(self, name: str, args: Any, kwargs: Any) -> None:
        if name in _WAITS:
            self._say(name, "waits for the device")
        elsewhere = torch.device(kwargs.get("device") or self.device).type != self.device
        if name in _UPLOADS or elsewhere:
            self._say(name, "copies between devices")
        masks = tensors_in(args[1]) if name.startswith(("index", "_index")) else ()
        if any(t.dtype in (torch.bool, torch.uint8) for t in masks):
            self._say(name, "by a mask, waits for the device")
        if name.startswith("convolution"):
            images = args[:2] if name == "convolution_backward" else args[:1]
            if not all(t.is_contiguous(memory_format=_CHANNELS_LAST) for t in images):
                self._say(name, "of what is not channels-last")

    def _check_tensors(self, name: str, tensors: Sequence[Tensor]) -> None:
        if any(t.device.type != self.device for t in tensors):
            self._say(name, "of a tensor on another device")
        if any(t.dtype == torch.float64 for t in tensors):
            self._say(name, "in float64")


@lru_cache
def lite() -> Weights:
    """The shipped network's weights, read once."""
    return load_weights("lite")


class DeviceWorld:
    """Some jobs, two unless a test says more, through the shipped network on a device.

    Args:
        extras: `regions`, `keep`, `before`, `tiles`, `bf16`: what is there beside the settings.
    """

    def __init__(self, settings: Settings, extras: str = "", device: str = "meta") -> None:
        self.settings, self.extras, self.device = settings, extras.split(), device
        self.jobs = 2
        dtype = torch.bfloat16 if "bf16" in self.extras else torch.float32
        self.backbone = Backbone(
            lite(), settings.layers, settings.pooling, settings.padding, dtype,
            settings.pooling_scale,
        ).to(device)  # fmt: skip
        self.scales = schedule_scales(settings, 96, 80)

    def inputs(self, index: int) -> ScaleInputs:
        """The tensors of one scale, as a slot gives them."""
        s, scale = self.settings, self.scales[index]
        size = (scale.height, scale.width)
        images = torch.rand(self.jobs, 3, *size).to(self.device)
        regions, guides = None, None
        if "regions" in self.extras:
            guides = torch.rand(self.jobs, 2, *size).to(self.device)
            regions = Regions(guides, torch.rand(self.jobs, 2).to(self.device))
        targets = style_targets_of(
            self.backbone, images, tuple(s.style_layers), s.style_loss, 0, guides
        )
        styles = targets if regions else {k: v[:, 0] for k, v in targets.items()}
        return ScaleInputs(
            images.contiguous(memory_format=_CHANNELS_LAST),
            torch.arange(self.jobs).to(self.device),
            styles,
            48 if "tiles" in self.extras else 0,
            regions,
            [self._vectors(image) for image in images] if s.neighbor_weight else (),
            Before(images, images[:, :1]) if "before" in self.extras else None,
            images[:, :1] if "keep" in self.extras else None,
        )

    def _vectors(self, image: Tensor) -> StyleVectors:
        whole = neighbor_targets(self.backbone, image)
        if "regions" not in self.extras:
            return whole
        allowed = torch.ones(2, whole.vectors.shape[1], dtype=torch.bool).to(self.device)
        return StyleVectors(whole.vectors, whole.mean, whole.scale, allowed)

    def watched(self, watch: Watch) -> list[int]:
        """Runs all steps under a watch, which looks at those after each scale's first; how many
        calls each of these made."""
        counts, last = [], None
        lasts = [sum(s.steps for s in self.scales[: i + 1]) for i in range(len(self.scales))]
        with watch:
            jobs = [self.settings] * self.jobs
            for step in optimize(self.backbone, jobs, self.scales, self.inputs):
                watch.on = False
                if step.scale == last:
                    counts.append(len(watch.calls))
                last = step.scale
                watch.calls.clear()
                watch.on = step.number not in lasts
        return counts
