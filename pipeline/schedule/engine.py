"""What an engine is: it runs batches somewhere, and watches processes and nothing else.

In: a feed of batches and the function that runs one. Out: how each ended. What a lost batch means
is the scheduler's to say.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.plan import Batch
from pipeline.schedule.feed import Feed
from pipeline.slot import Report, RunContext

Work = Callable[[RunContext, "int | None", Batch], Report]
Guarded = tuple["Report | None", str, str]


@dataclass(frozen=True)
class Ended:
    """A batch that an engine is done with.

    Attributes:
        report: what its worker says, or None if it was lost.
        lost: why it was lost.
        trace: the traceback behind it, for the log.
        together: lost with other batches, of which any may be to blame.
        over: why no batch will be run here any more, or empty.
    """

    batch: Batch
    report: Report | None
    lost: str = ""
    trace: str = ""
    together: bool = False
    over: str = ""


class Engine(Protocol):
    """Runs batches somewhere."""

    def run(self, feed: Feed) -> Iterator[Ended]:
        """Runs what the feed gives until it has no more; batches may be put back meanwhile."""
        ...

    def kill(self) -> None:
        """Ends all workers at once."""
        ...


def guarded(work: Work, context: RunContext, slot: int | None, batch: Batch) -> Guarded:
    """Runs in the worker: an error that nobody foresaw must not end the worker, or the run.

    Returns:
        the report, or None with the error and its traceback.
    """
    try:
        return work(context, slot, batch), "", ""
    except Exception as error:  # noqa: BLE001 (reported, and the batch is tried again smaller)
        return None, f"{type(error).__name__}: {error}", traceback.format_exc()
