"""TODO."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.commands.prepare import Options, _print_json, run_manifest
from pipeline.errors import EngineError, ManifestError, NstError
from pipeline.manifest import load_manifest, nearest
from pipeline.report import build_report, summary_writer, write_board
from pipeline.schedule import ENGINES, Patience, RunOptions, Summary, duration, make_progress
from pipeline.store import RunFolder

# A page holds all records in memory while it is made: of more jobs only when asked for.
_REPORTED = 50_000


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
        raise EngineError(f"--engine {engine}: unknown" + nearest(engine, ENGINES))
    for option, value in (("--address", address), ("--workers", workers)):
        if value is not None and engine not in ("dask", "ray"):
            raise EngineError(f"{option} goes with --engine dask or ray, not with {engine}")
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


def batch_manifest(
    manifest_path: Path,
    options: Options,
    *,
    quiet: bool = False,
    as_json: bool = False,
    with_report: bool = True,
    tensorboard: bool = False,
) -> int:
    """Runs a manifest, makes its report and prints the summary; returns the exit code."""
    if tensorboard:
        summary_writer()  # a missing package is told before the night, not after it
    manifest = load_manifest(manifest_path)
    progress = make_progress(quiet=quiet, as_json=as_json)
    summary = run_manifest(manifest, options, progress)
    if manifest.form.format == "webdataset":
        with_report = False  # a page needs loose pictures
    if with_report and summary.jobs > _REPORTED:
        progress.warn(f"no report of {summary.jobs:,} jobs unasked; nst report makes it")
    elif with_report and summary.done + summary.failed:
        try:
            build_report(RunFolder(manifest.output))
        except (NstError, OSError) as error:  # the run itself is whole
            progress.warn(f"no report: {error}")
    if tensorboard:
        write_board(RunFolder(manifest.output))
    if as_json:
        _print_json(_summary_event(summary, manifest.output))
    elif not quiet:
        print("\n".join(_summary_lines(summary, manifest.output, f"nst batch {manifest_path}")))
    return summary.exit_code


def _summary_event(summary: Summary, output: Path) -> dict[str, Any]:
    return {
        "event": "end",
        "jobs": summary.jobs,
        "done": summary.done,
        "already_done": summary.already_done,
        "failed": summary.failed,
        "stopped": summary.stopped,
        "problem": summary.problem,
        "targets_computed": summary.targets_computed,
        "targets_hits": summary.targets_hits,
        "seconds": summary.seconds,
        "images_per_hour": summary.images_per_hour,
        "output": str(output),
    }


def _summary_lines(summary: Summary, output: Path, command: str) -> Iterator[str]:
    if summary.already_done == summary.jobs:
        yield f"nothing to do: {summary.jobs} of {summary.jobs} jobs are done in {output}"
        return
    before = f", {summary.already_done} done before" if summary.already_done else ""
    yield (
        f"{summary.done} done, {summary.failed} failed{before}, of {summary.jobs} jobs in "
        f"{duration(summary.seconds)} ({summary.images_per_hour:.0f} images/hour)"
    )
    yield (
        f"style targets: {summary.targets_computed} computed, {summary.targets_hits} from the cache"
    )
    shards = sorted((output / "shards").glob("*.tar"))
    if shards:
        yield f"pictures and records: {len(shards)} shards in {output / 'shards'}"
    else:
        yield f"pictures and records: {output / 'images'}"
    if (output / "report.html").exists():
        yield f"all at a glance: {output / 'report.html'}"
    if summary.failed:
        yield f"reasons of failures: nst status {output}"
    if summary.problem:
        yield f"ended early: {summary.problem}; then go on with: {command}"
    if summary.stopped:
        yield f"stopped; go on with: {command}"
