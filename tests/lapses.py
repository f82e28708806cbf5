"""What a step must not do on a device: each lapse by name, given pictures there."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

NCHW = torch.contiguous_format
# There before anyone looks.
CPU, INDEX = torch.ones(3, 1, 1), torch.tensor([0])


def _kernel(x: Tensor) -> Tensor:
    return x[:, :, :3, :3].clone(memory_format=torch.channels_last)


def _convolved(x: Tensor, gradient_layout: torch.memory_format) -> None:
    """A convolution, whose gradient comes in a layout."""
    y = F.conv2d(x.detach().requires_grad_(), _kernel(x))
    y.backward(torch.ones_like(y, memory_format=gradient_layout))


def _masked(x: Tensor) -> None:
    x.clone()[x > 0] = x.flatten()[:1]


WAITS: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool(x.sum() > 0),
    "float": lambda x: x * float(x.sum()),
    "tolist": lambda x: x[0, 0, 0].tolist(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "mask set": _masked,
    "masked_select": lambda x: x.masked_select(x > 0),
    "where": lambda x: torch.where(x > 0),
    "equal": lambda x: torch.equal(x, x + 1),
    "unique": lambda x: x.unique(),
    "eigh": lambda x: torch.linalg.eigh(x[0]),
    "svd": lambda x: torch.linalg.svd(x[0]),
    "cholesky": lambda x: torch.linalg.cholesky(x[0]),
    "repeat_interleave": lambda x: x.repeat_interleave(torch.ones_like(x[:, 0, 0, 0]).long(), 0),
    # Of what the watch knows no name of, torch says that it has no values.
    "unbacked": lambda x: torch.bincount(x[0, 0, 0].long()),
}
OTHERS: dict[str, Callable[[Tensor], Any]] = {
    "cpu tensor": lambda x: x + CPU,
    "cpu scalar": lambda x: x * CPU[0, 0, 0],
    "cpu index": lambda x: x[INDEX],
}
COPIES: dict[str, Callable[[Tensor], Any]] = {
    "cpu": lambda x: x.cpu(),
    "to cpu": lambda x: x.to("cpu", non_blocking=True),
    "to device": lambda x: x * torch.ones(3, 1, 1).to(x.device),
    "tensor of a list": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "new tensor": lambda x: x.new_tensor([1.0, 2.0]),
    "copied into": lambda x: x.copy_(torch.ones(2, 3, 8, 8)),
    "cpu tensor made": lambda x: torch.ones(3),
}
WIDE: dict[str, Callable[[Tensor], Any]] = {
    "double": lambda x: x.double(),
    "float64 made": lambda x: torch.zeros(3, dtype=torch.float64, device=x.device),
}
LAYOUTS: dict[str, Callable[[Tensor], Any]] = {
    "input": lambda x: F.conv2d(x.clone(memory_format=NCHW), _kernel(x)),
    "gradient": lambda x: _convolved(x, NCHW),
}
FINE: dict[str, Callable[[Tensor], Any]] = {
    "scalar": lambda x: (x * 2.0 + 1).sum(),
    "convolution": lambda x: _convolved(x, torch.channels_last),
    "index": lambda x: x[torch.arange(1, device=x.device)],
    "made there": lambda x: torch.zeros(3, device=x.device) + x.new_ones(3),
    "type": lambda x: x.bfloat16().float(),
    "chosen there": lambda x: torch.where(x > 0, x, 0.0),
}
# By what the watch is to say of them.
SAID = {
    "waits for the device": WAITS,
    "of a tensor on another device": OTHERS,
    "copies between devices": COPIES,
    "in float64": WIDE,
    "of what is not channels-last": LAYOUTS,
    "": FINE,
}
LAPSES = {name: lapse for lapses in SAID.values() for name, lapse in lapses.items()}
