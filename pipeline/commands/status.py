"""`nst status`: how far a run is, what failed and why, from any terminal.

In: a run folder, live or dead. Out: text or JSON. Must not load torch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.commands.output import (
    counted_notices,
    existing_run,
    print_json,
    say_left_out,
    stale_line,
)
from pipeline.schedule import duration
from pipeline.store import Failure, RunFolder, SlotState, Summary
from pipeline.terminal import console, line, say

_WATCH_EVERY_S = 2.0


_NAMES_SHOWN = 10


def show_status(run: Path, *, as_json: bool, watch: bool = False) -> int:
    """Prints how far a run is, live or dead; returns 1 if jobs failed, else 0.

    Args:
        watch: show it anew every two seconds until the run has ended.

    Raises:
        RunFolderError: no run in this folder.
    """
    store = existing_run(run)
    if as_json:
        slots = store.live.slots()
        failed = list(_open_failures(store).values())
        runs = {part: summary.whole() for part, summary in store.summaries().items()}
        print_json(
            {
                "runs": runs,
                "failed": [failure.plain() for failure in failed],
                "slots": [state.plain() for state in slots],
                "stale": store.stale(),
            }
        )
        return int(bool(failed))
    if watch:
        from rich.live import Live  # here alone: they take a while to load
        from rich.text import Text

        with Live(console=console(), auto_refresh=False, vertical_overflow="crop") as live:
            while not all(summary.ended for summary in store.summaries().values()):
                live.update(
                    Text("\n".join(map(line, _status_text(store))), no_wrap=True), refresh=True
                )
                time.sleep(_WATCH_EVERY_S)
            live.update(Text(""), refresh=True)
    say("\n".join(map(line, _status_text(store))))
    say_left_out(store.left_out())
    return int(bool(_open_failures(store)))


def _open_failures(store: RunFolder) -> dict[str, Failure]:
    """Failures of jobs that have not been done since."""
    return {
        n: f for n, f in store.failures().items() if not store.inside.is_file(store.record_path(n))
    }


def _status_text(store: RunFolder) -> Iterator[str]:
    for part, summary in store.summaries().items():
        yield from _status_lines(part, summary)
        if not summary.ended and summary.images_per_hour:
            left = summary.jobs - summary.done - summary.already_done - summary.failed
            hours = left / summary.images_per_hour
            yield f"{left} left, about {duration(3600 * hours)}"
        yield from summary.retired
        if summary.videos:
            yield f"{len(summary.videos)} videos written: {_some(summary.videos)}"
        for name, why in summary.videos_failed.items():
            yield f"no video {name}: {why}"
        if summary.next:
            yield f"next: {', '.join(summary.next)}, ..."
    for state in store.live.slots():
        yield _slot_line(state)
    if stale := len(store.stale()):
        yield stale_line(stale, store.path)
    reasons: dict[str, list[str]] = {}
    for failure in _open_failures(store).values():
        reasons.setdefault(failure.error, []).append(failure.name)
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        yield f"{len(names)} failed: {reason}"
        yield from (f"    {name}" for name in names[:_NAMES_SHOWN])
        if len(names) > _NAMES_SHOWN:
            yield f"    and {len(names) - _NAMES_SHOWN} more"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _status_lines(part: str, summary: Summary) -> Iterator[str]:
    name = f"shard {part}: " if part else ""
    finished = summary.done + summary.already_done
    state = "ended" if summary.ended else "running, or died without notice"
    state = "stopped" if summary.stopped else state
    yield f"{name}{finished} of {summary.jobs} jobs done; {state} {summary.updated}"
    if summary.problem:
        yield f"{name}ended early: {summary.problem}"
    if summary.warnings:
        yield f"{name}warnings: {counted_notices(summary)}; each is in its picture's record"
    for run in [*summary.earlier, summary]:
        if run.done or run.failed:
            yield (
                f"{name}{run.started}: {run.done} done, {run.failed} failed, "
                f"{run.images_per_hour:.0f} images/hour, slots busy "
                f"{100 * run.utilization:.0f}% of {duration(run.seconds)}"
            )


def _slot_line(state: SlotState) -> str:
    step = f" step {state.step}/{state.steps}" if state.step is not None else ""
    ago = duration(max(0.0, time.time() - state.time))
    return (
        f"slot {state.slot} ({state.device}, process {state.pid} on {state.host}): "
        f"{state.phase}{step} of {state.jobs} jobs, {state.job}, {ago} ago"
    )
