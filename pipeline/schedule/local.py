"""Batches in processes of this machine, one a slot; or in this process.

In: a feed of batches. Out: how each ended. Must not load torch: a worker loads what its work needs.

Each slot is a loky executor of one process. joblib's own pool is shared by all slots, and when one
of its processes dies the others' batches are lost with it; one pool a slot costs that slot's batch
only, and names it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from importlib.machinery import PathFinder
from pathlib import Path
from time import monotonic, sleep

import psutil
from joblib.externals.loky import ProcessPoolExecutor, process_executor
from joblib.externals.loky.backend import resource_tracker
from joblib.externals.loky.process_executor import BrokenProcessPool

from pipeline.plan import Batch
from pipeline.schedule.engine import Ended, Engine, Guarded, Work, guarded
from pipeline.schedule.feed import Feed
from pipeline.schedule.options import Patience, RunOptions
from pipeline.slot import (
    RunContext,
    batch_limit,
    in_own_process,
    own_environment,
    warm_up,
    work_batch,
)
from pipeline.store import SlotState

_START_S = 300.0  # for a process to start and import torch, also from a slow network disk
_NOT_STARTED = "the worker did not start within"
_MOST_BROKEN = 3  # batches in a row over which a slot's device broke


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
            yield Ended(batch, found.report, found.lost, found.trace)

    def kill(self) -> None:
        """Nothing to end."""


def _begin_worker(parent: int) -> None:
    """In a new worker: stopping is the parent's to order, and without it there is no more to do."""
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # the last one is Windows' own
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    # Loky takes 300 MB more than at first for a leak and begins a new process, which has to load
    # everything again; here those are networks and pictures, and memory has checks of its own.
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize

    lives = _watch(parent)

    def watch() -> None:
        while lives():
            sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _watch(parent: int) -> Callable[[], bool]:
    """Whether the process that began this one still runs, whenever it is asked.

    On Windows a process goes on naming a parent that is gone, whose number another one may have.
    """
    if sys.platform != "win32":
        return lambda: os.getppid() == parent
    try:
        return psutil.Process(parent).is_running
    except psutil.NoSuchProcess:
        return lambda: False


def _begin_tracker() -> None:
    """Begins loky's process that removes the semaphores of a run which was killed, without its
    warning of them: it came after the shell's prompt, and nobody can do anything about it."""
    name = "PYTHONWARNINGS"
    before = os.environ.get(name)
    os.environ[name] = ",".join(filter(None, [before, "ignore:resource_tracker:UserWarning"]))
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextlib.contextmanager
def _own_path_first() -> Iterator[None]:
    """A process that begins meanwhile finds this package, also where the user has a `pipeline.py`
    before it. Only then: the path's order is not ours to change."""
    home = Path(__file__).resolve().parents[2]
    found = PathFinder.find_spec("pipeline")
    if found is not None and found.origin == str(home / "pipeline" / "__init__.py"):
        yield
        return
    sys.path.insert(0, str(home))
    try:
        yield
    finally:
        sys.path.remove(str(home))


def _warm_up(work: Work, device: str) -> None:
    """In a new worker: loads what its work will need, while batches are packed."""
    if work is work_batch:
        warm_up(in_own_process(device))


