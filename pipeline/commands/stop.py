"""`nst stop`: has a run end in order, from any terminal.

In: a run folder. Out: a request in it, which the run sees at its next step. Must not load torch.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from pipeline.commands.output import existing_run
from pipeline.commands.status import find_parts
from pipeline.store import RunFolder
from pipeline.terminal import say


def stop_run(run: Path) -> int:
    """Asks a run, or all shards of it that are under way, to stop; returns the exit code.

    Raises:
        RunFolderError: no run in this folder, or the request cannot be written.
    """
    store = existing_run(run)
    running = [p.name for p in find_parts(store) if p.runs and not p.summary.ended]
    if not running:
        say(f"{run}: nothing runs there")
        return 0
    for part in running:
        RunFolder(run, part).live.ask_to_stop()
    shards = f" ({len(running)} shards)" if len(running) > 1 else ""
    status = f"nst status {shlex.quote(str(run))}"
    say(f"{run}: asked to stop{shards}; it finishes what it writes ({status})")
    return 0
