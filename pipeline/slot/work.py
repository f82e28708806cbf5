"""What a run has its workers do, without loading torch where it is only handed on.

In: a `RunContext`, a slot's number, a `Batch`. Out: a `Report`. The driver passes these functions
to its workers by name; torch is loaded where they are called.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.plan import Batch
from pipeline.slot.messages import Report, RunContext


def work_batch(context: RunContext, slot: int | None, batch: Batch) -> Callable[[], Report]:
    """Takes one batch through its steps in this process; see `session.begin_batch`."""
    from pipeline.slot.session import begin_batch  # loads torch, which takes seconds

    context.enter()
    return begin_batch(context, slot, batch)


def look_ahead(context: RunContext, slot: int, batch: Batch | None) -> None:
    """Begins to read what the next batch of this process needs, while another runs; see
    `session.read_ahead`."""
    from pipeline.slot.session import read_ahead

    read_ahead(context, slot, batch)


def warm_up(device: str) -> None:
    """Loads all that `work_batch` needs, in a process that has a slot's device to itself."""

    import pipeline.slot.session  # noqa: F401
    from pipeline.slot.process import settle

    settle(device)
