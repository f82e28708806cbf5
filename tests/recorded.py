"""A CUDA graph without a GPU: calls on CPU tensors are recorded, and made again.

As on a GPU a capture executes nothing, keeps every tensor by where it lies and every number of
Python's as it was, and refuses what waits for the device or copies from the CPU's plain memory. A
replay makes the same calls on the same tensors and fills those that the capture made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from calls import tensors_in
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

_WAITS = {
    "_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2",
    "_linalg_eigh", "_linalg_svd", "_linalg_check_errors", "repeat_interleave",
}  # fmt: skip
# Values of Python's that become a tensor, which lies in plain memory.
_UPLOADS = {"lift_fresh", "lift"}
# Of these nothing is left to be seen where the CPU is the device.
_TRIPS = {"cpu", "numpy", "tolist", "cuda", "pin_memory", "from_numpy", "__array__"}
REFUSED = "CUDA error: operation not permitted when stream is capturing"


def _bare(value: Any) -> Any:
    """The same memory without a history."""
    return value.detach() if isinstance(value, Tensor) else value


def _places(tensors: Iterable[Tensor]) -> set[int]:
    return {t.untyped_storage().data_ptr() for t in tensors}


class _Trips(TorchFunctionMode):
    """Refuses what takes a tensor off the device or onto it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        given = (*args[1:], *kwargs.values())
        moves = name == "to" and any(isinstance(v, (str, torch.device)) for v in given)
        if name in _TRIPS or moves:
            raise RuntimeError(f"{REFUSED}: {name}")
        return func(*args, **kwargs)


class Graph(TorchDispatchMode):
    """A graph: a capture while it is a context, then one that can be replayed.

    Attributes:
        calls: how many it holds.
        replays: how often it was replayed.
    """

    replaying = False  # any of them

    def __init__(self) -> None:
        super().__init__()
        self.replays = 0
        self._calls: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self._before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self._made: list[Tensor] = []

    @property
    def calls(self) -> int:
        return len(self._calls)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self._refuse(func.overloadpacket.__name__, args)
        given = tree_map(_bare, (args, kwargs))
        for argument, value in self._by_argument(func, args, kwargs):
            if argument.alias_info is not None and argument.alias_info.is_write:
                self._remember(tensors_in([value]))
        found = func(*args, **kwargs)
        own = _places(tensors_in([*given[0], *given[1].values()]))
        made = [_bare(t) for t in tensors_in([found]) if not _places([t]) & own]
        self._calls.append((func, *given, made))
        self._made += made
        return found

    def _by_argument(self, func: Any, args: Any, kwargs: Any) -> Iterator[tuple[Any, Any]]:
        for place, argument in enumerate(func._schema.arguments):
            if place < len(args):
                yield argument, args[place]
            elif argument.name in kwargs:
                yield argument, kwargs[argument.name]

    def _refuse(self, name: str, args: Any) -> None:
        masks = tensors_in(args[1]) if name.startswith(("index", "_index")) else ()
        by_mask = any(t.dtype in (torch.bool, torch.uint8) for t in masks)
        if name in _WAITS or name in _UPLOADS or by_mask:
            raise RuntimeError(f"{REFUSED}: {name}")

    def _remember(self, tensors: Iterable[Tensor]) -> None:
        """What lay in memory that is about to be written."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._before.setdefault(storage.data_ptr(), (storage, storage.clone()))

    def undo(self) -> None:
        """Nothing was executed: what was there is as it was, and what is new holds nothing."""
        for made in self._made:
            made.fill_(torch.nan if made.dtype.is_floating_point else 1)
        for storage, before in self._before.values():
            storage.copy_(before)

    @torch.no_grad()
    def replay(self) -> None:
        """Makes all calls again."""
        self.replays += 1
        Graph.replaying = True
        for func, args, kwargs, made in self._calls:
            found = func(*args, **kwargs)
            if made:
                for own, new in zip(made, tensors_in([found]), strict=True):
                    own.copy_(new)
        Graph.replaying = False


class Graphs:
    """Stands for `graphs._capture`, and keeps the graphs that it took."""

    def __init__(self) -> None:
        self.taken: list[Graph] = []

    def __call__(self, run: Callable[[], Any], device: torch.device) -> tuple[Graph, Any]:
        graph = Graph()
        with capturing(graph):
            found = run()
        self.taken.append(graph)
        return graph, found


@contextmanager
def capturing(graph: Graph) -> Iterator[None]:
    """Within it all calls become part of the graph."""
    try:
        with graph, _Trips():
            yield
    finally:
        graph.undo()


class Calls(TorchDispatchMode):
    """Names all calls but those that a graph makes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not Graph.replaying:
            self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))
