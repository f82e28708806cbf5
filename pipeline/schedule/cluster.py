"""Batches on a Dask or Ray cluster, through joblib's backends.

In: a feed of batches. Out: how each ended; of lost batches that cannot be told apart each is run
again alone. Workers see the same storage and find their own devices. Must not load torch, nor Dask
or Ray before they are asked for.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import joblib

from pipeline.errors import EngineError
from pipeline.plan import Batch
from pipeline.schedule.engine import Ended, Engine, Guarded, Work, guarded
from pipeline.schedule.feed import Feed
from pipeline.schedule.options import RunOptions
from pipeline.schedule.slots import may_have_gpu
from pipeline.slot import RunContext, work_batch
from pipeline.version import ALGORITHM, __version__

_ANSWERS_S = 10.0
_LOADS_S = 120.0  # a worker that begins, from a slow network disk


@dataclass
class ClusterEngine:
    """Runs batches through a joblib backend, `dask` or `ray`, whose workers find their devices.

    Attributes:
        lazy: whether the backend takes batches one by one; else a window at a time.
        gone: why the cluster does not answer any more, or empty.
        n_jobs: batches at a time; -1 is one a core of the cluster.
        devices: see `Engine`; workers find their own, which this machine need not have.
    """

    context: RunContext
    work: Work
    backend: str
    options: dict[str, Any]
    lazy: bool
    gone: Callable[[], str]
    n_jobs: int = -1
    devices: tuple[str, ...] = ("cpu",)

    def run(self, feed: Feed) -> Iterator[Ended]:
        """See `Engine`."""
        with joblib.parallel_config(self.backend, **self.options):
            while (first := feed.next()) is not None:
                if first.alone:
                    yield from self._round(Feed(iter([first])))
                else:
                    feed.put_back(first)
                    yield from self._round(feed)

    def _round(self, feed: Feed) -> Iterator[Ended]:
        """One `Parallel` call: until the next batch wants to be alone, or a window where the
        backend wants a plain list."""
        taken: dict[int, Batch] = {}
        numbers = itertools.count()
        jobs = joblib.effective_n_jobs(self.n_jobs)

        def tasks() -> Iterator[Any]:
            while (batch := feed.next()) is not None:
                if batch.alone and taken:
                    feed.put_back(batch)
                    return
                number = next(numbers)
                taken[number] = batch
                yield joblib.delayed(_numbered)(self.work, self.context, number, batch)
                if not self.lazy and len(taken) >= 4 * jobs:
                    return

        try:
            for number, came_back in self._results(tasks()):
                yield Ended(taken.pop(number), came_back.report, came_back.lost, came_back.trace)
        except Exception as error:  # noqa: BLE001 (each engine has its own; all mean lost batches)
            why = (str(error).strip().splitlines() or [""])[0]
            over = self.gone()
            for batch in list(taken.values()):
                lost = f"{type(error).__name__}: {why}"
                yield Ended(batch, None, lost, together=len(taken) > 1, over=over)

    def _results(self, tasks: Iterator[Any]) -> Iterator[tuple[int, Guarded]]:
        if not self.lazy:
            yield from joblib.Parallel(n_jobs=self.n_jobs, batch_size=1)(list(tasks))
            return
        yield from joblib.Parallel(
            n_jobs=self.n_jobs,
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="2*n_jobs",
        )(tasks)

    def kill(self) -> None:
        """Workers stop at their next step; the engine's own processes are not ours to end."""


def _numbered(work: Work, context: RunContext, number: int, batch: Batch) -> tuple[int, Guarded]:
    found = guarded(work, context, None, batch)
    if found.broken:  # what holds the device has to end; the cluster starts another
        os._exit(1)
    return number, found


@contextlib.contextmanager
def open_dask(context: RunContext, work: Work, options: RunOptions) -> Iterator[Engine]:
    """A cluster at `address`, or a new one of `workers` processes on this machine.

    Where the cluster's workers offer the resource GPU, each batch takes one.

    Raises:
        EngineError: the cluster does not answer, or has another `nst` or none.
    """
    import distributed  # an extra

    with contextlib.ExitStack() as opened:
        try:
            scheduler = options.address or opened.enter_context(
                distributed.LocalCluster(
                    n_workers=options.workers or len(context.slots),
                    threads_per_worker=1,
                    dashboard_address=None,
                )
            )
            client = distributed.Client(scheduler, timeout=20)
        except (OSError, TimeoutError, ValueError) as error:
            raise _no_cluster("Dask scheduler", options, error) from error
        opened.callback(client.close)
        if options.address:
            _check_dask(client, work, options)
        workers = client.scheduler_info()["workers"].values()
        gpus = any("GPU" in worker.get("resources", {}) for worker in workers)
        backend = {"resources": {"GPU": 1}} if gpus else {}
        address = options.address or client.scheduler.address

        def gone() -> str:
            try:
                distributed.Client(address, timeout=_ANSWERS_S, set_as_default=False).close()
            except (OSError, TimeoutError, ValueError):
                return _gone("the Dask scheduler", address)
            return ""

        said = client.run(may_have_gpu, on_error="return").values()
        devices = _kinds(context, gpus or any(answer is True for answer in said))
        yield ClusterEngine(context, work, "dask", backend, True, gone, devices=devices)


