"""Tensors that pretend to lie on Apple's GPU: what it lacks raises, and so does mixing devices."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

MPS = torch.device("mps")
_LACKING = {
    torch.linalg.eigh, torch.linalg.cholesky_ex, torch.linalg.solve_triangular, torch.linalg.qr,
    F.grid_sample, Tensor.double,
}  # fmt: skip
_PLAIN = torch._C.DisableTorchFunctionSubclass


class Apple(Tensor):
    """A tensor of float32 or whole numbers; `cpu()` makes an ordinary one of it."""

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        more = dict(kwargs or {})
        if func == Tensor.device.__get__:  # type: ignore[attr-defined]
            return MPS
        with _PLAIN():
            if func is Tensor.cpu:
                return args[0].as_subclass(Tensor)
            if func is Tensor.to:
                return _moved(*args, **more)
            _check(func, args, more)
        if more.get("device") == MPS:
            del more["device"]
        return super().__torch_function__(func, types, args, more)


def _check(func: Callable[..., Any], args: Sequence[Any], more: Mapping[str, Any]) -> None:
    for tensor in _tensors((args, more)):
        # On the way back torch hands gradients out as ordinary tensors.
        if not isinstance(tensor, Apple) and tensor.dim() and torch.is_grad_enabled():
            raise RuntimeError(f"{func.__name__}: tensors on mps and on the CPU")
        if tensor.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
    if func in _LACKING or (func is F.interpolate and _needs_cpu(args, more)):
        raise NotImplementedError(f"{func.__name__} is not implemented for MPS")


def _tensors(values: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))


def _needs_cpu(args: Sequence[Any], more: Mapping[str, Any]) -> bool:
    if more.get("antialias"):
        return True
    if more.get("mode") != "area":
        return False
    size = more.get("size") or args[1]
    wide = args[0].shape[-len(size) :]
    return any(w % s for w, s in zip(wide, size, strict=True))


def _moved(tensor: Tensor, where: Any) -> Tensor:
    """`tensor.to(where)`, of which one side pretends."""
    plain = tensor.as_subclass(Tensor)
    if isinstance(where, Tensor):
        moved = plain.to(where.dtype)
        return moved.as_subclass(Apple) if isinstance(where, Apple) else moved
    return plain.to(where) if where == "cpu" else plain.to(where).as_subclass(Apple)


def on_apple(values: Any) -> Any:
    """The same with all tensors on that GPU."""
    return tree_map(lambda v: v.as_subclass(Apple) if isinstance(v, Tensor) else v, values)
