"""Batches -> slots: runs batches in processes of this machine, or on a Dask or Ray cluster.

In: a feed of batches and the function that runs one. Out: how each ended. An engine starts and
watches processes and nothing else: what a lost batch means is the scheduler's to say.

On one machine each slot is a loky executor of one process. joblib's own pool is shared by all
slots, and when one of its processes dies the others' batches are lost with it; one pool a slot
costs that slot's batch only, and names it. Dask and Ray are driven through joblib's backends.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

import joblib
from joblib.externals.loky import ProcessPoolExecutor, process_executor
from joblib.externals.loky.process_executor import BrokenProcessPool

from pipeline.errors import EngineError
from pipeline.plan import Batch
from pipeline.schedule.feed import Feed
from pipeline.slot import Report, RunContext, forget_all

_START_S = 300.0  # for a process to start and import torch, also from a slow network disk
Work = Callable[[RunContext, "int | None", Batch], Report]
Guarded = tuple["Report | None", str, str]


@dataclass(frozen=True)
class Ended:
    """A batch that an engine is done with.

    Attributes:
        report: what its worker says, or None if it was lost.
        lost: why it was lost.
        trace: the traceback behind it, for the log.
    """

    batch: Batch
    report: Report | None
    lost: str = ""
    trace: str = ""


class Engine(Protocol):
    """Runs batches somewhere."""

    def run(self, feed: Feed) -> Iterator[Ended]:
        """Runs what the feed gives until it has no more; batches may be put back meanwhile."""
        ...

    def kill(self) -> None:
        """Ends all workers at once."""
        ...


@dataclass(frozen=True)
class Patience:
    """How long to wait for a worker.

    Attributes:
        batch_s: for a whole batch; 0 for ever.
        stall_s: from one step, or phase, to the next; 0 for ever.
    """

    batch_s: float = 0.0
    stall_s: float = 900.0


def _guarded(work: Work, context: RunContext, slot: int | None, batch: Batch) -> Guarded:
    """Runs in the worker: an error that nobody foresaw must not end the worker, or the run.

    Returns:
        the report, or None with the error and its traceback.
    """
    try:
        return work(context, slot, batch), "", ""
    except Exception as error:  # noqa: BLE001 (reported, and the batch is tried again smaller)
        return None, f"{type(error).__name__}: {error}", traceback.format_exc()


# --- this process ---------------------------------------------------------------------------------


class InlineEngine:
    """Runs batches in this process, one after another: for one short run, and for debuggers."""

    def __init__(self, context: RunContext, work: Work) -> None:
        self.context, self.work = context, work

    def run(self, feed: Feed) -> Iterator[Ended]:
        """See `Engine`."""
        forget_all()
        while (batch := feed.next()) is not None:
            given = batch.followed_by(feed.after(1))
            yield Ended(batch, *_guarded(self.work, self.context, 0, given))

    def kill(self) -> None:
        """Nothing to end."""


# --- processes of this machine --------------------------------------------------------------------


def _begin_worker(parent: int) -> None:
    """In a new worker: stopping is the parent's to order, and without it there is no more to do."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Loky takes 300 MB more than at first for a leak and begins a new process, which has to load
    # everything again; here those are networks and pictures, and memory has checks of its own.
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _warm_up() -> None:
    """Nothing: to get here, a worker has imported this module, and torch with it."""


@dataclass
class _Slot:
    """One slot: its process, and the batch that runs there."""

    number: int
    executor: ProcessPoolExecutor | None = None
    batch: Batch | None = None
    future: Future[Guarded] | None = None
    began: float = 0.0
    started: float = 0.0
    killed: str = ""

    def start(self) -> None:
        """Has the process start, so that it imports its libraries while batches are packed."""
        if self.executor is None:
            self.executor = ProcessPoolExecutor(
                max_workers=1, initializer=_begin_worker, initargs=(os.getpid(),)
            )
            self.executor.submit(_warm_up)

    def submit(self, work: Work, context: RunContext, batch: Batch, upcoming: Batch | None) -> None:
        self.start()
        assert self.executor is not None
        self.batch, self.began, self.started, self.killed = batch, time.time(), 0.0, ""
        given = batch.followed_by(upcoming)
        self.future = self.executor.submit(_guarded, work, context, self.number, given)

    def pids(self) -> list[int]:
        return list(self.executor._processes) if self.executor else []

    def kill(self, why: str = "") -> None:
        self.killed = why
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
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
        self.slots = [_Slot(number) for number in range(len(self.context.slots))]

    def run(self, feed: Feed) -> Iterator[Ended]:
        """See `Engine`."""
        for slot in self.slots:
            slot.start()
        try:
            while True:
                for slot in self.slots:
                    if slot.future is None and (batch := feed.next()) is not None:
                        upcoming = feed.after(len(self.slots))
                        slot.submit(self.work, self.context, batch, upcoming)
                futures = [slot.future for slot in self.slots if slot.future is not None]
                if not futures:
                    return
                wait(futures, timeout=1.0, return_when=FIRST_COMPLETED)
                for slot in self.slots:
                    if slot.future is not None and slot.future.done():
                        yield self._end(slot)
                self._check_patience()
        finally:
            for slot in self.slots:
                slot.close()

    def _end(self, slot: _Slot) -> Ended:
        future, batch = slot.future, slot.batch
        assert future is not None and batch is not None
        slot.future = slot.batch = None
        error = future.exception()
        if error is None:
            return Ended(batch, *future.result())
        if isinstance(error, BrokenProcessPool):
            slot.close()
            return Ended(batch, None, slot.killed or _cause_of_death(str(error)))
        return Ended(batch, None, f"{type(error).__name__}: {error}")

    def _check_patience(self) -> None:
        store, moment = self.context.store, time.time()
        for slot in self.slots:
            if slot.future is None or slot.future.done() or slot.killed:
                continue
            state = store.slot_state(str(slot.number)) or {}
            seen = float(state.get("time", 0.0))
            if seen < slot.began:  # the process is still starting
                if self.patience.stall_s > 0 and moment - slot.began > _START_S:
                    slot.kill(f"the worker did not start within {_START_S:g} s")
                continue
            slot.started = slot.started or moment
            if 0 < self.patience.batch_s < moment - slot.started:
                slot.kill(f"the batch took more than the {self.patience.batch_s:g} s of --timeout")
            elif 0 < self.patience.stall_s < moment - seen:
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


