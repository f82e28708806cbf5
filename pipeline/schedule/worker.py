"""A worker process of this machine, as its driver has it: started, told, heard, ended.

In: a slot's device and what to run there. Out: what its process says, and that it died. Must not
load torch: a worker loads what its work needs.

It is a loky executor of one process. joblib's own pool is shared by all slots, and when one of its
processes dies the others' batches are lost with it; one pool a slot costs that slot's batches only,
and names it. Batches go through a pipe of their own: what waits in loky's queue cannot be taken
back, and its process takes one call at a time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from functools import partial
from importlib.machinery import PathFinder
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from time import sleep
from typing import NamedTuple

import psutil
from joblib.externals.loky import ProcessPoolExecutor, process_executor
from joblib.externals.loky.backend import resource_tracker
from joblib.externals.loky.process_executor import BrokenProcessPool

from pipeline.plan import Batch
from pipeline.schedule.engine import Work, begun
from pipeline.schedule.serving import Begun, Finished, Give, GivenBack, TakeBack, serve
from pipeline.slot import (
    RunContext,
    in_own_process,
    look_ahead,
    own_environment,
    warm_up,
    work_batch,
)

_LOOKS_S = 0.5  # for the death of a process whose pipe does not tell
_ENDS_S = 5.0  # for the threads of a process that has ended

# --- in the worker --------------------------------------------------------------------------------

_pipes: list[Connection] = []


def _begin_worker(parent: int, pipe: Connection) -> None:
    """In a new worker: stopping is the parent's to order, and without it there is no more to do."""
    _pipes.append(pipe)
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


def _serve_slot(work: Work, context: RunContext, slot: int) -> None:
    """In a worker: loads what its work will need, while batches are packed; then runs them."""
    ahead: Callable[[Sequence[Batch]], None] = _no_look_ahead
    if work is work_batch:
        warm_up(in_own_process(context.slots[slot]))
        context.enter()  # before anything is read, which another thread may begin first
        ahead = partial(look_ahead, context, slot)
    with contextlib.closing(_pipes.pop()) as pipe:
        serve(pipe, partial(begun, work, context, slot), ahead)


def _no_look_ahead(batches: Sequence[Batch]) -> None:
    """Of work that reads nothing ahead."""


# --- in the driver --------------------------------------------------------------------------------


class Died(NamedTuple):
    """Of a worker: its process has ended, and why."""

    why: str


News = Begun | GivenBack | Finished | Died


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


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A process that begins meanwhile hears no Ctrl-C, which a terminal sends to all: it would end
    with a trace while it loads. This process hears it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_tracker() -> None:
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


class Worker:
    """The process of one slot.

    Args:
        slot: the slot's number.
        hear: told, in a thread of its own, what the worker says; last of all that it died.
    """

    def __init__(
        self, work: Work, context: RunContext, slot: int, hear: Callable[[Worker, News], None]
    ) -> None:
        self._hear, self._closed = hear, False
        self._pipe, theirs = multiprocessing.Pipe()
        begin_tracker()
        self._executor = ProcessPoolExecutor(
            max_workers=1,
            initializer=_begin_worker,
            initargs=(os.getpid(), theirs),
            env=own_environment(context.slots[slot], context.deterministic),
        )
        with _own_path_first(), _interrupts_blocked():
            self._serving = self._executor.submit(_serve_slot, work, context, slot)
        theirs.close()  # so that the pipe ends with the process
        # Whoever hands over must not wait for a process that hangs.
        self._to_say: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._listen, self._speak)
        ]
        for thread in self._threads:
            thread.start()

    def say(self, said: Give | TakeBack) -> None:
        """Has the worker told, when it listens."""
        self._to_say.put(bytes(ForkingPickler.dumps(said)))

    def _speak(self) -> None:
        with contextlib.suppress(OSError):  # it has ended, which the other thread notices
            while (said := self._to_say.get()) is not None:
                self._pipe.send_bytes(said)

    def _listen(self) -> None:
        try:
            while True:
                if self._pipe.poll(_LOOKS_S):
                    self._hear(self, self._pipe.recv())
                elif self._serving.done():
                    break
        except (EOFError, OSError):
            pass
        if not self._closed:
            self._hear(self, Died(self._cause()))

    def _cause(self) -> str:
        """Why the process has ended."""
        try:
            error = self._serving.exception()
        except CancelledError:
            error = None
        if error is None or isinstance(error, BrokenProcessPool):
            return _cause_of_death(str(error))
        return f"{type(error).__name__}: {error}"

    def pids(self) -> list[int]:
        """Of its process, if it runs."""
        return list(self._executor._processes)

    def kill(self) -> None:
        """Ends the process at once; that it died is heard."""
        for pid in self.pids():
            with contextlib.suppress(OSError):  # it has ended; Windows says so in several ways
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # the latter on Windows

    def close(self) -> None:
        """Ends the process, of which no more is heard."""
        self._closed = True
        self._executor.shutdown(wait=True, kill_workers=True)
        self._to_say.put(None)
        for thread in self._threads:
            thread.join(_ENDS_S)
        self._pipe.close()


def _cause_of_death(message: str) -> str:
    """A dead worker's exit code or signal, out of loky's message."""
    codes = re.search(r"exit codes of the workers are \{(.*?)\}", message)
    if codes:
        hint = ", as when memory runs out" if "SIGKILL" in codes[1] else ""
        return f"its worker process died with {codes[1]}{hint}"
    return "its worker process died"
