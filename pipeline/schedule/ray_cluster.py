"""Batches on a Ray cluster.

In: an address, or none for a cluster of this machine. Out: an engine. Loaded where Ray is asked
for; must not load torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import joblib
import ray  # an extra
from joblib._parallel_backends import FallbackToBackend
from joblib.pool import MemmappingPool
from ray.util.joblib.ray_backend import RayBackend

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

_NAME = "nst-ray"  # with joblib
_LOADS_S = 120.0  # a worker that begins, from a slow network disk


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


@contextlib.contextmanager
def open_ray(context: RunContext, work: Work, options: RunOptions) -> Iterator[Engine]:
    """A cluster at `address`, or a new one on this machine; one GPU a batch where there are GPUs.

    Raises:
        EngineError: the cluster does not answer, or has another `nst` or none.
    """
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
    joblib.register_parallel_backend(_NAME, _Backend)
    gpus = ray.cluster_resources().get("GPU", 0)
    given = {"ray_remote_args": {"num_gpus": 1}} if gpus else {}

    def gone() -> str:
        try:
            ray.cluster_resources()
        except Exception:  # noqa: BLE001 (its own errors, and those of its transport)
            return gone_text("the Ray cluster", options.address or "on this machine")
        return ""

    try:
        if options.address:
            _check_ray(work, options)
        # Ray begins a worker for each, and waits for all: each wants a GPU.
        n_jobs = max(1, int(gpus)) if gpus else -1
        devices = kinds_of(context, bool(gpus))
        begin = lambda: (n_jobs, given)  # noqa: E731
        yield ClusterEngine(context, work, _NAME, False, gone, begin, devices)
    finally:
        ray.shutdown()


def _check_ray(work: Work, options: RunOptions) -> None:
    answer: object
    try:
        answer = ray.get(ray.remote(software).remote(work), timeout=_LOADS_S)
    except Exception as error:  # noqa: BLE001 (likewise, in Ray's own wrappings)
        answer = error
    check_software("one of its workers", answer, options)
