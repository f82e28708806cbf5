"""What an engine is: it runs batches somewhere, and watches processes and nothing else.

In: a feed of batches and the function that runs one. Out: how each ended. What a lost batch means
is the scheduler's to say.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pipeline.errors import NstError
from pipeline.plan import Batch
from pipeline.schedule.feed import Feed
from pipeline.slot import Report, RunContext, is_devices_fault

# Waits for a batch's files, and says how it ended.
Writing = Callable[[], Report]
# Runs one batch in a worker; what is still being written then is waited for behind the next one.
Work = Callable[[RunContext, "int | None", Batch], Report | Writing]


class Guarded(NamedTuple):
    """What comes back of a batch from its worker.

    Attributes:
        report: what the worker says, or None with the error and its traceback.
        broken: whether the device is at fault, so that this process has to end.
    """

    report: Report | None
    lost: str = ""
    trace: str = ""
    broken: bool = False


@dataclass(frozen=True)
class Ended:
    """A batch that an engine is done with.

    Attributes:
        report: what its worker says, or None if it was lost.
        lost: why it was lost.
        trace: the traceback behind it, for the log.
        broken: the device's fault, not a job's.
        together: lost with other batches, of which any may be to blame.
        retired: why the slot gets no batch any more, or empty.
        over: why no batch will be run here any more, or empty.
    """

    batch: Batch
    report: Report | None
    lost: str = ""
    trace: str = ""
    broken: bool = False
    together: bool = False
    retired: str = ""
    over: str = ""


class Engine(Protocol):
    """Runs batches somewhere.

    Attributes:
        devices: the kinds that batches are run on, as far as is known: they decide how large
            batches are packed.
    """

    devices: tuple[str, ...]

    def run(self, feed: Feed) -> Iterator[Ended]:
        """Runs what the feed gives until it has no more; batches may be put back meanwhile."""
        ...

    def kill(self) -> None:
        """Ends all workers at once."""
        ...


def begun(work: Work, context: RunContext, slot: int | None, batch: Batch) -> Guarded | Writing:
    """Runs in the worker: an error that nobody foresaw must not end the worker, or the run.

    Returns:
        how the batch ended, or what waits for the files that are still being written.
    """
    try:
        found = work(context, slot, batch)
    except Exception as error:  # noqa: BLE001 (reported, and the batch is tried again smaller)
        return _lost(error)
    return Guarded(found) if isinstance(found, Report) else found


def settled(found: Guarded | Writing) -> Guarded:
    """How a batch ended, when all its files are written; an error is caught as by `begun`."""
    if isinstance(found, Guarded):
        return found
    try:
        return Guarded(found())
    except Exception as error:  # noqa: BLE001 (likewise)
        return _lost(error)


def _lost(error: Exception) -> Guarded:
    """Called where the error is handled."""
    said = str(error) if isinstance(error, NstError) else f"{type(error).__name__}: {error}"
    return Guarded(None, said, traceback.format_exc(), is_devices_fault(error))


def guarded(work: Work, context: RunContext, slot: int | None, batch: Batch) -> Guarded:
    """Runs a batch to its end; see `begun`.

    Returns:
        the report, or None with the error and its traceback.
    """
    return settled(begun(work, context, slot, batch))
