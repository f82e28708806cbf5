"""`nst doctor --tune`: measures how to share out the CPU's cores.

In: this machine. Out: text, and a file in the cache folder that later runs look at.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.files import cache_folder
from pipeline.schedule import Layout, best_layout, keep_workers, measure_layouts
from pipeline.slot import available_cores
from pipeline.terminal import counted, say


def tune_cpu(folder: Path | None) -> None:
    """Measures how to share out the CPU's cores, prints it, and keeps it for later runs."""
    cores, cache = available_cores(), cache_folder(folder)
    say(f"{counted(cores, 'core')}; steps a second with lite at 256 px:")
    layouts = []
    for layout in measure_layouts(cores):
        layouts.append(layout)
        say(f"  {layout.workers} x {_threads(layout)}: {layout.steps:.1f}", flush=True)
    best = best_layout(layouts)
    keep_workers(cache, cores, best.workers)
    say(f"later runs on the CPU take {counted(best.workers, 'worker')} (kept in {cache})")
    say(f"the same by name: --devices {','.join(['cpu'] * best.workers)}, {_threads(best)} each")


def _threads(layout: Layout) -> str:
    return counted(layout.threads, "thread")
