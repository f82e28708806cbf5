"""`nst clean`: deletes what a run kept along the way, or moves what no longer belongs aside.

In: a run folder. Out: less of it; its jobs' pictures and records stay.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import RunFolderError
from pipeline.store import RunFolder, RunLock, put_aside
from pipeline.terminal import counted, line, say


def clean_run(run: Path) -> None:
    """Deletes frames and checkpoints of a run that is not running, and says how much it was.

    Raises:
        RunFolderError: no run folder, or one in use.
    """
    store = _run(run)
    with RunLock(store):
        folders = (store.frames, store.state / "checkpoints")
        before = [_files(store, folder) for folder in folders]
        for folder in folders:
            store.inside.remove_tree(folder)
        after = [_files(store, folder) for folder in folders]
    count, size = (sum(b[i] - a[i] for b, a in zip(before, after, strict=True)) for i in (0, 1))
    say(f"{counted(count, 'file')} of {size / 2**20:.1f} MiB deleted")


def move_stale(run: Path) -> None:
    """Moves the pictures that no job of the last plan makes into `stale/`, and lists them.

    Raises:
        RunFolderError: no run folder, one in use, or it cannot be written.
    """
    store = _run(run)
    with RunLock(store):
        moved = put_aside(store)
    for below in moved:
        say(line(below))
    say(
        line(
            f"{counted(len(moved), 'picture')} moved to {run / 'stale'}"
            if moved
            else "nothing is stale"
        )
    )


def _run(run: Path) -> RunFolder:
    store = RunFolder(run)
    if not store.inside.is_file(run / "plan.json"):
        raise RunFolderError(f"{run}: no run folder (no plan.json in it); check the path")
    return store


def _files(store: RunFolder, folder: Path) -> tuple[int, int]:
    """How many files of how many bytes a folder holds; none where a link leads out of the run."""
    count = size = 0
    try:
        for path in store.inside.files(folder, "**/*"):
            if store.inside.is_file(path):
                count, size = count + 1, size + store.inside.size(path)
    except OSError:
        return 0, 0
    return count, size
