"""`nst plan`: what would run, how much of it is done, how long it would take.

In: a manifest. Out: tables or JSON lines. Loads torch only for `--measure`, and where keys need it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands.again import given_manifest
from pipeline.commands.options import Options
from pipeline.commands.output import layer_text, print_json, print_warnings
from pipeline.commands.prepare import decode_clips, find_digests, keep_all, plan_jobs
from pipeline.commands.why import why
from pipeline.manifest import Settings, preset_values
from pipeline.plan import Choice, Job, Plan, count_by
from pipeline.store import RunFolder, Shards
from pipeline.terminal import console

if TYPE_CHECKING:
    from rich.console import Console

_MOST_VALUES = 20  # of an axis, in the table
_MOST_PROBLEMS = 10


def show_plan(manifest_path: Path, options: Options, *, as_json: bool, measured: bool) -> int:
    """Prints what would run; with `measured`, how long it would take."""
    _, manifest = given_manifest(manifest_path, options)
    store = RunFolder(manifest.output)
    store.check_inside()
    manifest = keep_all(manifest, options, store)
    manifest = decode_clips(manifest, options, lambda said: print_warnings([said]))
    print_warnings(manifest.warnings)
    if manifest.passed and as_json:
        print_warnings([f"passed over: {manifest.passed}"])
    planned = plan_jobs(manifest, options, find_digests(manifest, options, store, keep=False))
    if as_json:
        shards, failures = Shards(store, planned.shard_size), store.failures()
        for job in options.run.choice.jobs(planned):
            event = _job_event(job, store, shards)
            if not (event["done"] or job.problem):
                event["why"] = why(job, manifest, store, failures)
            print_json(event)
        return 0
    _print_plan(planned, options.run.choice, store)
    if measured:
        from pipeline.commands.estimate import print_estimate  # loads torch, which takes seconds

        print_estimate(planned, options, store)
    return 0


def _job_event(job: Job, store: RunFolder, shards: Shards) -> dict[str, Any]:
    return {
        "index": job.index,
        "name": job.name,
        "key": job.key,
        "done": job.problem is None and shards.is_done(job),
        "content": str(job.content.path),
        "style": {str(path): weight for path, weight in job.style.parts},
        "swept": dict(job.point),
        "settings": job.settings.model_dump(mode="json"),
        "image": str(store.image_path(job.name, job.settings)),
        **({"problem": str(job.problem)} if job.problem else {}),
    }


def _print_plan(planned: Plan, choice: Choice, store: RunFolder) -> None:
    first: Job | None = None
    shards = Shards(store, planned.shard_size)
    problems: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    failures = store.failures()

    def marked() -> Iterator[tuple[Job, bool]]:
        nonlocal first
        for job in choice.jobs(planned):
            first = first or job
            if job.problem is not None:
                problems[str(job.problem)] += 1
            done = job.problem is None and shards.is_done(job)
            if not done and job.problem is None:
                reasons[why(job, planned.manifest, store, failures)] += 1
            yield job, done

    counts = count_by(marked())
    shown = console()
    total = sum(each for each, _ in counts.get("content", {}).values())
    done = sum(finished for _, finished in counts.get("content", {}).values())
    chosen = "" if total == len(planned) else f" of {len(planned)}"
    title = f"{total}{chosen} jobs into {store.path}"
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
    shown.print(f"{total}{chosen} jobs, {done} done, {left} to run")
    if set(reasons) - {"new"}:
        told = ", ".join(
            f"{count} {reason}" for reason, count in reasons.most_common(_MOST_PROBLEMS)
        )
        shown.print(f"to run: {told}", highlight=False, soft_wrap=True)
    _print_problems(problems, shown)
    if planned.manifest.passed:
        shown.print(f"passed over: {planned.manifest.passed}", highlight=False)
    if first:
        _print_settings(first, shown)


def _print_problems(problems: Counter[str], shown: Console) -> None:
    for problem, count in problems.most_common(_MOST_PROBLEMS):
        said = f"{count} cannot be made: {problem}"
        shown.print(said, highlight=False, soft_wrap=True)
    if len(problems) > _MOST_PROBLEMS:
        rest = problems.total() - sum(n for _, n in problems.most_common(_MOST_PROBLEMS))
        shown.print(f"{rest} cannot be made for {len(problems) - _MOST_PROBLEMS} other reasons")


def _print_settings(job: Job, shown: Console) -> None:
    swept = set(job.point)
    from rich.table import Table  # here alone: it takes a while to load

    table = Table("setting", "value", "from", title="settings of every job, swept ones aside")
    preset = preset_values(job.settings.preset) or {}
    values = job.settings.model_dump(mode="json")
    for name, value in values.items():
        if name in swept:
            continue
        source = f"preset {job.settings.preset}" if name in preset else "default"
        given = preset.get(name, Settings.model_fields[name].default)
        said = value if not isinstance(value, dict) else layer_text(value)
        source = source if _same(getattr(job.settings, name), given) else "manifest"
        table.add_row(name, str(said), source)
    shown.print(table)


def _same(value: object, given: object) -> bool:
    return value == given or json.dumps(value) == json.dumps(given)
