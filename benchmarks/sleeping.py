"""A stand-in for `pipeline.slot.work_batch` that loads no torch: what the driver weighs is its own.

Imported by name in the workers of the benchmarks.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from pipeline.plan import Batch
from pipeline.slot import Outcome, Report, RunContext
from pipeline.store import About, ContentInput, StyleInput


def _about(name: str) -> About:
    """As little as a record has to say."""
    content, style = ContentInput(path="c"), StyleInput(name="s", pictures=[])
    return About(name=name, content=content, style=style, settings={}, swept={})


def sleeping_work(context: RunContext, slot: int | None, batch: Batch) -> Report:
    """Writes a small file a job after `FAKE_S` seconds, longer in later slots.

    Notes in the file `FAKE_JOURNAL` when each batch began and ended.
    """
    began, at = time.perf_counter(), time.time()
    time.sleep(float(os.environ.get("FAKE_S", "0")) * (1 + (slot or 0)))
    for job in batch.jobs:
        context.store.write_job(job.name, job.key, job.settings, b"fake", (1, 1), _about(job.name))
    outcomes = tuple(Outcome(job.name, job.key, "done") for job in batch.jobs)
    if "FAKE_JOURNAL" in os.environ:
        with Path(os.environ["FAKE_JOURNAL"]).open("a") as file:
            file.write(json.dumps([slot, at, time.time()]) + "\n")
    return Report(outcomes, str(slot), "fake", {}, time.perf_counter() - began)
