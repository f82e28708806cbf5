"""`nst batch --detach`: the same command in a session of its own, which outlives its terminal.

In: the command's words. Out: a process. Must not load torch.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.address import Address
from pipeline.commands.again import given_manifest
from pipeline.commands.options import Options
from pipeline.files import cannot_write
from pipeline.store import RunFolder
from pipeline.terminal import say

_OUTPUT = "detached.log"
# What a session of its own is on Windows: another console, which nobody sees, and its own group.
_OWN_CONSOLE = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(
    subprocess, "CREATE_NEW_PROCESS_GROUP", 0
)


def start_detached(manifest_path: Path, options: Options, words: Sequence[str]) -> int:
    """Starts `nst batch` beside this process; returns the exit code.

    What is wrong with the manifest is told here, before.

    Args:
        words: of the command, without `--detach`.
        options: what they say.

    Raises:
        ManifestError: the manifest is not valid.
        RunFolderError: the run folder cannot be written.
    """
    run = given_manifest(manifest_path, options)[1].output
    store = RunFolder(run)
    folder = store.state if isinstance(run, Address) else run
    log = folder / _OUTPUT
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with store.inside.writable(log).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", *words],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                creationflags=_OWN_CONSOLE,
            )  # fmt: skip
    except OSError as error:
        raise cannot_write(log, error) from error
    named = shlex.quote(str(run))
    say(f"process {process.pid}, its words in {log}")
    say(f"progress: nst status {named} --watch; to end it in order: nst stop {named}")
    return 0
