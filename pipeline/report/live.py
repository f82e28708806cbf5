"""The page while the run goes on: made anew from time to time, beside the run.

In: a run folder that a run writes into. Out: `report.html`, again and again, until the run ends.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from pipeline.address import Address
from pipeline.errors import NstError
from pipeline.report.page import build_report
from pipeline.store import RunFolder

FIRST_S = 10.0  # after the run's begin
_EVERY_S = 20.0
_SHARE = 1 / 30  # of the time at most that goes into pages


@contextlib.contextmanager
def kept_fresh(store: RunFolder, most_jobs: int, first_s: float = FIRST_S) -> Iterator[None]:
    """Makes the run's page anew while the block runs, whenever something is new.

    Whoever ends the block makes the last page; where it ends by an error, it is made here. A page
    that cannot be made (no space, no rights) is left to the last one, which says so; a remote one
    is tried again, since a storage that is not reached may be back.

    Args:
        most_jobs: runs with more have no page unasked.
        first_s: seconds until the first one.
    """
    pages = _Pages(store, most_jobs)
    thread = threading.Thread(target=pages.keep_fresh, args=(first_s,), daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        pages.end(thread)
        if pages.made:
            pages.make(live=False)
        raise
    pages.end(thread)


class _Pages:
    """The pages of one run, made by a thread of their own."""

    def __init__(self, store: RunFolder, most_jobs: int) -> None:
        self._store, self._most_jobs = store, most_jobs
        self._ended = threading.Event()
        self._seen = -1
        self.made = False

    def keep_fresh(self, wait_s: float) -> None:
        """Until the end, or until a page cannot be made on a disk."""
        while not self._ended.wait(wait_s):
            began = time.monotonic()
            if not self._made_if_wanted():
                if not isinstance(self._store.path, Address):
                    return
                self._seen = -1
            wait_s = max(_EVERY_S, (time.monotonic() - began) / _SHARE)

    def _made_if_wanted(self) -> bool:
        try:
            return not self._is_wanted() or self.make(live=True)
        except (NstError, OSError):  # a storage that is not reached says nothing of the run
            return False

    def _is_wanted(self) -> bool:
        """Whether the run is small enough and has something new."""
        header = self._store.header()
        if header is None or header.jobs > self._most_jobs:
            return False
        seen = sum(run.done + run.failed for run in self._store.summaries().values())
        is_new = seen != self._seen
        self._seen = seen
        return is_new

    def make(self, *, live: bool) -> bool:
        """Makes the page; whether that went well."""
        try:
            build_report(self._store, live=live)
        except (NstError, OSError):
            return False
        self.made = True
        return True

    def end(self, thread: threading.Thread) -> None:
        """No more pages; waits for the one that is being made."""
        self._ended.set()
        thread.join()
