"""What several commands have in common: their options, and the command line's words for them.

In: words. Out: frozen options. Must not load torch.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.errors import DeviceError, EngineError, ManifestError
from pipeline.manifest import DEFAULT_MAX_JOBS, nearest
from pipeline.plan import ORDERS, Choice, parse_rules
from pipeline.schedule import ENGINES, LOG_FORMATS, Patience
from pipeline.schedule import RunOptions as RunOptions


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
        given: settings in the place of the manifest's own.
        deterministic: have torch take deterministic algorithms alone.
        graphs: take a GPU's steps as CUDA graphs.
        threads: CPU threads a slot; 0 shares out the cores.
    """

    devices: str = "auto"
    cache: Path | None = None
    max_jobs: int = DEFAULT_MAX_JOBS
    run: RunOptions = field(default_factory=RunOptions)
    checkpoint_every_s: float = 0.0
    compiles: bool = False
    given: Mapping[str, Any] = field(default_factory=dict)
    deterministic: bool = False
    graphs: bool = False
    threads: int = 0


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
    log_format: str,
    log: str | None = None,
    choice: Choice | None = None,
    redo: Sequence[str] = (),
    until: str | None = None,
    max_time: str | None = None,
) -> RunOptions:
    """The command line's words as options of a run.

    Raises:
        EngineError: an unknown engine, or an option that goes with another engine.
        ManifestError: a shard that is not i/n, an unknown format of the log, a rule or a time that
            is none.
    """
    if engine not in ENGINES:
        raise EngineError(f"--engine {engine}: unknown" + nearest(engine, list(ENGINES)))
    if log_format not in LOG_FORMATS:
        known = " or ".join(LOG_FORMATS)
        raise ManifestError([f"--log-format {log_format}: write {known}"])
    for option, value in (("--address", address), ("--workers", workers)):
        if value is not None and not ENGINES[engine].is_cluster:
            clusters = " or ".join(name for name, kind in ENGINES.items() if kind.is_cluster)
            raise EngineError(f"{option} goes with --engine {clusters}, not with {engine}")
    if shard == "auto" and ENGINES[engine].is_cluster:
        raise EngineError(f"--shard auto: {engine} shares jobs out itself; leave it out")
    return RunOptions(
        engine=engine,
        address=address,
        workers=workers,
        retries=retries,
        patience=Patience(timeout_s, stall_s),
        fail_fast=fail_fast,
        failed_only=failed_only,
        shard=_parse_shard(shard) if shard and shard != "auto" else None,
        shares=shard == "auto",
        choice=choice or Choice(),
        redo=parse_rules("--redo", redo),
        ends_at=_ends_at(until, max_time),
        log_format=log_format,
        log=log or None,
    )


def deciding_words(options: Options) -> list[str]:
    """The words that say which jobs a run was about, with which settings and where, to go on with
    it."""
    run, choice = options.run, options.run.choice
    words = ["--shard", "/".join(map(str, run.shard))] if run.shard else []
    words += ["--shard", "auto"] if run.shares else []
    words += ["--devices", options.devices] if options.devices != "auto" else []
    words += ["--engine", run.engine] if run.engine != RunOptions().engine else []
    words += ["--address", run.address] if run.address else []
    words += ["--workers", str(run.workers)] if run.workers else []
    words += ["--cache-dir", str(options.cache)] if options.cache else []
    flags = {
        "--compile": options.compiles,
        "--graphs": options.graphs,
        "--deterministic": options.deterministic,
    }
    words += [name for name, given in flags.items() if given]
    for name, value in options.given.items():
        words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    for rule in choice.only:
        words += ["--only", f"{rule.axis}={rule.pattern}"]
    numbers = {"--limit": choice.limit, "--sample": choice.sample, "--seed": choice.seed}
    for name, number in numbers.items():
        words += [name, str(number)] if number else []
    words += ["--order", choice.order] if choice.order != "plan" else []
    return words + (["--failed-only"] if run.failed_only else [])


def parse_choice(only: Sequence[str], limit: int, sample: int, seed: int, order: str) -> Choice:
    """The command line's words as a choice of jobs.

    Raises:
        ManifestError: a rule that is none, or an unknown order.
    """
    found = next((known for known in ORDERS if known == order), None)
    if found is None:
        raise ManifestError([f"--order {order}: unknown; choose {', '.join(ORDERS)}"])
    return Choice(parse_rules("--only", only), limit, sample, seed, found)


def _ends_at(until: str | None, max_time: str | None) -> float | None:
    """When the run is to stop, by `time.monotonic`: the sooner of both."""
    seconds = [] if max_time is None else [_duration(max_time)]
    seconds += [] if until is None else [_seconds_until(until, datetime.now())]
    return time.monotonic() + min(seconds) if seconds else None


_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def _duration(text: str) -> float:
    """`8h`, `1h30m`, `90s` in seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds or "".join(number + unit for number, unit in parts) != text:
        raise ManifestError([f"--max-time {text}: write a time such as 8h, 1h30m or 90s"])
    return seconds


def _seconds_until(text: str, moment: datetime) -> float:
    """Seconds from a moment to the next time of that name, by this machine's clock."""
    for form in ("%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"):
        try:
            found = datetime.strptime(text, form)
        except ValueError:
            continue
        if form == "%H:%M":
            found = moment.replace(hour=found.hour, minute=found.minute, second=0, microsecond=0)
            found += timedelta(days=1) if found <= moment else timedelta()
        if found <= moment:
            raise ManifestError([f"--until {text}: is past"])
        return (found.astimezone() - moment.astimezone()).total_seconds()
    raise ManifestError([f"--until {text}: write 07:00, or 2030-01-31 07:00"])


def slots_meant(word: str) -> tuple[int, str]:
    """`8xcuda` as a number and a kind of slot.

    Raises:
        DeviceError: a word of another form.
    """
    found = re.fullmatch(r"([1-9]\d{0,5})x(cuda|mps|cpu)", word)
    if found is None:
        raise DeviceError(f"--for {word}: write a number and a kind of slot, such as 8xcuda, 4xcpu")
    return int(found[1]), found[2]


def _parse_shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ManifestError([f"--shard {text}: write i/n with 1 <= i <= n, such as 2/4, or auto"])
    return int(match[1]), int(match[2])
