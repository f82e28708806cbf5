"""What a process holds of style targets, so that no job of a style it knows reads or blends them.

In: tensors under a name. Out: the same ones, as long as there is room. Knows nothing of styles.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from torch import Tensor

# A process is reckoned with 1 GB beside its batch; see `memory.py`.
_MOST_BYTES = 256 * 2**20


T = TypeVar("T")


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from _tensors(list(values.values()))
    elif is_dataclass(values):
        yield from _tensors([getattr(values, each.name) for each in fields(values)])
    elif isinstance(values, Sequence) and not isinstance(values, str):
        for value in values:
            yield from _tensors(value)


class Kept:
    """Values that hold tensors, by name: those that were asked for last.

    Args:
        most: bytes of their tensors at most; a value that is larger alone is not kept.
    """

    def __init__(self, most: int = _MOST_BYTES) -> None:
        self._most, self._held = most, 0
        self._values: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()  # other threads put in what they read ahead

    def __contains__(self, name: str) -> bool:
        """Whether something is kept under a name."""
        with self._lock:
            return name in self._values

    def get(self, name: str, make: Callable[[], T]) -> T:
        """What is kept under a name, or what `make` gives, which is then kept."""
        with self._lock:
            if name in self._values:
                self._values.move_to_end(name)
                kept: T = self._values[name][0]
                return kept
        made = make()
        with self._lock:
            self._put(name, made)
        return made

    def _put(self, name: str, made: object) -> None:
        size = sum(each.nbytes for each in _tensors(made))
        if name in self._values or size > self._most:
            return
        self._values[name] = made, size
        self._held += size
        while self._held > self._most:
            _, (_, freed) = self._values.popitem(last=False)
            self._held -= freed
