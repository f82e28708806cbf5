"""What a process reads ahead, while another batch runs.

In: what the next batch will ask for. Out: the same, read, when it does. An error of a file waits
for whoever asks for it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

from torch import Tensor

from pipeline.errors import NstError
from pipeline.notices import Notice
from pipeline.pictures import Mask
from pipeline.plan import ContentKey
from pipeline.slot.contents import Content, read_content

FILE_THREADS = 8  # that decode and encode a batch's pictures, at most


class StylePixels(NamedTuple):
    """A style picture, read.

    Attributes:
        images: at the sizes of its targets, 3 x h x w.
        mask: its regions.
        notices: what is to be said of its file.
    """

    images: list[Tensor]
    mask: Mask | None
    notices: tuple[Notice, ...]


class Pools:
    """Threads that a process keeps, by how many."""

    def __init__(self) -> None:
        self.of = lru_cache(maxsize=None)(ThreadPoolExecutor)


class ReadAhead:
    """Content pictures that are being read, also for the batch after this one.

    In threads of its own: whoever writes a batch's pictures must not keep the next one waiting.
    """

    def __init__(self) -> None:
        self._reading: dict[ContentKey, Future[Content]] = {}
        self._before: dict[ContentKey, Future[Content]] = {}
        self.styles = StylesAhead()
        self._lock = threading.Lock()
        self._pools = Pools()

    def begin(
        self,
        keys: Sequence[ContentKey],
        threads: int = FILE_THREADS,
        then: Callable[[Mapping[ContentKey, Content]], None] | None = None,
    ) -> None:
        """Begins to read what the next batch will want. What was begun the last time may still be
        asked for; what nobody asked for of the time before is let go.

        Args:
            then: called, in one of the threads, with the pictures when they are read; not if one
                cannot be, or is not wanted any more.
        """
        with self._lock:
            known = self._before | self._reading
            for key in self._before.keys() - self._reading.keys() - set(keys):
                known[key].cancel()
            pool = self._pools.of(threads)
            self._before = self._reading
            self._reading = {k: known.get(k) or pool.submit(read_content, *k) for k in keys}
            self.styles.begin()
            if then is not None:
                # Behind them in the same line, so that it never waits for what has not begun.
                pool.submit(_after, dict(self._reading), then)

    def take(self, key: ContentKey, threads: int = FILE_THREADS) -> Future[Content]:
        """A picture that is being read, from now on if nobody wanted it before.

        Of a picture that two batches want, the first one takes it of the time before, and leaves
        the last one its own.
        """
        with self._lock:
            found = self._before.pop(key, None) or self._reading.pop(key, None)
            return found or self._pools.of(threads).submit(read_content, *key)


def _after(
    reading: Mapping[ContentKey, Future[Content]],
    then: Callable[[Mapping[ContentKey, Content]], None],
) -> None:
    """What goes wrong is told when the batch asks for the same."""
    with contextlib.suppress(NstError, CancelledError):
        then({key: each.result() for key, each in reading.items()})


class StylesAhead:
    """Style pictures that were read for the batch after this one, at the sizes of their targets."""

    def __init__(self) -> None:
        self._read: dict[str, StylePixels] = {}
        self._before: dict[str, StylePixels] = {}

    def begin(self) -> None:
        """Those of another batch follow; see `ReadAhead.begin`."""
        self._before, self._read = self._read, {}

    def put(self, name: str, pixels: StylePixels) -> None:
        """Keeps one, by what decides its targets."""
        self._read[name] = pixels

    def take(self, name: str) -> StylePixels | None:
        """One that was read, which is not kept any longer; or None."""
        return self._read.pop(name, None) or self._before.pop(name, None)
