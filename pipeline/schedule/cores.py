"""The machine's cores: how many there are to share, and what was measured of them.

In: nothing but the machine, and the cache folder. Out: numbers. Must not load torch.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.files import write_atomic
from pipeline.json_text import read_json
from pipeline.store import to_json
from pipeline.version import torch_version


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _file(cache: Path) -> Path:
    return cache / "cpu.json"


def keep_workers(cache: Path, cores: int, workers: int) -> None:
    """Stores how many workers were found best for this machine.

    Raises:
        RunFolderError: no space or no rights.
    """
    about = {"cores": cores, "torch": torch_version(), "workers": workers}
    write_atomic(_file(cache), to_json(about))


def kept_workers(cache: Path, cores: int) -> int | None:
    """Workers that were found best here with so many cores and this torch; None if not measured."""
    try:
        about = read_json(_file(cache).read_bytes())
        if (about["cores"], about["torch"]) != (cores, torch_version()):
            return None
        return int(about["workers"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not measured, or not readable: it can be measured again
