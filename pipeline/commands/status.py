"""`nst status`: how far a run is, what failed and why, from any terminal.

In: a run folder, live or dead. Out: text or JSON. Must not load torch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.commands.output import (
    counted_notices,
    existing_run,
    print_json,
    say_left_out,
    stale_line,
)
from pipeline.schedule import duration, per_hour
from pipeline.store import (
    Failure,
    Owner,
    RunFolder,
    SlotState,
    Summary,
    is_alive,
    open_failures,
    process_lives,
)
from pipeline.terminal import console, counted, line, say

_WATCH_EVERY_S = 2.0
_NAMES_SHOWN = 10
_MOST_SHARDS = 100_000  # that are asked after; more is somebody's odd file name


@dataclass(frozen=True)
class Part:
    """A run, or one shard of it, as it stands.

    Attributes:
        name: the shard's, such as `1-of-4`, or empty.
        owner: who holds the folder for it, or did and died; None for nobody.
        lives: whether that process does; None where that cannot be seen from here.
    """

    name: str
    summary: Summary
    owner: Owner | None
    lives: bool | None

    @property
    def runs(self) -> bool:
        """Whether it runs, as far as can be known."""
        if self.owner is None or self.lives is False:
            return False
        updated = self.summary.updated
        return not self.summary.ended or (bool(updated) and self.owner.since > updated)

    @property
    def finished(self) -> int:
        """Jobs that are done."""
        return self.summary.done + self.summary.already_done

    @property
    def left(self) -> int:
        """Jobs that have not ended; too many while it is still looked what is done already."""
        return max(0, self.summary.jobs - self.finished - self.summary.failed)

    @property
    def state(self) -> str:
        """In words, with the time of the last news."""
        summary, owner = self.summary, self.owner
        holder = f"process {owner.pid} on {owner.host}" if owner else ""
        if summary.ended:
            ended = f"{'stopped' if summary.stopped else 'ended'} {summary.updated}"
            return f"{ended}; {holder} begins anew" if self.runs else ended
        if not self.runs:
            return f"died without notice, or could not write its end, after {summary.updated}"
        if self.lives is None:
            return f"running, or died without notice: {holder}, {summary.updated}"
        return f"running: {holder}, {summary.updated}"


def find_parts(store: RunFolder) -> list[Part]:
    """The run, or its shards, as they stand. Of a folder that was run as a whole and in shards, or
    in several numbers of these, those of which the last news is."""
    summaries = store.summaries()
    if not summaries:
        return []
    newest = max(summaries, key=lambda name: summaries[name].updated)
    parts = []
    for name, summary in sorted(summaries.items(), key=lambda item: _number(item[0])):
        if _division(name) == _division(newest):
            owner = store.owner(name)
            parts.append(Part(name, summary, owner, is_alive(owner) if owner else False))
    return parts


def _division(name: str) -> str:
    return name.partition("-of-")[2]


def _number(name: str) -> int:
    return int(name.partition("-of-")[0] or 0)


def show_status(run: Path, *, as_json: bool, watch: bool = False) -> int:
    """Prints how far a run is, live or dead; returns 1 if jobs failed, else 0.

    Args:
        watch: show it anew every two seconds while it runs.

    Raises:
        RunFolderError: no run in this folder.
    """
    store = existing_run(run)
    if as_json:
        found = _as_json(store)
        print_json(found)
        return int(bool(found["failed"]))
    if watch:
        from rich.live import Live  # here alone: they take a while to load
        from rich.text import Text

        with Live(console=console(), auto_refresh=False, vertical_overflow="crop") as live:
            while any(part.runs for part in find_parts(store)):
                live.update(
                    Text("\n".join(map(line, _status_text(store))), no_wrap=True), refresh=True
                )
                time.sleep(_WATCH_EVERY_S)
            live.update(Text(""), refresh=True)
    say("\n".join(map(line, _status_text(store))))
    say_left_out(store.left_out())
    return int(bool(open_failures(store)))


def _as_json(store: RunFolder) -> dict[str, Any]:
    parts = find_parts(store)
    return {
        "runs": {part: summary.whole() for part, summary in store.summaries().items()},
        "states": {part.name: {"running": part.runs, "state": part.state} for part in parts},
        "total": {"jobs": _jobs(store, parts), "done": _done(parts), "warnings": _warnings(parts)},
        "never_started": _never_started(parts),
        "failed": [failure.plain() for failure in open_failures(store).values()],
        "slots": [state.plain() for state in _slots(store, parts)],
        "stale": store.stale(),
    }


def _status_text(store: RunFolder) -> Iterator[str]:
    parts = find_parts(store)
    if any(part.name for part in parts):
        yield from _total(store, parts)
    for part in parts:
        yield from _part_lines(part)
    yield from map(_slot_line, _slots(store, parts))
    if stale := len(store.stale()):
        yield stale_line(stale, store.path)
    yield from _failure_lines(open_failures(store))


def _total(store: RunFolder, parts: Sequence[Part]) -> Iterator[str]:
    """All shards together."""
    done, jobs = _done(parts), _jobs(store, parts)
    failed = sum(part.summary.failed for part in parts)
    yield f"all shards: {done} of {counted(jobs, 'job')} done, {failed} failed"
    if warnings := _warnings(parts):
        yield f"all shards: warnings: {counted_notices(warnings)}; each is in the shards' logs"
    if missing := _never_started(parts):
        shown = ", ".join(map(str, missing[:_NAMES_SHOWN])) + (", ..." if missing[10:] else "")
        of = _division(parts[0].name)
        yield f"{len(missing)} of {of} shards never started: {shown} (--shard {missing[0]}/{of})"


def _warnings(parts: Sequence[Part]) -> dict[str, int]:
    """How many notices of each code all parts gave; once those that each tells of the manifest."""
    found: dict[str, int] = {}
    for part in parts:
        for code, count in part.summary.told.items():
            found[code] = max(found.get(code, 0), count)
    for part in parts:
        for code, count in part.summary.own_warnings.items():
            found[code] = found.get(code, 0) + count
    return found


def _done(parts: Sequence[Part]) -> int:
    """Jobs that are done; of parts that share a queue, each has found the same ones done before."""
    if parts and _division(parts[0].name) == "auto":
        before = min(part.summary.already_done for part in parts)
        return before + sum(part.summary.done for part in parts)
    return sum(part.finished for part in parts)


def _jobs(store: RunFolder, parts: Sequence[Part]) -> int:
    """Jobs of the whole plan; as far as is known where there is none."""
    header = store.header()
    known = sum(part.summary.jobs for part in parts)
    return header.jobs if header and header.jobs and any(p.name for p in parts) else known


def _never_started(parts: Sequence[Part]) -> list[int]:
    """Numbers of the shards of which there is no news at all."""
    of = _division(parts[0].name) if parts else ""
    count = min(int(of), _MOST_SHARDS) if of.isdecimal() else 0
    began = {_number(part.name) for part in parts}
    return [number for number in range(1, count + 1) if number not in began]


def _slots(store: RunFolder, parts: Sequence[Part]) -> list[SlotState]:
    """What the slots do of what runs; what a dead run left is no news."""
    return store.live.slots() if any(part.runs for part in parts) else []


def _part_lines(part: Part) -> Iterator[str]:
    summary = part.summary
    name = f"shard {part.name}: " if part.name else ""
    looking = part.runs and not summary.ended and summary.looked_at < summary.jobs
    so_far = f" so far, {summary.jobs - summary.looked_at} not looked at yet" if looking else ""
    yield f"{name}{part.finished} of {counted(summary.jobs, 'job')} done{so_far}; {part.state}"
    if summary.problem:
        yield f"{name}ended early: {summary.problem}"
    if warnings := summary.own_warnings if part.name else summary.warnings:
        yield f"{name}warnings: {counted_notices(warnings)}; each is in {_log_of(part)}"
    for run in [*summary.earlier, summary]:
        if run.done or run.failed:
            yield (
                f"{name}{run.started}: {run.done} done, {run.failed} failed, "
                f"{per_hour(run.images_per_hour)}, slots busy "
                f"{100 * run.utilization:.0f}% of {duration(run.seconds)}"
            )
    if part.runs and not summary.ended and summary.images_per_hour:
        at_most = "at most " if looking else ""
        hours = part.left / summary.images_per_hour
        yield f"{name}{at_most}{part.left} left, about {duration(3600 * hours)}"
    yield from summary.retired
    if summary.videos:
        yield f"{counted(len(summary.videos), 'video')} written: {_some(summary.videos)}"
    for video, why in summary.videos_failed.items():
        yield f"no video {video}: {why}"
    if summary.next and part.left:
        yield f"{name}next: {', '.join(summary.next)}, ..."


def _log_of(part: Part) -> str:
    return f"run{f'-{part.name}' if part.name else ''}.log"


def _failure_lines(failures: Mapping[str, Failure]) -> Iterator[str]:
    """Reasons, the most frequent first, each with some names."""
    reasons: dict[str, list[str]] = {}
    for failure in failures.values():
        reasons.setdefault(failure.error, []).append(failure.name)
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        yield f"{len(names)} failed: {reason}"
        yield from (f"    {name}" for name in names[:_NAMES_SHOWN])
        if len(names) > _NAMES_SHOWN:
            yield f"    and {len(names) - _NAMES_SHOWN} more"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _slot_line(state: SlotState) -> str:
    if process_lives(state.host, state.pid) is False:
        return (
            f"slot {state.slot} ({state.device}): its process {state.pid} has ended; another one "
            f"begins, and what it was at is tried again ({state.job})"
        )
    step = f" step {state.step}/{state.steps}" if state.step is not None else ""
    ago = duration(max(0.0, time.time() - state.time))
    return (
        f"slot {state.slot} ({state.device}, process {state.pid} on {state.host}): "
        f"{state.phase}{step} of {counted(state.jobs, 'job')}, {state.job}, {ago} ago"
    )
