"""What several commands have in common: their options, and the command line's words for them.

In: words. Out: frozen options. Must not load torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import EngineError, ManifestError
from pipeline.manifest import DEFAULT_MAX_JOBS, nearest
from pipeline.schedule import ENGINES, Patience, RunOptions


@dataclass(frozen=True)
class Options:
    """What `batch`, `plan` and `run` have in common.

    Attributes:
        devices: `auto` or names separated by commas.
        cache: the cache folder, or None for the default.
        max_jobs: larger plans are refused.
        run: how the run is carried out.
        checkpoint_every_s: seconds between checkpoints of long jobs; 0 keeps none.
        compiles: have torch compile the network.
        deterministic: have torch take deterministic algorithms alone.
    """

    devices: str = "auto"
    cache: Path | None = None
    max_jobs: int = DEFAULT_MAX_JOBS
    run: RunOptions = field(default_factory=RunOptions)
    checkpoint_every_s: float = 0.0
    compiles: bool = False
    deterministic: bool = False


def parse_run_options(
    *,
    engine: str,
    address: str | None,
    workers: int | None,
    shard: str | None,
    retries: int,
    timeout_s: float,
    stall_s: float,
    fail_fast: bool,
    failed_only: bool,
) -> RunOptions:
    """The command line's words as options of a run.

    Raises:
        EngineError: an unknown engine, or an option that goes with another engine.
        ManifestError: a shard that is not i/n.
    """
    if engine not in ENGINES:
        raise EngineError(f"--engine {engine}: unknown" + nearest(engine, list(ENGINES)))
    for option, value in (("--address", address), ("--workers", workers)):
        if value is not None and not ENGINES[engine].is_cluster:
            clusters = " or ".join(name for name, kind in ENGINES.items() if kind.is_cluster)
            raise EngineError(f"{option} goes with --engine {clusters}, not with {engine}")
    return RunOptions(
        engine=engine,
        address=address,
        workers=workers,
        retries=retries,
        patience=Patience(timeout_s, stall_s),
        fail_fast=fail_fast,
        failed_only=failed_only,
        shard=_parse_shard(shard) if shard else None,
    )


def _parse_shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ManifestError([f"--shard {text}: write i/n with 1 <= i <= n, such as 2/4"])
    return int(match[1]), int(match[2])
