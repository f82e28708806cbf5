"""How a run is carried out; nothing of it decides pixels.

In: a person's choices. Out: values that the run and its engine read. A new choice goes here, and
into the command's words. Must not load torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pipeline.plan import Choice, Rule


@dataclass(frozen=True)
class Patience:
    """How long to wait for a worker.

    Attributes:
        batch_s: for a whole batch; 0 for ever.
        stall_s: from one step, or phase, to the next; 0 for ever.
    """

    batch_s: float = 0.0
    stall_s: float = 900.0


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; nothing of it decides pixels.

    Attributes:
        engine: one of `ENGINES`.
        address: of a Dask or Ray cluster; None makes one on this machine.
        workers: processes of such a cluster made here.
        retries: how often a job is tried again that stands alone when its worker dies.
        patience: with workers.
        fail_fast: stop at the first failed job.
        failed_only: run only jobs that failed before.
        shard: (i, n): only the i-th of n parts of the plan, from 1.
        shares: take what no other process of the run has taken yet.
        log_format: of `run.log`, `text` or `json`.
        log: where the log's entries go beside: a file, or `-` for standard error.
        choice: which of the plan's jobs, and in which order.
        redo: finished jobs that match are made again.
        ends_at: when the run is to stop in order, by `time.monotonic`; None: when all is done.
    """

    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    retries: int = 2
    patience: Patience = field(default_factory=Patience)
    fail_fast: bool = False
    failed_only: bool = False
    shard: tuple[int, int] | None = None
    shares: bool = False
    log_format: str = "text"
    log: str | None = None
    choice: Choice = field(default_factory=Choice)
    redo: tuple[Rule, ...] = ()
    ends_at: float | None = None

    @property
    def part(self) -> str:
        """The shard's name in the run folder, or empty."""
        return f"{self.shard[0]}-of-{self.shard[1]}" if self.shard else ""

    def share(self, jobs: int) -> int:
        """About how many of a plan's jobs are this run's."""
        return jobs if self.shard is None else math.ceil(jobs / self.shard[1])

    @property
    def partial(self) -> bool:
        """Whether it is about some of the plan's jobs alone."""
        return self.shard is not None or self.shares or self.failed_only or self.choice.partial

    def takes(self, lot: str) -> bool:
        """Whether the job of this lot is of this shard; lots are random, so shards are of about one
        size."""
        if self.shard is None:
            return True
        number, count = self.shard
        return int(lot[:12], 16) % count == number - 1
