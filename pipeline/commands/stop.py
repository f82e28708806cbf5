"""`nst stop`: has a run end in order, from any terminal.

In: a run folder. Out: a request in it, which the run sees at its next step. Must not load torch.
"""

from __future__ import annotations

import shlex
import socket
from pathlib import Path

from pipeline.address import Address
from pipeline.commands.output import existing_run
from pipeline.commands.status import find_parts
from pipeline.errors import RunFolderError
from pipeline.store import RunFolder
from pipeline.terminal import say


def stop_run(run: Path) -> int:
    """Asks a run, or all shards of it that are under way, to stop; returns the exit code.

    Raises:
        RunFolderError: no run in this folder, the request cannot be written, or no process of
            another machine sees it.
    """
    store = existing_run(run)
    running = [p.name for p in find_parts(store) if p.runs and not p.summary.ended]
    if not running:
        say(f"{run}: nothing runs there")
        return 0
    _check_here(store, running)
    for part in running:
        RunFolder(run, part).live.ask_to_stop()
    shards = f" ({len(running)} shards)" if len(running) > 1 else ""
    status = f"nst status {shlex.quote(str(run))}"
    say(f"{run}: asked to stop{shards}; it finishes what it writes ({status})")
    return 0


def _check_here(store: RunFolder, parts: list[str]) -> None:
    """Whether the processes of a remote run see what is asked of them, in this machine's cache."""
    if not isinstance(store.path, Address):
        return
    for part in parts:
        owner = store.owner(part)
        if owner is not None and owner.host != socket.gethostname():
            raise RunFolderError(
                f"{store.path}: process {owner.pid} runs on {owner.host}; ask it to stop there "
                f"(nst stop, or Ctrl-C): a remote folder passes no requests on"
            )
