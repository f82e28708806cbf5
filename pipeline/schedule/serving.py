"""In a worker: its batches, one after another, the next one at hand while one runs.

In: what the driver hands over through a pipe. Out: through the same pipe, what became of it. A
batch's files are written behind the next batch; it has ended when they are. Must not load torch.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import NamedTuple

from pipeline.plan import Batch
from pipeline.schedule.engine import Guarded, Writing, settled


class Give(NamedTuple):
    """To a worker: a batch to be run after those that it has."""

    ticket: int
    batch: Batch


class TakeBack(NamedTuple):
    """To a worker: a batch that is not to be run here after all, unless it has begun."""

    ticket: int


class Begun(NamedTuple):
    """From a worker: it is at this batch now, and through the steps of those before."""

    ticket: int


class GivenBack(NamedTuple):
    """From a worker: it will not run this batch."""

    ticket: int


class Finished(NamedTuple):
    """From a worker: how a batch ended, with all its files written."""

    ticket: int
    found: Guarded


class _Line:
    """The batches that wait in a worker, and its end of the pipe."""

    def __init__(self, pipe: Connection, look_ahead: Callable[[Batch | None], None]) -> None:
        self._pipe, self._look_ahead = pipe, look_ahead
        self._waiting: deque[Give] = deque()
        self._changed, self._sending = threading.Condition(), threading.Lock()
        self._busy = self._over = False
        self._error: Exception | None = None

    def listen(self) -> None:
        """Takes what the driver says, until it is gone."""
        try:
            while True:
                self._take(self._pipe.recv())
        except (EOFError, OSError):
            pass
        except Exception as error:  # noqa: BLE001 (raised again by `next`, in the thread that runs)
            self._error = error
        with self._changed:
            self._over = True
            self._changed.notify()

    def _take(self, said: Give | TakeBack) -> None:
        with self._changed:
            if isinstance(said, Give):
                self._waiting.append(said)
                if self._busy:
                    self._look_ahead(said.batch)
                self._changed.notify()
                return
            there = [given for given in self._waiting if given.ticket == said.ticket]
            for given in there:
                self._waiting.remove(given)
                self._look_ahead(None)
        if there:
            self.say(GivenBack(said.ticket))

    def next(self) -> Give | None:
        """The next batch, which begins now; None when there will be none."""
        with self._changed:
            self._busy = False
            self._changed.wait_for(lambda: self._waiting or self._over)
            if self._error is not None:
                raise self._error
            if self._over:
                return None
            self._busy = True
            given = self._waiting.popleft()
            if self._waiting:
                self._look_ahead(self._waiting[0].batch)
        self.say(Begun(given.ticket))
        return given

    def say(self, said: Begun | GivenBack | Finished) -> None:
        """Tells the driver."""
        with self._sending:
            self._pipe.send(said)

    def finish(self, ticket: int, found: Guarded | Writing) -> None:
        """Tells how a batch ended, when it has."""
        self.say(Finished(ticket, settled(found)))


def serve(
    pipe: Connection,
    begin: Callable[[Batch], Guarded | Writing],
    look_ahead: Callable[[Batch | None], None],
) -> None:
    """Runs what comes through a pipe until the driver closes it or the device breaks.

    Args:
        begin: takes a batch through its steps; what it gives back is waited for behind the next.
        look_ahead: told, while a batch runs, of the one that waits; None if it is taken back.
    """
    line = _Line(pipe, look_ahead)
    threading.Thread(target=line.listen, daemon=True).start()
    with ThreadPoolExecutor(1) as behind:  # one after another: they end in their order
        last: Future[None] | None = None
        while (given := line.next()) is not None:
            found = begin(given.batch)
            is_over = isinstance(found, Guarded)
            if is_over and (last is None or last.done()):
                line.finish(given.ticket, found)  # told before the next one can end this process
            else:
                last = behind.submit(line.finish, given.ticket, found)
            if isinstance(found, Guarded) and found.broken:
                return