# --- clusters -------------------------------------------------------------------------------------


@dataclass
class ClusterEngine:
    """Runs batches through a joblib backend, `dask` or `ray`, whose workers find their devices."""

    context: RunContext
    work: Work
    backend: str
    options: dict[str, Any]
    lazy: bool

    def run(self, feed: Feed) -> Iterator[Ended]:
        """See `Engine`."""
        with joblib.parallel_config(self.backend, **self.options):
            while (first := feed.next()) is not None:
                feed.put_back(first)
                suspects: list[Batch] = []
                yield from self._round(feed, suspects)
                for batch in suspects:  # alone, so that the one to blame is known
                    yield from self._round(Feed(iter([batch])), [])

    def _round(self, feed: Feed, suspects: list[Batch]) -> Iterator[Ended]:
        """One `Parallel` call: as long as the feed lasts, or a window where the backend wants a
        plain list. Several batches that are lost together become suspects."""
        taken: dict[int, Batch] = {}
        numbers = itertools.count()
        jobs = joblib.effective_n_jobs(-1)

        def tasks() -> Iterator[Any]:
            while (batch := feed.next()) is not None:
                number = next(numbers)
                taken[number] = batch
                yield joblib.delayed(_numbered)(self.work, self.context, number, batch)
                if not self.lazy and len(taken) >= 4 * jobs:
                    return

        try:
            for number, guarded in self._results(tasks()):
                yield Ended(taken.pop(number), *guarded)
        except Exception as error:  # noqa: BLE001 (each engine has its own; all mean lost batches)
            if len(taken) > 1:
                suspects += taken.values()
                return
            why = (str(error).strip().splitlines() or [""])[0]
            for batch in taken.values():
                yield Ended(batch, None, f"{type(error).__name__}: {why}")

    def _results(self, tasks: Iterator[Any]) -> Iterator[tuple[int, Guarded]]:
        if not self.lazy:
            yield from joblib.Parallel(n_jobs=-1, batch_size=1)(list(tasks))
            return
        yield from joblib.Parallel(
            n_jobs=-1, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
        )(tasks)

    def kill(self) -> None:
        """Workers stop at their next step; the engine's own processes are not ours to end."""


def _numbered(work: Work, context: RunContext, number: int, batch: Batch) -> tuple[int, Guarded]:
    return number, _guarded(work, context, None, batch)


def _need(module: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise EngineError(
            f"--engine {extra} needs {module}, which is not installed: pip install 'nst[{extra}]'"
        )


@contextlib.contextmanager
def dask_engine(
    context: RunContext, work: Work, address: str | None, workers: int | None
) -> Iterator[Engine]:
    """A cluster at `address`, or a new one of `workers` processes on this machine.

    Where the cluster's workers offer the resource GPU, each batch takes one.

    Raises:
        EngineError: dask is not installed, or the cluster does not answer.
    """
    _need("distributed", "dask")
    import distributed

    try:
        if address:
            client = distributed.Client(address, timeout=20)
        else:
            cluster = distributed.LocalCluster(
                n_workers=workers or len(context.slots),
                threads_per_worker=1,
                dashboard_address=None,
            )
            client = distributed.Client(cluster)
    except (OSError, TimeoutError, ValueError) as error:
        raise EngineError(
            f"--address {address}: no Dask scheduler answers ({error}); check address and firewall"
        ) from error
    resources = [w.get("resources", {}) for w in client.scheduler_info()["workers"].values()]
    options = {"resources": {"GPU": 1}} if any("GPU" in r for r in resources) else {}
    try:
        yield ClusterEngine(context, work, "dask", options, lazy=True)
    finally:
        client.close()
        if not address:
            cluster.close()


@contextlib.contextmanager
def ray_engine(
    context: RunContext, work: Work, address: str | None, workers: int | None
) -> Iterator[Engine]:
    """A cluster at `address`, or a new one on this machine; one GPU a batch where there are GPUs.

    Raises:
        EngineError: ray is not installed, or the cluster does not answer.
    """
    _need("ray", "ray")
    import ray
    from ray.util.joblib import register_ray

    try:
        # Worker processes need this package, also when it runs from a source tree.
        ray.init(
            address=address,
            num_cpus=None if address else workers or len(context.slots),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
        )
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"--address {address}: no Ray cluster answers ({error}); check address and firewall"
        ) from error
    register_ray()
    gpus = ray.cluster_resources().get("GPU", 0)
    options = {"ray_remote_args": {"num_gpus": 1}} if gpus else {}
    try:
        yield ClusterEngine(context, work, "ray", options, lazy=False)
    finally:
        ray.shutdown()
