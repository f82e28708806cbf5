"""`run.json`, rewritten as a run goes.

In: counts. Out: the file, not more often than every two seconds unless it is asked for. Must not
load torch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from pipeline.plan import Batch
from pipeline.schedule.counts import Counts
from pipeline.schedule.ending import Ending
from pipeline.store import RunFolder

_EVERY_S = 2.0


class RunJson:
    """The file of one run."""

    def __init__(self, store: RunFolder, counts: Counts, ending: Ending) -> None:
        self._store, self._counts, self._ending = store, counts, ending
        self._written = 0.0

    def write(self) -> None:
        """Rewrites it."""
        self._written = time.monotonic()
        self._counts.refresh()
        with self._ending.giving_up():
            self._store.write_summary(self._counts.summary)

    def write_if_due(self) -> None:
        """Rewrites it, if the last time is some seconds ago."""
        if time.monotonic() - self._written > _EVERY_S:
            self.write()

    def before(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches; when the first one is given, it says what was found done."""
        for number, batch in enumerate(batches):
            if number == 0:
                self.write()
            self.write_if_due()
            yield batch
