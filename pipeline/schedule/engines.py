"""The engines by name, each with what it needs.

In: a name. Out: an engine to run batches with. A new engine is a file beside this one with a
function like `local.open_local`, and a line in `ENGINES`. Must not load torch, so that a wrong
name is told at once.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import EngineError, install
from pipeline.schedule.options import RunOptions

if TYPE_CHECKING:
    from pipeline.schedule.engine import Engine, Work
    from pipeline.slot import RunContext

    Opens = Callable[[RunContext, Work, RunOptions], AbstractContextManager[Engine]]


@dataclass(frozen=True)
class EngineKind:
    """All there is to know of one engine.

    Attributes:
        module, function: what opens it, loaded when it is asked for.
        is_cluster: whether it takes `--address` and `--workers`; its workers find their devices.
        package: what has to be installed for it, or empty.
        extra: the extra that brings that package.
    """

    module: str
    function: str
    is_cluster: bool = False
    package: str = ""
    extra: str = ""


ENGINES = {
    "local": EngineKind("pipeline.schedule.local", "open_local"),
    "inline": EngineKind("pipeline.schedule.local", "open_inline"),
    "dask": EngineKind("pipeline.schedule.dask_cluster", "open_dask", True, "distributed", "dask"),
    "ray": EngineKind("pipeline.schedule.ray_cluster", "open_ray", True, "ray", "ray"),
}


def open_engine(
    context: RunContext, work: Work, options: RunOptions
) -> AbstractContextManager[Engine]:
    """The engine that `options` name, as a block in which it runs.

    Raises:
        EngineError: its package is not installed, or its cluster cannot be reached.
    """
    kind = ENGINES[options.engine]
    if kind.package and importlib.util.find_spec(kind.package) is None:
        raise EngineError(
            f"--engine {options.engine} needs {kind.package}, which is not installed: "
            f"{install(kind.extra)}"
        )
    opens: Opens = getattr(importlib.import_module(kind.module), kind.function)
    return opens(context, work, options)
