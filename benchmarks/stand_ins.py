"""Stand-ins for `pipeline.slot.run_batch`, imported by name in the workers of the benchmarks."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import pipeline.slot.loop
from pipeline.plan import Batch
from pipeline.slot import Report, RunContext, begin_batch

_optimize = pipeline.slot.loop.optimize


_clocks: set[Path] = set()


def wind_clock(file: Path) -> None:
    """Has this process's clock of the wall go by the offset in a file, and no other clock."""
    if file in _clocks:
        return
    _clocks.add(file)
    real = time.time
    read_at, offset = -1.0, 0.0

    def moved() -> float:
        nonlocal read_at, offset
        if time.monotonic() - read_at > 0.2:
            read_at = time.monotonic()
            with contextlib.suppress(OSError, ValueError):
                offset = float(file.read_text())
        return real() + offset

    time.time = moved


@contextlib.contextmanager
def little_address_space(room: int) -> Iterator[None]:
    """Within the block this process may take so many bytes of address space more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def chaotic_work(context: RunContext, slot: int | None, batch: Batch) -> Callable[[], Report]:
    """`begin_batch`, except that memory runs out now and then, as `CHAOS_SEED` has it; really,
    where the system has limits, or said so."""
    wind_clock(Path(os.environ["CHAOS_CLOCK"]))
    tried = f"{batch.attempts}/{os.getppid()}"  # the next start of the driver fares otherwise
    draw = random.Random(f"{os.environ['CHAOS_SEED']}/{batch.jobs[0].key}/{tried}")
    runs_out = draw.random() < 0.15
    is_little = draw.random() < 0.05 and sys.platform == "linux"

    def optimize(*given: Any, **more: Any) -> Iterator[Any]:
        nonlocal runs_out
        for step in _optimize(*given, **more):
            if runs_out and step.number == 2:
                runs_out = False
                raise torch.OutOfMemoryError("injected: out of memory")
            yield step

    pipeline.slot.loop.optimize = optimize
    with little_address_space(4 << 20) if is_little else contextlib.nullcontext():
        return begin_batch(context, slot, batch)
