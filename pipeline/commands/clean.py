"""`nst clean`: deletes what a run kept along the way.

In: a run folder. Out: less of it; pictures and records stay.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.errors import RunFolderError
from pipeline.store import RunFolder, RunLock


def clean_run(run: Path) -> None:
    """Deletes frames and checkpoints of a run that is not running, and says how much it was.

    Raises:
        RunFolderError: no run folder, or one in use.
    """
    store = RunFolder(run)
    if not (run / "plan.json").is_file():
        raise RunFolderError(f"{run}: no run folder (no plan.json in it); check the path")
    with RunLock(store):
        folders = (store.frames, store.state / "checkpoints")
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(files)} files of {size / 2**20:.1f} MiB deleted")
