"""What a run has its workers do, without loading torch where it is only handed on.

In: a `RunContext`, a slot's number, a `Batch`. Out: a `Report`. The driver passes these functions
to its workers by name; torch is loaded where they are called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from pipeline.plan import Batch
from pipeline.slot.messages import Report, RunContext
from pipeline.slot.visible import allocator_environment


def work_batch(context: RunContext, slot: int | None, batch: Batch) -> Callable[[], Report]:
    """Takes one batch through its steps in this process; see `session.begin_batch`."""
    if slot is None:  # a cluster's worker, whose environment was not ours to begin with
        os.environ.update(allocator_environment())
    from pipeline.slot.session import begin_batch  # loads torch, which takes seconds

    context.enter()
    return begin_batch(context, slot, batch)


def own_card() -> str:
    """Host and GPU of the device that this process took as an engine's worker; empty where it took
    none, and on a CPU."""
    process = sys.modules.get("pipeline.slot.process")
    return "" if process is None else str(process.PROCESS.card)


def look_ahead(context: RunContext, slot: int, batches: Sequence[Batch]) -> None:
    """Begins to read what the next batches of this process need; see `session.read_ahead`."""
    from pipeline.slot.session import read_ahead

    read_ahead(context, slot, batches)


def warm_up(device: str) -> None:
    """Loads all that `work_batch` needs, in a process that has a slot's device to itself."""

    import pipeline.slot.session  # noqa: F401
    from pipeline.slot.process import settle

    settle(device)
