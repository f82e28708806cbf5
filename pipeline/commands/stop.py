"""`nst stop`: has a run end in order, from any terminal.

In: a run folder. Out: a request in it, which the run sees at its next step. Must not load torch.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.commands.output import existing_run
from pipeline.errors import RunFolderError
from pipeline.store import RunFolder


def stop_run(run: Path) -> int:
    """Asks a run, or all shards of it that are under way, to stop; returns the exit code.

    Raises:
        RunFolderError: no run in this folder, or the request cannot be written.
    """
    store = existing_run(run)
    running = [part for part, summary in store.summaries().items() if not summary.ended]
    if not running:
        print(f"{run}: nothing runs there")
        return 0
    for part in running:
        try:
            RunFolder(run, part).live.ask_to_stop()
        except OSError as error:
            raise RunFolderError(f"{run}: cannot be asked to stop ({error.strerror})") from error
    shards = f" ({len(running)} shards)" if len(running) > 1 else ""
    print(f"{run}: asked to stop{shards}; it finishes what it writes (nst status {run})")
    return 0
