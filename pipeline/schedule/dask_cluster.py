"""Batches on a Dask cluster.

In: an address, or none for a cluster of this machine. Out: an engine. Loaded where Dask is asked
for; must not load torch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import distributed  # an extra
import joblib
from joblib._dask import DaskDistributedBackend

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
from pipeline.schedule.slots import may_have_gpu
from pipeline.slot import RunContext

_NAME = "nst-dask"  # with joblib
_ANSWERS_S = 10.0


class _Backend(DaskDistributedBackend):  # type: ignore[misc]
    """Dask's; a cluster of one core is one, too, where joblib would run all in this process."""

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Batches at a time; a second one waits at a cluster of one core."""
        return max(2, int(super().effective_n_jobs(n_jobs)))


@contextlib.contextmanager
def open_dask(context: RunContext, work: Work, options: RunOptions) -> Iterator[Engine]:
    """A cluster at `address`, or a new one of `workers` processes on this machine.

    Where the cluster's workers offer the resource GPU, each batch takes one.

    Raises:
        EngineError: the cluster does not answer, or has another `nst` or none.
    """
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
            raise no_cluster("Dask scheduler", options, error) from error
        opened.callback(client.close)
        if options.address:
            _check_dask(client, work, options)
        workers = client.scheduler_info()["workers"].values()
        gpus = any("GPU" in worker.get("resources", {}) for worker in workers)
        given = {"resources": {"GPU": 1}} if gpus else {}
        address = options.address or client.scheduler.address

        def gone() -> str:
            try:
                distributed.Client(address, timeout=_ANSWERS_S, set_as_default=False).close()
            except (OSError, TimeoutError, ValueError):
                return gone_text("the Dask scheduler", address)
            return ""

        said = client.run(may_have_gpu, on_error="return").values()
        devices = kinds_of(context, gpus or any(answer is True for answer in said))
        joblib.register_parallel_backend(_NAME, _Backend)
        yield ClusterEngine(
            context, work, _NAME, lazy=True, gone=gone, begin=lambda: (-1, given), devices=devices
        )


def _check_dask(client: Any, work: Work, options: RunOptions) -> None:
    """Where the scheduler cannot load what it is given, joblib would wait forever."""
    try:
        found = {"its scheduler": client.run_on_scheduler(software, work)}
    except Exception as error:  # noqa: BLE001 (whatever loading it raised there)
        found = {"its scheduler": error}
    found |= client.run(software, work, on_error="return")
    for where, answer in found.items():
        check_software(where, answer, options)
