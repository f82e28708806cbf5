"""What comes next is fetched while what came before is worked on: storage is far, but wide.

In: a stream, and what to fetch for each of its entries. Out: the same stream, each entry once its
files are here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Entry = TypeVar("Entry")

_AHEAD = 64
_THREADS = 16


def fetched_ahead(entries: Iterable[Entry], fetch: Callable[[Entry], object]) -> Iterator[Entry]:
    """The entries in order, up to 64 of them fetched ahead in threads.

    Args:
        fetch: for one entry; what it raises is left to whoever reads the same again.
    """
    pool = ThreadPoolExecutor(_THREADS)
    under_way: deque[tuple[Entry, Future[object]]] = deque()
    try:
        for entry in entries:
            under_way.append((entry, pool.submit(fetch, entry)))
            if len(under_way) > _AHEAD:
                yield _settled(under_way)
        while under_way:
            yield _settled(under_way)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _settled(under_way: deque[tuple[Entry, Future[object]]]) -> Entry:
    entry, fetching = under_way.popleft()
    fetching.exception()  # waits for it
    return entry
