"""What comes next is fetched while what came before is worked on: storage is far, but wide.

In: a stream, and what to fetch or to read for each of its entries. Out: the same stream, each entry
once its files are here, or what was read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Entry = TypeVar("Entry")
Result = TypeVar("Result")

_AHEAD = 64
_THREADS = 16


def fetched_ahead(entries: Iterable[Entry], fetch: Callable[[Entry], object]) -> Iterator[Entry]:
    """The entries in order, up to 64 of them fetched ahead in threads.

    Args:
        fetch: for one entry; what it raises is left to whoever reads the same again.
    """
    for entry, fetching in _under_way(entries, fetch):
        fetching.exception()  # waits for it
        yield entry


def mapped_ahead(entries: Iterable[Entry], work: Callable[[Entry], Result]) -> Iterator[Result]:
    """What a function makes of the entries, in order, of up to 64 ahead in threads.

    Args:
        work: for one entry, such as reading a file; what it raises is raised in its turn.
    """
    for _, working in _under_way(entries, work):
        yield working.result()


def _under_way(
    entries: Iterable[Entry], work: Callable[[Entry], Result]
) -> Iterator[tuple[Entry, Future[Result]]]:
    pool = ThreadPoolExecutor(_THREADS)
    begun: deque[tuple[Entry, Future[Result]]] = deque()
    try:
        for entry in entries:
            begun.append((entry, pool.submit(work, entry)))
            if len(begun) > _AHEAD:
                yield begun.popleft()
        while begun:
            yield begun.popleft()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
