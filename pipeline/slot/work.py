"""What a run has its workers do, without loading torch where it is only handed on.

In: a `RunContext`, a slot's number, a `Batch`. Out: a `Report`. The driver passes these functions
to its workers by name; torch is loaded where they are called.
"""

from __future__ import annotations

from pipeline.plan import Batch
from pipeline.slot.messages import Report, RunContext


def work_batch(context: RunContext, slot: int | None, batch: Batch) -> Report:
    """Runs one batch in this process; see `session.run_batch`."""
    from pipeline.slot.session import run_batch  # loads torch, which takes seconds

    context.enter()
    return run_batch(context, slot, batch)


def warm_up(device: str) -> None:
    """Loads all that `work_batch` needs, in a process that has a slot's device to itself."""
    import pipeline.slot.session  # noqa: F401
    from pipeline.slot.process import settle

    settle(device)