@dataclass
class _Slot:
    """One slot: its process, and the batch that runs there.

    Attributes:
        device: as the user knows it; its process sees no other GPU.
        began, started: when the batch was handed over, and when its worker was first heard of.
        news, heard: the last that was heard of the worker, and when. All by this process's own
            clock, which nobody sets: a worker's says nothing here.
        broke: how often in a row its device broke, or its process did not start.
        retired: why it gets no batch any more, or empty.
    """

    number: int
    device: str
    executor: ProcessPoolExecutor | None = None
    batch: Batch | None = None
    future: Future[Guarded] | None = None
    began: float = 0.0
    started: float = 0.0
    news: SlotState | None = None
    heard: float = 0.0
    killed: str = ""
    broke: int = 0
    retired: str = ""

    def limit(self, width: int, height: int) -> int:
        """How many jobs of this size go into one of its batches."""
        return batch_limit(self.device, width, height)

    def start(self, work: Work) -> None:
        """Has the process start, so that it imports its libraries while batches are packed."""
        if self.executor is None:
            _begin_tracker()
            self.executor = ProcessPoolExecutor(
                max_workers=1,
                initializer=_begin_worker,
                initargs=(os.getpid(),),
                env=own_environment(self.device),
            )
            with _own_path_first():
                self.executor.submit(_warm_up, work, self.device)

    def submit(self, work: Work, context: RunContext, batch: Batch, upcoming: Batch | None) -> None:
        self.start(work)
        assert self.executor is not None
        self.batch, self.began, self.started, self.killed = batch, monotonic(), 0.0, ""
        self.news = context.store.live.slot(str(self.number))  # of the batch before
        given = batch.followed_by(upcoming)
        self.future = self.executor.submit(guarded, work, context, self.number, given)

    def pids(self) -> list[int]:
        return list(self.executor._processes) if self.executor else []

    def kill(self, why: str = "") -> None:
        self.killed = why
        for pid in self.pids():
            with contextlib.suppress(OSError):  # it has ended; Windows says so in several ways
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # the latter on Windows

    def close(self) -> None:
        if self.executor is not None:
            self.executor.shutdown(wait=True, kill_workers=True)
            self.executor = None


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

    def run(self, feed: Feed) -> Iterator[Ended]:
        """See `Engine`."""
        for slot in self.slots:
            slot.start(self.work)
        try:
            while True:
                for slot in self._free():
                    own = None if len(self._serving()) == 1 else slot.number
                    if (batch := feed.next(own, slot.limit)) is not None:
                        upcoming = feed.after(len(self.slots), slot.limit)
                        slot.submit(self.work, self.context, batch, upcoming)
                futures = [slot.future for slot in self.slots if slot.future is not None]
                if not futures:
                    return
                wait(futures, timeout=0.5, return_when=FIRST_COMPLETED)
                for slot in self.slots:
                    if slot.future is not None and slot.future.done():
                        yield self._end(slot)
                self._check_patience()
        finally:
            for slot in self.slots:
                slot.close()

    def _serving(self) -> list[_Slot]:
        return [slot for slot in self.slots if not slot.retired]

    def _free(self) -> list[_Slot]:
        return [slot for slot in self._serving() if slot.future is None]

    def _end(self, slot: _Slot) -> Ended:
        future, batch = slot.future, slot.batch
        assert future is not None and batch is not None
        slot.future = slot.batch = None
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            slot.close()
            lost = slot.killed or _cause_of_death(str(error))
            return self._judged(
                slot, Ended(batch, None, lost, broken=lost.startswith(_NOT_STARTED))
            )
        if error is not None:
            return Ended(batch, None, f"{type(error).__name__}: {error}")
        report, lost, trace, broken = future.result()
        if broken:
            slot.close()  # its process holds a device that can no longer be used
        return self._judged(slot, Ended(batch, report, lost, trace, broken))

    def _judged(self, slot: _Slot, ended: Ended) -> Ended:
        """Retires a slot whose device broke too often in a row; none is left, all is over."""
        slot.broke = slot.broke + 1 if ended.broken else 0 if ended.report else slot.broke
        if not ended.broken:
            return ended
        spoilt = replace(ended.batch, spoilt=(*ended.batch.spoilt, slot.number))
        ended = replace(ended, batch=spoilt)
        if slot.broke < _MOST_BROKEN:
            return ended
        slot.retired = (
            f"slot {slot.number} ({slot.device}) gets no batch any more, after {slot.broke} in a "
            f"row that broke it: {ended.lost}"
        )
        over = "" if self._serving() else f"no slot is left; the last: {slot.retired}"
        return replace(ended, retired=slot.retired, over=over)

    def _check_patience(self) -> None:
        store, moment = self.context.store, monotonic()
        for slot in self.slots:
            if slot.future is None or slot.future.done() or slot.killed:
                continue
            state = store.live.slot(str(slot.number))
            if state != slot.news:
                slot.news, slot.heard = state, moment
            if slot.heard < slot.began:  # the process is still starting
                if store.live.stop_asked():  # it would hear of it only once it has loaded torch
                    slot.kill("stopped")
                elif self.patience.stall_s > 0 and moment - slot.began > _START_S:
                    slot.kill(f"{_NOT_STARTED} {_START_S:g} s")
                continue
            slot.started = slot.started or moment
            if 0 < self.patience.batch_s < moment - slot.started:
                slot.kill(f"the batch took more than the {self.patience.batch_s:g} s of --timeout")
            elif 0 < self.patience.stall_s < moment - slot.heard:
                slot.kill(f"the worker got nowhere for {self.patience.stall_s:g} s (--stall)")

    def kill(self) -> None:
        """See `Engine`."""
        for slot in self.slots:
            slot.kill("stopped")
            slot.close()


def _cause_of_death(message: str) -> str:
    """A dead worker's exit code or signal, out of loky's message."""
    codes = re.search(r"exit codes of the workers are \{(.*?)\}", message)
    if codes:
        hint = ", as when memory runs out" if "SIGKILL" in codes[1] else ""
        return f"its worker process died with {codes[1]}{hint}"
    return "its worker process died"


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
