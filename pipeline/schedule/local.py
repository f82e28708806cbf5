"""Batches in processes of this machine, one a slot; or in this process.

In: a feed of batches. Out: how each ended. Must not load torch: a worker loads what its work needs.

A slot is given two batches: one runs, the next one is at hand when it ends. Where a slot has none,
it gets one that waits in another.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from time import monotonic

from pipeline.plan import Batch
from pipeline.schedule.blame import Blame
from pipeline.schedule.engine import Ended, Engine, Work, guarded
from pipeline.schedule.feed import Feed, may_take
from pipeline.schedule.options import Patience, RunOptions
from pipeline.schedule.serving import Begun, Finished, Give, GivenBack, TakeBack
from pipeline.schedule.worker import Died, News, Worker
from pipeline.slot import RunContext, batch_limit
from pipeline.store import SlotState

_START_S = 300.0  # for a process to start and import torch, also from a slow network disk
_NOT_STARTED = "the worker did not start within"
_TOO_LONG = "the batch took more than"


class InlineEngine:
    """Runs batches in this process, one after another: for one short run, and for debuggers."""

    def __init__(self, context: RunContext, work: Work) -> None:
        self.context, self.work, self.devices = context, work, context.slots[:1]

    def run(self, feed: Feed) -> Iterator[Ended]:
        """See `Engine`."""
        from pipeline.slot import forget_all  # loads torch

        forget_all()
        while (batch := feed.next()) is not None:
            given = batch.followed_by(feed.after(1))
            found = guarded(self.work, self.context, 0, given)
            over = f"{self.context.slots[0]}: {found.lost}" if found.broken else ""
            yield Ended(batch, found.report, found.lost, found.trace, found.broken, over=over)
            if found.broken:  # and this process with it
                return

    def kill(self) -> None:
        """Nothing to end."""


@dataclass
class _Given:
    """A batch that a slot has, and has not ended.

    Attributes:
        begun: whether its worker is at it, or through its steps and writing.
        asked: whether it was asked to give it back.
    """

    ticket: int
    batch: Batch
    begun: bool = False
    asked: bool = False


@dataclass
class _Slot:
    """One slot: its process, and the batches that it has.

    Attributes:
        device: as the user knows it; its process sees no other GPU.
        given: the oldest first; two at most.
        served: whether this process ever began a batch.
        began, started: when its last batch was handed over, or begun, and when its worker was
            first heard of after that.
        news, heard: the last that was heard of the worker, and when. All by this process's own
            clock, which nobody sets: a worker's says nothing here.
        retired: why it gets no batch any more, or empty.
    """

    number: int
    device: str
    worker: Worker | None = None
    given: list[_Given] = field(default_factory=list)
    served: bool = False
    began: float = 0.0
    started: float = 0.0
    news: SlotState | None = None
    heard: float = 0.0
    killed: str = ""
    retired: str = ""

    def limit(self, width: int, height: int) -> int:
        """How many jobs of this size go into one of its batches."""
        return batch_limit(self.device, width, height)

    @property
    def takes_another(self) -> bool:
        """Whether a second batch may wait behind the one that it has."""
        return len(self.given) == 1 and not self.given[0].batch.alone

    @property
    def waiting(self) -> _Given | None:
        """The batch that waits behind another."""
        last = self.given[-1] if len(self.given) > 1 else None
        return None if last is None or last.begun else last

    def hand(self, ticket: int, batch: Batch, news: SlotState | None) -> None:
        """A batch for its worker.

        Args:
            news: of the batch before.
        """
        assert self.worker is not None
        if not self.given:
            self._at(news)
        self.given.append(_Given(ticket, batch))
        self.worker.say(Give(ticket, batch))

    def _at(self, news: SlotState | None) -> None:
        self.began, self.started, self.news = monotonic(), 0.0, news

    def begin(self, ticket: int, news: SlotState | None) -> None:
        """Its worker is at this batch now."""
        self._at(news)
        self.started = self.heard = self.began
        self.served = True
        for given in self.given:
            given.begun = given.begun or given.ticket == ticket

    def ask_back(self) -> None:
        """Has its worker asked for the batch that waits."""
        waiting = self.waiting
        if self.worker is not None and waiting is not None and not waiting.asked:
            waiting.asked = True
            self.worker.say(TakeBack(waiting.ticket))

    def take(self, ticket: int) -> Batch:
        """One of its batches, which it has no more."""
        (found,) = (given for given in self.given if given.ticket == ticket)
        self.given.remove(found)
        return found.batch

    def kill(self, why: str = "") -> None:
        self.killed = why
        if self.worker is not None:
            self.worker.kill()

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
        self.worker, self.served, self.killed = None, False, ""


@dataclass
class LocalEngine:
    """One process a slot, kept for the whole run."""

    context: RunContext
    work: Work
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        self.context = replace(self.context, isolated=True)
        self.devices = self.context.slots
        self.slots = [_Slot(number, device) for number, device in enumerate(self.context.slots)]
        self._tickets = itertools.count()
        self._blame = Blame()
        self._heard: queue.SimpleQueue[tuple[Worker, News]] = queue.SimpleQueue()

    def run(self, feed: Feed) -> Iterator[Ended]:
        """See `Engine`."""
        for slot in self.slots:
            self._start(slot)
        try:
            while True:
                self._hand_out(feed)
                if not any(slot.given for slot in self.slots):
                    return
                for worker, news in self._listen():
                    yield from self._take(feed, worker, news)
                self._check_patience()
        finally:
            for slot in self.slots:
                slot.close()

    def _start(self, slot: _Slot) -> None:
        """Has the process start, so that it imports its libraries while batches are packed."""
        if slot.worker is None:

            def hear(worker: Worker, news: News) -> None:
                self._heard.put((worker, news))

            slot.worker = Worker(self.work, self.context, slot.number, hear)

    def _listen(self) -> Iterator[tuple[Worker, News]]:
        """What is heard of workers, once there is something or half a second has passed."""
        with contextlib.suppress(queue.Empty):
            yield self._heard.get(timeout=0.5)
            while True:
                yield self._heard.get_nowait()

    # -- who gets what --

    def _serving(self) -> list[_Slot]:
        return [slot for slot in self.slots if not slot.retired]

    def _hand_out(self, feed: Feed) -> None:
        """A batch for each slot that has none, then a second one; what waits goes back where a slot
        has none, or no more is to begin."""
        for slot in self._serving():
            if not slot.given:
                self._hand(slot, feed)
        idle = [slot for slot in self._serving() if not slot.given]
        if not idle and not self._scarce(feed):
            for slot in self._serving():
                if slot.takes_another:
                    self._hand(slot, feed)
        for slot in self.slots if feed.stopped else ():
            slot.ask_back()
        asked = sum(slot.waiting is not None and slot.waiting.asked for slot in self.slots)
        for slot in idle[asked:]:
            self._share_with(slot)
        feed.waiting = [waiting.batch for slot in self.slots if (waiting := slot.waiting)]

    def _scarce(self, feed: Feed) -> bool:
        """Whether what is left is better left for other processes of the run."""
        return feed.is_shared and feed.after(2 * len(self.slots)) is None

    def _hand(self, slot: _Slot, feed: Feed) -> None:
        own = None if len(self._serving()) == 1 else slot.number
        batch = feed.next(own, slot.limit, behind=bool(slot.given))
        if batch is None:
            return
        self._start(slot)
        slot.hand(next(self._tickets), batch, self._news_of(slot))

    def _share_with(self, idle: _Slot) -> None:
        """Asks for a batch that waits elsewhere, where it would wait the longest."""
        rich = [
            slot
            for slot in self.slots
            if (waiting := slot.waiting) is not None
            and not waiting.asked
            and may_take(idle.number, waiting.batch)
        ]
        if rich:
            max(rich, key=lambda slot: slot.began).ask_back()

    # -- what became of it --

    def _take(self, feed: Feed, worker: Worker, news: News) -> Iterator[Ended]:
        slot = next((slot for slot in self.slots if slot.worker is worker), None)
        if slot is None:  # its process was ended since
            return
        if isinstance(news, Begun):
            slot.begin(news.ticket, self._news_of(slot))
        elif isinstance(news, GivenBack):
            feed.put_back(slot.take(news.ticket))
        elif isinstance(news, Finished):
            yield self._end(slot, feed, news)
        else:
            yield from self._bury(slot, feed, news)

    def _end(self, slot: _Slot, feed: Feed, news: Finished) -> Ended:
        batch = slot.take(news.ticket)
        report, lost, trace, broken = news.found
        if broken:
            slot.close()  # its process holds a device that can no longer be used
            self._put_back(slot, feed)
        return self._judged(slot, Ended(batch, report, lost, trace, broken))

    def _bury(self, slot: _Slot, feed: Feed, news: Died) -> Iterator[Ended]:
        """A process has died: what it was at is lost. Of two batches, of which one was being
        written, either may be to blame; none is for what had not begun."""
        first = [] if slot.served else slot.given[:1]  # a process that cannot even start
        hit = [given for given in slot.given if given.begun] or first
        slot.given = [given for given in slot.given if given not in hit]
        lost = slot.killed or news.why
        slot.close()
        self._put_back(slot, feed)
        if first and not slot.killed:
            lost = f"its worker could not begin: {lost}"
        broken = bool(first)  # no batch is to blame for that
        for given in hit:
            ended = Ended(given.batch, None, lost, broken=broken, together=len(hit) > 1)
            yield self._judged(slot, ended, died=not lost.startswith(_TOO_LONG))

    def _put_back(self, slot: _Slot, feed: Feed) -> None:
        """What a slot had not begun is for whoever comes next."""
        for given in slot.given:
            feed.put_back(given.batch)
        slot.given = []

    def _judged(self, slot: _Slot, ended: Ended, *, died: bool = False) -> Ended:
        """Retires a slot that lost too many batches in a row; none is left, all is over.

        Args:
            died: whether its process ended over the batch, or hung.
        """
        ended, why = self._blame.judge(slot.number, ended, died=died)
        if not why:
            return ended
        slot.retired = (
            f"slot {slot.number} ({slot.device}) gets no batch any more, after {why}: {ended.lost}"
        )
        over = "" if self._serving() else f"no slot is left; the last: {slot.retired}"
        return replace(ended, retired=slot.retired, over=over)

    # -- patience --

    def _news_of(self, slot: _Slot) -> SlotState | None:
        return self.context.store.live.slot(str(slot.number))

    def _check_patience(self) -> None:
        moment = monotonic()
        for slot in self.slots:
            if not slot.given or slot.killed:
                continue
            state = self._news_of(slot)
            if state != slot.news:
                slot.news, slot.heard = state, moment
            if slot.heard < slot.began:  # the process is still starting
                if self.context.store.live.stop_asked():  # it would hear once it has loaded torch
                    slot.kill("stopped")
                elif self.patience.stall_s > 0 and moment - slot.began > _START_S:
                    slot.kill(f"{_NOT_STARTED} {_START_S:g} s")
                continue
            slot.started = slot.started or moment
            if 0 < self.patience.batch_s < moment - slot.started:
                slot.kill(f"{_TOO_LONG} the {self.patience.batch_s:g} s of --timeout")
            elif 0 < self.patience.stall_s < moment - slot.heard:
                slot.kill(f"the worker got nowhere for {self.patience.stall_s:g} s (--stall)")

    def kill(self) -> None:
        """See `Engine`."""
        for slot in self.slots:
            slot.kill("stopped")
            slot.close()


def open_local(
    context: RunContext, work: Work, options: RunOptions
) -> contextlib.AbstractContextManager[Engine]:
    """Processes of this machine, one a slot."""
    return contextlib.nullcontext(LocalEngine(context, work, options.patience))


def open_inline(
    context: RunContext, work: Work, options: RunOptions
) -> contextlib.AbstractContextManager[Engine]:
    """This process."""
    return contextlib.nullcontext(InlineEngine(context, work))
