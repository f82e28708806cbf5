"""How to share out the machine's cores, as it was measured.

In: the cache folder. Out: numbers. Must not load torch.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.files import write_atomic
from pipeline.json_text import read_json
from pipeline.store import to_json
from pipeline.version import torch_version


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
