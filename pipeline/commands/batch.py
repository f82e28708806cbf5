"""`nst batch`: runs a manifest, makes its report, says how it went.

In: a manifest's path. Out: an exit code; the rest is in the run folder. A manifest that is wrong is
told before torch is loaded.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline import report as reports  # whose names load arrays when they are asked for
from pipeline.address import Address
from pipeline.commands.afterwards import REPORTED, Afterwards
from pipeline.commands.again import given_manifest
from pipeline.commands.missing import missing_lines
from pipeline.commands.notify import check_address, notify
from pipeline.commands.options import Options, deciding_words
from pipeline.commands.output import counted_notices, print_json, stale_line
from pipeline.commands.status import find_parts
from pipeline.errors import RunFolderError
from pipeline.interrupts import Interrupted
from pipeline.manifest import Manifest
from pipeline.schedule import duration, make_progress, per_hour
from pipeline.store import RunFolder, Summary, now
from pipeline.terminal import counted, line, say


def batch_manifest(
    manifest_path: Path,
    options: Options,
    *,
    quiet: bool = False,
    as_json: bool = False,
    with_report: bool = True,
    tensorboard: bool = False,
    notify_url: str | None = None,
    trackers: Sequence[str] = (),
) -> int:
    """Runs a manifest, makes its report and prints the summary; returns the exit code.

    Args:
        notify_url: is told the summary at the end, also of a run that was stopped.
        trackers: likewise, by name.
    """
    if notify_url:
        check_address(notify_url)
    manifest_path, manifest = given_manifest(manifest_path, options)
    _check_board(manifest.output, tensorboard=tensorboard, trackers=trackers)
    for name in trackers:  # a missing package is told before the night, not after it
        reports.check_tracker(name)
    if tensorboard:
        reports.summary_writer()
    from pipeline.commands.run import run_manifest

    progress = make_progress(quiet=quiet, as_json=as_json)
    store = RunFolder(manifest.output)
    fresh = with_report and manifest.form.format == "files"  # else a page would want a sample
    with _ended_in_words(store):
        with reports.kept_fresh(store, REPORTED) if fresh else contextlib.nullcontext():
            summary = run_manifest(manifest, options, progress)
        after = Afterwards(manifest.output, summary, options.run, progress)
        _finish(manifest, after, with_report)
        if tensorboard:
            reports.write_board(store)
        for name in trackers:
            if lost := reports.log_run(name, store, summary):
                after.warn("not_told", lost)
        if notify_url and (lost := notify(notify_url, _summary_event(summary, manifest.output))):
            after.warn("not_told", lost)
    if as_json:
        print_json(_summary_event(summary, manifest.output))
    elif not quiet:
        again = shlex.join(["nst", "batch", str(manifest_path), *deciding_words(options)])
        lines = _summary_lines(summary, manifest.output, again, with_report)
        say("\n".join(map(line, lines)))
    return summary.exit_code


@contextlib.contextmanager
def _ended_in_words(store: RunFolder) -> Iterator[None]:
    """Where a signal ends the block after the run has ended, it is told what may be missing."""
    began = now()
    try:
        yield
    except Interrupted:
        if not any(run.ended and run.updated >= began for run in store.summaries().values()):
            raise
        run = shlex.quote(str(store.path))
        raise Interrupted(
            f"stopped after the last batch: report and table may be older than the pictures; nst "
            f"report {run} and nst table {run} make them"
        ) from None


def _finish(manifest: Manifest, after: Afterwards, with_report: bool) -> None:
    """What is made of all pictures at the end. Of several parts the last one does it; one that only
    may run, on another machine, may have died as well."""
    parts = find_parts(RunFolder(manifest.output))
    if any(part.runs and part.lives for part in parts):
        return
    if len(parts) > 1:  # the last one may have had nothing to do itself
        after.also_of(part.summary for part in parts)
    if with_report:
        after.make_report(loose=manifest.form.format == "files")
    after.make_table()


def _check_board(output: Path, *, tensorboard: bool, trackers: Sequence[str]) -> None:
    given = {"--tensorboard": tensorboard, "--log-to tensorboard": "tensorboard" in trackers}
    for option in (option for option, is_given in given.items() if is_given):
        if isinstance(output, Address):
            raise RunFolderError(
                f"{output}: TensorBoard's files go to local folders alone; leave {option} out, "
                f"or choose a local `output`"
            )


def _summary_event(summary: Summary, output: Path) -> dict[str, Any]:
    return {
        "event": "end",
        "jobs": summary.jobs,
        "done": summary.done,
        "already_done": summary.already_done,
        "moved": summary.moved,
        "stale": summary.stale,
        "failed": summary.failed,
        "stopped": summary.stopped,
        "problem": summary.problem,
        "warnings": summary.warnings,
        "targets_computed": summary.targets_computed,
        "targets_hits": summary.targets_hits,
        "seconds": summary.seconds,
        "images_per_hour": summary.images_per_hour,
        "videos": summary.videos,
        "videos_failed": summary.videos_failed,
        "output": str(output),
    }


def _summary_lines(
    summary: Summary, output: Path, command: str, with_report: bool
) -> Iterator[str]:
    if summary.moved:
        pictures = counted(summary.moved, "picture")
        yield f"{pictures} of renamed or moved inputs taken along, not made again"
    if summary.stale:
        yield stale_line(summary.stale, output)
    if summary.already_done == summary.jobs and not (summary.videos or summary.videos_failed):
        if not summary.jobs:
            yield f"nothing to do in {output}: `exclude`, --only, --limit or --shard leave no job"
            return
        done = "job is" if summary.jobs == 1 else "jobs are"
        yield f"nothing to do: {summary.jobs} of {summary.jobs} {done} done in {output}"
        return
    before = f", {summary.already_done} done before" if summary.already_done else ""
    yield (
        f"{summary.done} done, {summary.failed} failed{before}, of "
        f"{counted(summary.jobs, 'job')} in {duration(summary.seconds)} "
        f"({per_hour(summary.images_per_hour)})"
    )
    yield from missing_lines(summary)
    yield (
        f"style targets: {summary.targets_computed} computed, {summary.targets_hits} from the cache"
    )
    store = RunFolder(output)
    # Of a run that ended early the folder may be out of reach.
    shards = [] if summary.problem else store.shard_files()
    sample = output / "sample/report.html"
    if shards:
        yield f"pictures and records: {counted(len(shards), 'shard')} in {output / 'shards'}"
        if store.inside.is_file(sample):
            yield f"a sample of them at a glance: {sample}"
    else:
        yield f"pictures and records: {output / 'images'}"
    if summary.videos:
        yield f"videos: {len(summary.videos)} in {output / 'videos'}"
    reported = with_report and not summary.problem
    if reported and store.inside.is_file(output / "report.html"):
        yield f"all at a glance: {output / 'report.html'}"
    if summary.warnings:
        yield _warnings_line(summary, output)
    yield from summary.retired
    if summary.failed:
        yield f"reasons of failures: nst status {shlex.quote(str(output))}"
    if summary.problem:
        yield f"ended early: {summary.problem}; then go on with: {command}"
    if summary.stopped:
        kept = 0 if summary.problem else store.under_way()
        yield f"stopped{_partly(kept)}; go on with: {command}"


def _warnings_line(summary: Summary, output: Path) -> str:
    log = RunFolder(output, summary.part).log.name
    return f"warnings: {counted_notices(summary.warnings)} (each is in {log})"


def _partly(kept: int) -> str:
    """Of a run that was stopped: the jobs that go on from checkpoints."""
    return f" with {counted(kept, 'job')} partly done, from where each goes on" if kept else ""
