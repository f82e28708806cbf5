"""Batches that are over at once, or go wrong on purpose: what a job's seed says.

Stands in for `pipeline.slot.run_batch` in tests and benchmarks of the scheduler; workers import
it by name.
"""

import json
import os
import signal
import time

from fake_run import bare_record

from pipeline.plan import Batch, Job
from pipeline.slot import Outcome, Report, RunContext
from pipeline.store import SlotState

KILLED, HANGS, RAISES, FAILS, SLOW, KILLED_ONCE, BREAKS_ONCE = 901, 902, 903, 904, 905, 906, 907


def fake_work(context: RunContext, slot: int | None, batch: Batch) -> Report:
    began = time.perf_counter()
    name = str(slot)
    state = SlotState(slot=name, time=time.time(), pid=os.getpid())
    context.store.live.write_slot(state)
    outcomes = tuple(_run(context, job, batch) for job in batch.jobs)
    return Report(outcomes, name, "fake", {}, time.perf_counter() - began)


def telling_work(context: RunContext, slot: int | None, batch: Batch) -> Report:
    """Does the same, and each slot's worker writes down which device it sees as what."""
    import torch

    from pipeline.slot.process import PROCESS
    from pipeline.slot.seat import take_seat

    seat = take_seat(context, slot, PROCESS)
    names = ("CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF")
    told = {"device": seat.device, "label": seat.label, **{n: os.environ.get(n) for n in names}}
    told["gpus"] = torch.cuda.device_count()
    (context.run / f"seen-{slot}.json").write_text(json.dumps(told))
    return fake_work(context, slot, batch)


def _run(context: RunContext, job: Job, batch: Batch) -> Outcome:
    seed = job.settings.seed
    if seed == KILLED or (seed == KILLED_ONCE and batch.attempts == 0):
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == HANGS:
        time.sleep(60)
    if seed == RAISES:
        raise RuntimeError("an error of its own")
    if seed == BREAKS_ONCE and not batch.spoilt:
        (context.run / "broke").write_text(str(os.getpid()))
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if seed == FAILS:
        return Outcome(job.name, job.key, "failed", error="on purpose", error_type="ImageError")
    if seed == SLOW:
        for _ in range(600):
            if context.store.live.stop_asked():
                return Outcome(job.name, job.key, "stopped")
            time.sleep(0.05)
    about = bare_record(job.name, pid=os.getpid())
    context.store.write_job(job.name, job.key, job.settings, b"fake", (1, 1), about)
    return Outcome(job.name, job.key, "done")
