"""What Apple's GPU lacks, if only with older versions of torch; it is done on the CPU.

In: tensors anywhere. Out: the same place's, but for `precise`. Gradients pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def _by_cpu(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    if values.device.type != "mps":
        return function(values)
    return function(values.cpu()).to(values)


def bicubic(images: Tensor, size: Sequence[int]) -> Tensor:
    """B x C x H x W at another height and width, without aliases."""
    resize = partial(F.interpolate, size=tuple(size), mode="bicubic", antialias=True)
    return _by_cpu(resize, images)


def area_means(values: Tensor, size: Sequence[int]) -> Tensor:
    """B x C x ... at another size, each place the mean of what it covers, also where sizes do not
    divide."""
    return _by_cpu(partial(F.interpolate, size=tuple(size), mode="area"), values)


def precise(values: Tensor) -> Tensor:
    """The values in float64, on the CPU where their device has none; where eigenvalues and
    triangular factors are found too."""
    return (values.cpu() if values.device.type == "mps" else values).double()
