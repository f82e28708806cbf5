"""Batches of which one spoils its worker's device, as a faulty kernel does.

Workers import these functions by name, so they stand beside `fake_work`.
"""

import os
from dataclasses import replace

from fake_work import BREAKS_ONCE, fake_work

from pipeline.plan import Batch
from pipeline.slot import Report, RunContext


def poison(device: str) -> None:
    """Reads past a tensor's end on a GPU, after which its context is of no use; says on a CPU what
    CUDA says then."""
    import torch

    if not device.startswith("cuda"):
        raise RuntimeError("CUDA error: device-side assert triggered")
    torch.arange(4, device=device)[torch.tensor([10**6], device=device)]
    torch.cuda.synchronize(device)


def work_after_poison(context: RunContext, slot: int | None, batch: Batch) -> Report:
    """Computes on the slot's device and does as `fake_work`, but for one job's first attempt."""
    import torch

    from pipeline.slot.process import PROCESS
    from pipeline.slot.seat import take_seat

    device = take_seat(context, slot, PROCESS).device
    if any(job.settings.seed == BREAKS_ONCE for job in batch.jobs) and not batch.spoilt:
        (context.run / "broke").write_text(str(os.getpid()))
        poison(device)
    assert torch.ones(3, device=device).sum().item() == 3
    # As one that broke a device before, so that `fake_work` does its jobs.
    return fake_work(context, slot, replace(batch, spoilt=batch.spoilt or (0,)))
