"""Batch neural style transfer from Python: `from nst import stylize_pair`.

The same names as the package `pipeline`, which does the work; by this name no file of one's own
that is called `pipeline.py` comes in the way.
"""

import importlib.util
import sys
from pathlib import Path

_HOME = Path(__file__).resolve().parents[1] / "pipeline"


def _load() -> None:
    """Has `pipeline` be the package that lies beside this one, wherever else there is one."""
    known = sys.modules.get("pipeline")
    if known is not None:
        if [Path(place).resolve() for place in getattr(known, "__path__", ())] == [_HOME]:
            return
        where = getattr(known, "__file__", None) or "a module of that name"
        raise ImportError(
            f"nst's own package is called pipeline, and {where} was imported by that name before; "
            f"import nst first, or give that file another name"
        )
    spec = importlib.util.spec_from_file_location(
        "pipeline", _HOME / "__init__.py", submodule_search_locations=[str(_HOME)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pipeline"] = module
    spec.loader.exec_module(module)


_load()

from pipeline import (  # noqa: E402 - only now is it the one
    __version__,
    load_manifest,
    records,
    run_batch,
    run_batch_file,
    stylize_pair,
)

__all__ = ["__version__", "load_manifest", "records", "run_batch", "run_batch_file", "stylize_pair"]
