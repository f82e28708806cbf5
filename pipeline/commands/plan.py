"""`nst plan`: what would run, how much of it is done, how long it would take.

In: a manifest. Out: tables or JSON lines. Loads torch only for `--measure`, and where keys need it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands.again import given_manifest
from pipeline.commands.damaged import marked_jobs
from pipeline.commands.options import Options, slots_meant
from pipeline.commands.output import layer_text, print_json, print_warnings
from pipeline.commands.prepare import (
    decode_clips,
    find_digests,
    keep_all,
    notices_of_plan,
    plan_jobs,
)
from pipeline.commands.why import why
from pipeline.errors import DeviceError
from pipeline.manifest import Manifest, Settings, as_plain, preset_values
from pipeline.plan import Job, Plan, count_by, value_text
from pipeline.store import RunFolder, Stale, shards_of
from pipeline.terminal import console, counted

if TYPE_CHECKING:
    from rich.console import Console

_MOST_VALUES = 20  # of an axis, in the table
_MOST_PROBLEMS = 10


def show_plan(
    manifest_path: Path,
    options: Options,
    *,
    as_json: bool,
    measured: bool,
    others_slots: Sequence[str] = (),
    all_settings: bool = False,
) -> int:
    """Prints what would run; with `measured`, how long it would take.

    Args:
        others_slots: other slots to estimate the time for, such as `8xcuda`.
        all_settings: print all settings of a job, not only those that differ from its preset's.

    Raises:
        DeviceError: slots of no such form, or that are to be estimated without measuring.
    """
    if others_slots and not measured:
        raise DeviceError("--for goes with --measure: the time on other slots is told from these")
    for word in others_slots:
        slots_meant(word)
    _, manifest = given_manifest(manifest_path, options)
    store = RunFolder(manifest.output)
    store.check_inside()
    manifest = keep_all(manifest, options, store)
    manifest = decode_clips(manifest, options, lambda said: print_warnings([said]))
    print_warnings(manifest.warnings)
    if manifest.passed and as_json:
        print_warnings([f"passed over: {manifest.passed}"])
    planned = plan_jobs(manifest, options, find_digests(manifest, options, store, keep=False))
    print_warnings(notices_of_plan(planned))
    jobs, damaged = marked_jobs(planned, options.run.choice)
    states = _states(jobs, planned, store)
    if as_json:
        for state in states:
            print_json(_job_event(state, store))
        print_warnings([damaged.not_all] if damaged.not_all else [])
        return 0
    first = _print_plan(states, planned, store)
    if damaged.not_all:
        console().print(damaged.not_all, highlight=False, soft_wrap=True)
    _print_aside(planned, console())
    if first is not None:
        _print_settings(first, planned.manifest, options.given, every=all_settings)
    if measured:
        from pipeline.commands.estimate import print_estimate  # loads torch, which takes seconds

        print_estimate(planned, options, store, others_slots)
    return 0


@dataclass(frozen=True)
class _State:
    """A job, whether it is done, and why it would run; empty where it would not."""

    job: Job
    done: bool
    why: str


def _states(jobs: Iterator[Job], planned: Plan, store: RunFolder) -> Iterator[_State]:
    """The jobs in order, each with what the run folder says of it."""
    shards, failures = shards_of(planned, store), store.failures()
    renamed = Stale(store)  # pictures of inputs with other names now, which a run takes along
    renamed.look(planned.names(), planned.formats, loose=not planned.shard_size)

    def state(job: Job) -> _State:
        if job.problem is not None:
            return _State(job, done=False, why="")
        done = shards.is_done(job)
        reason = "" if done else why(job, planned.manifest, store, failures, renamed)
        return _State(job, done, reason)

    return store.inside.each(jobs, state)


def _job_event(state: _State, store: RunFolder) -> dict[str, Any]:
    job = state.job
    return {
        "index": job.index,
        "name": job.name,
        "key": job.key,
        "done": state.done,
        "content": str(job.content.path),
        "style": {str(path): weight for path, weight in job.style.parts},
        "swept": dict(job.point),
        "settings": job.settings.model_dump(mode="json"),
        "image": str(store.image_path(job.name, job.settings)),
        **({"problem": str(job.problem)} if job.problem else {}),
        **({"why": state.why} if state.why else {}),
    }


def _print_plan(states: Iterator[_State], planned: Plan, store: RunFolder) -> Job | None:
    """Prints the plan; its first job."""
    first: Job | None = None
    problems: Counter[str] = Counter()
    reasons: Counter[str] = Counter()

    def marked() -> Iterator[tuple[Job, bool]]:
        nonlocal first
        for state in states:
            first = first or state.job
            if state.job.problem is not None:
                problems[str(state.job.problem)] += 1
            if state.why:
                reasons[state.why] += 1
            yield state.job, state.done

    counts = count_by(marked())
    shown = console()
    total = sum(each for each, _ in counts.get("content", {}).values())
    done = sum(finished for _, finished in counts.get("content", {}).values())
    jobs = counted(len(planned), "job")
    jobs = jobs if total == len(planned) else f"{total:,} of {jobs}"
    title = f"{jobs} into {store.path}"
    from rich.table import Table  # here alone: it takes a while to load

    table = Table("axis", "value", "jobs", "done", title=title)
    for axis, rows in counts.items():
        for number, (value, (each, finished)) in enumerate(rows.items()):
            if number == _MOST_VALUES:
                table.add_row("", f"... and {len(rows) - _MOST_VALUES} more", "", "")
                break
            table.add_row("" if number else axis, value, str(each), str(finished))
    shown.print(table)
    left = total - done - problems.total()
    shown.print(f"{jobs}, {done} done, {left} to run")
    _print_reasons(reasons, problems, shown)
    return first


def _print_reasons(reasons: Counter[str], problems: Counter[str], shown: Console) -> None:
    """Why jobs are to run, and why others cannot be made."""
    if set(reasons) - {"new"}:
        told = ", ".join(
            f"{count} {reason}" for reason, count in reasons.most_common(_MOST_PROBLEMS)
        )
        shown.print(f"to run: {told}", highlight=False, soft_wrap=True)
    for problem, count in problems.most_common(_MOST_PROBLEMS):
        said = f"{count} cannot be made: {problem}"
        shown.print(said, highlight=False, soft_wrap=True)
    if len(problems) > _MOST_PROBLEMS:
        rest = problems.total() - sum(n for _, n in problems.most_common(_MOST_PROBLEMS))
        shown.print(f"{rest} cannot be made for {len(problems) - _MOST_PROBLEMS} other reasons")


def _print_aside(planned: Plan, shown: Console) -> None:
    """What is no part of the plan."""
    if planned.excluded:
        shown.print(f"left out by exclude: {counted(planned.excluded, 'job')}", highlight=False)
    if planned.manifest.passed:
        shown.print(f"passed over: {planned.manifest.passed}", highlight=False)


def _print_settings(job: Job, manifest: Manifest, chosen: Collection[str], *, every: bool) -> None:
    """A table of the settings, but for swept ones.

    Args:
        manifest: whose network the job has, if its settings name none.
        chosen: names of those that the command line gave.
        every: also those that are as the preset has them.
    """
    swept = set(job.point)
    from rich.table import Table  # here alone: it takes a while to load

    table = Table("setting", "value", "from", title="settings of every job")
    preset = preset_values(job.settings.preset) or {}
    left_out = 0
    for name, value in job.settings.model_dump(mode="json").items():
        if name in swept:
            continue
        given = preset.get(name, Settings.model_fields[name].default)
        said = value if not isinstance(value, dict) else layer_text(value)
        source = f"preset {job.settings.preset}" if name in preset else "default"
        own = name == "backbone" or not _same(getattr(job.settings, name), given)
        source = "manifest" if own else source
        if name == "backbone":
            said = value_text(as_plain(manifest.network(value)))
        if own or every or name == "preset" or name in chosen:
            table.add_row(name, str(said), "--set" if name in chosen else source)
        else:
            left_out += 1
    console().print(table)
    if left_out:
        more = f"{left_out} other settings are as preset {job.settings.preset} has them"
        console().print(f"{more}; --settings shows them", highlight=False, soft_wrap=True)


def _same(value: object, given: object) -> bool:
    return value == given or json.dumps(value) == json.dumps(given)
