"""Batches on a Ray cluster.

In: an address, or none for a cluster of this machine. Out: an engine. Loaded where Ray is asked
for; must not load torch.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import joblib
import ray  # an extra
from joblib._parallel_backends import FallbackToBackend
from joblib.pool import MemmappingPool
from ray.util import placement_group, remove_placement_group
from ray.util.joblib.ray_backend import RayBackend
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from pipeline.errors import EngineError
from pipeline.schedule.cluster import (
    ClusterEngine,
    check_software,
    gone_text,
    kinds_of,
    no_cluster,
    software,
)
from pipeline.schedule.engine import Engine, Work
from pipeline.schedule.options import RunOptions
from pipeline.slot import RunContext
from pipeline.terminal import counted

_NAME = "nst-ray"  # with joblib
_LOADS_S = 120.0  # a worker that begins, from a slow network disk
_HOLDS_S = 30.0  # for GPUs that are free to be the run's own
_LOOKS, _PAUSE_S = 10, 1.0  # for a GPU to be free
_FREES = "wait until others are done (see `ray status`), or take the CPUs (--devices cpu)"


class _Backend(RayBackend):  # type: ignore[misc]
    """Ray's; one worker is one, too, where joblib would run all in this process."""

    def configure(self, n_jobs: int = 1, parallel: Any = None, **given: Any) -> int:
        """Begins so many workers.

        Returns:
            batches at a time; of one worker a second one waits there.
        """
        try:
            return int(super().configure(n_jobs, parallel, **given))
        except FallbackToBackend:
            self._pool = MemmappingPool(1, ray_remote_args=self.ray_remote_args)
            self.parallel = parallel
            return 2


class _Gpus:
    """The GPUs that a run works with: taken when it begins and kept until it ends, so that nobody
    else takes one between two rounds, for which Ray would wait without a word.

    Args:
        where: the cluster in the user's words, `--address ...` or `--engine ray`.
    """

    def __init__(self, where: str) -> None:
        self._where, self.count = where, 0
        self._group: Any = None

    def keep(self) -> tuple[int, dict[str, Any]]:
        """How many there are, and what Ray is told of workers that use one each. What was lost with
        a machine is not waited for: the run goes on with what is free.

        Raises:
            EngineError: none is free.
        """
        if self._group is None or not self._group.wait(_HOLDS_S):
            self.give_back()
            # Ray begins no more workers than there are cores.
            self.count = min(self._free(), max(1, int(ray.cluster_resources().get("CPU", 0))))
            self._group = placement_group([{"GPU": 1}] * self.count)
            if not self._group.wait(_HOLDS_S):
                asked = counted(self.count, "GPU")
                raise EngineError(
                    f"{self._where}: asked for {asked} and did not get that within {_HOLDS_S:g} s; "
                    f"{_FREES}"
                )
        strategy = PlacementGroupSchedulingStrategy(self._group)
        return self.count, {"num_gpus": 1, "scheduling_strategy": strategy}

    def _free(self) -> int:
        for _ in range(_LOOKS):  # those of a run that has just ended are free in a moment
            free = int(ray.available_resources().get("GPU", 0))
            if free:
                return free
            time.sleep(_PAUSE_S)
        there = counted(int(ray.cluster_resources().get("GPU", 0)), "GPU")
        raise EngineError(f"{self._where}: no GPU is free, of {there}; {_FREES}")

    def give_back(self) -> None:
        """Lets go of them."""
        if self._group is not None:
            remove_placement_group(self._group)
        self._group = None


@contextlib.contextmanager
def open_ray(context: RunContext, work: Work, options: RunOptions) -> Iterator[Engine]:
    """A cluster at `address`, or a new one on this machine; one GPU a batch where there are GPUs,
    unless the CPU is asked for.

    Raises:
        EngineError: the cluster does not answer, has no GPU that is free, or another `nst` or none.
    """
    with contextlib.ExitStack() as opened:
        try:
            ray.init(
                address=options.address,
                num_cpus=None if options.address else options.workers or len(context.slots),
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
            )
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise no_cluster("Ray cluster", options, error) from error
        opened.callback(ray.shutdown)
        joblib.register_parallel_backend(_NAME, _Backend)
        there = int(ray.cluster_resources().get("GPU", 0))
        gpus = _Gpus(f"--address {options.address}" if options.address else "--engine ray")
        opened.callback(gpus.give_back)
        takes = there > 0 and kinds_of(context, gpus=True) != ("cpu",)

        def begin() -> tuple[int, dict[str, Any]]:
            if not takes:
                return -1, {}
            count, given = gpus.keep()
            return count, {"ray_remote_args": given}

        given = begin()[1].get("ray_remote_args", {})
        if options.address:
            _check_ray(work, options, given, gpus.count)
        yield ClusterEngine(
            context, work, _NAME, False, _goner(options), begin, kinds_of(context, takes)
        )


def _goner(options: RunOptions) -> Callable[[], str]:
    """What says why the cluster does not answer any more."""

    def gone() -> str:
        try:
            ray.cluster_resources()
        except Exception:  # noqa: BLE001 (its own errors, and those of its transport)
            return gone_text("the Ray cluster", options.address or "on this machine")
        return ""

    return gone


def _check_ray(work: Work, options: RunOptions, given: dict[str, Any], gpus: int) -> None:
    """Asks a worker as the run's will be.

    Args:
        given: what Ray is told of them.
        gpus: that were asked for.
    """
    answer: object
    asked = ray.remote(software).options(**{"num_cpus": 0, **given}).remote(work)
    try:
        answer = ray.get(asked, timeout=_LOADS_S)
    except ray.exceptions.GetTimeoutError as error:
        of = f" of {counted(gpus, 'GPU')} that were asked for" if gpus else ""
        raise EngineError(
            f"--address {options.address}: no worker{of} answered within {_LOADS_S:g} s; see `ray "
            f"status` and the logs of its machines"
        ) from error
    except Exception as error:  # noqa: BLE001 (whatever loading it raised there, in Ray's wrappings)
        answer = error
    check_software("one of its workers", answer, options)