@contextlib.contextmanager
def open_ray(context: RunContext, work: Work, options: RunOptions) -> Iterator[Engine]:
    """A cluster at `address`, or a new one on this machine; one GPU a batch where there are GPUs.

    Raises:
        EngineError: the cluster does not answer, or has another `nst` or none.
    """
    import ray  # an extra
    from ray.util.joblib import register_ray

    try:
        ray.init(
            address=options.address,
            num_cpus=None if options.address else options.workers or len(context.slots),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
        )
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise _no_cluster("Ray cluster", options, error) from error
    register_ray()
    gpus = ray.cluster_resources().get("GPU", 0)
    backend = {"ray_remote_args": {"num_gpus": 1}} if gpus else {}

    def gone() -> str:
        try:
            ray.cluster_resources()
        except Exception:  # noqa: BLE001 (its own errors, and those of its transport)
            return _gone("the Ray cluster", options.address or "on this machine")
        return ""

    try:
        if options.address:
            _check_ray(work, options)
        # Ray begins a worker for each, and waits for all: each wants a GPU.
        n_jobs = max(1, int(gpus)) if gpus else -1
        devices = _kinds(context, bool(gpus))
        yield ClusterEngine(context, work, "ray", backend, False, gone, n_jobs, devices)
    finally:
        ray.shutdown()


def _kinds(context: RunContext, gpus: bool) -> tuple[str, ...]:
    """What a cluster's workers run batches on.

    Args:
        gpus: whether one of them has a GPU.
    """
    chosen = context.devices.split(",")[0].strip()
    if chosen != "auto":
        return (chosen,)
    return ("cuda", "cpu") if gpus else ("cpu",)


def _software(work: Work) -> tuple[str, int]:
    """On the cluster: that `work` could be loaded there, and of which version it is."""
    return __version__, ALGORITHM


def _check_dask(client: Any, work: Work, options: RunOptions) -> None:
    """Where the scheduler cannot load what it is given, joblib would wait forever."""
    try:
        found = {"its scheduler": client.run_on_scheduler(_software, work)}
    except Exception as error:  # noqa: BLE001 (whatever loading it raised there)
        found = {"its scheduler": error}
    found |= client.run(_software, work, on_error="return")
    for where, answer in found.items():
        _check_software(where, answer, options)


def _check_ray(work: Work, options: RunOptions) -> None:
    import ray

    answer: object
    try:
        answer = ray.get(ray.remote(_software).remote(work), timeout=_LOADS_S)
    except Exception as error:  # noqa: BLE001 (likewise, in Ray's own wrappings)
        answer = error
    _check_software("one of its workers", answer, options)


def _check_software(where: str, answer: object, options: RunOptions) -> None:
    """Pictures made by another version would stand under keys that are not theirs."""
    own = _software(work_batch)
    if answer == own:
        return
    if isinstance(answer, Exception):
        said = (str(answer).strip().splitlines() or [type(answer).__name__])[-1]
        problem = f"cannot load nst {own[0]} ({said})"
    else:
        problem = f"has nst {answer[0]}, here it is {own[0]}"  # type: ignore[index]
    raise EngineError(
        f"--address {options.address}: {where} {problem}; install the same nst on every machine of "
        f"the cluster and start it again"
    )


def _gone(what: str, where: str) -> str:
    return (
        f"{what} {where} does not answer any more; start it again, then give the same command: "
        f"what is done stays done"
    )


def _no_cluster(what: str, options: RunOptions, error: Exception) -> EngineError:
    if options.address:
        return EngineError(
            f"--address {options.address}: no {what} answers ({error}); check address and firewall"
        )
    return EngineError(f"--engine {options.engine}: no {what} starts on this machine ({error})")
