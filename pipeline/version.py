"""The versions that records and keys name; whoever changes what one stands for raises it here."""

from __future__ import annotations

import platform
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str

# Of all the code between a job's tensors and its pixels; part of every job key.
ALGORITHM = 3
# Of a style loss that changed while the rest stayed: its jobs alone are made anew.
STYLE_LOSSES = {"wasserstein": 2}
# Of L-BFGS with `clamp: false`, likewise.
UNBOUNDED_LBFGS = 2
# Of what masks do to pictures and targets; part of the keys of jobs with masks.
MASKS = 2
# Of all the code between a style picture's bytes and its targets; part of every cache key.
PREPROCESSING = 2
# Of how outputs are named; 1 had no suffix of the content in them.
NAMING = 2
# Of a record's JSON; in 1 warnings were words alone.
RECORD_SCHEMA = 2


@lru_cache(maxsize=1)
def nst_version() -> str:
    """The version of this package that is installed."""
    # Here alone: it reads the package's metadata with the mail parser, which takes a while to load.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("nst")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0+unknown"


def __getattr__(name: str) -> str:
    if name == "__version__":
        return nst_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@lru_cache(maxsize=1)
def torch_version() -> str:
    """What `torch.__version__` says, with the build, without loading torch, which takes seconds."""
    spec = find_spec("torch")
    if spec is not None and spec.origin is not None:
        text = (Path(spec.origin).parent / "version.py").read_text()
        found = re.search(r"^__version__ = ['\"](.+)['\"]", text, re.MULTILINE)
        if found:
            return found[1]
    from importlib.metadata import version

    return version("torch")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of what decides pixels and of what ran it."""
    return {"nst": nst_version(), "torch": torch_version(), "python": platform.python_version()}
