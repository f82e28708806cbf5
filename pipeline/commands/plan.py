"""TODO."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.commands.prepare import Options, _job_bytes, _pictures, _print_json, prepare_run
from pipeline.manifest import PRESETS, Settings, load_manifest
from pipeline.method import Weights
from pipeline.plan import Job, Plan, count_by
from pipeline.schedule import duration, measure
from pipeline.slot import PROCESS_BYTES, RunContext, budget
from pipeline.store import RunFolder, Shards, find_means, save_means


def show_plan(manifest_path: Path, options: Options, *, as_json: bool, measured: bool) -> int:
    """Prints what would run; with `measured`, how long it would take."""
    manifest = load_manifest(manifest_path)
    store = RunFolder(manifest.output)
    planned, context, weights = prepare_run(manifest, options, store, keep=False)
    if as_json:
        shards = Shards(store, planned.shard_size)
        for job in planned.jobs():
            _print_json(_job_event(job, store, shards))
        return 0
    _print_plan(planned, store)
    if measured:
        _print_estimate(planned, store, context, weights)
    return 0


def _job_event(job: Job, store: RunFolder, shards: Shards) -> dict[str, Any]:
    return {
        "index": job.index,
        "name": job.name,
        "key": job.key,
        "done": shards.is_done(job),
        "content": str(job.content.path),
        "style": {str(path): weight for path, weight in job.style.parts},
        "swept": dict(job.point),
        "settings": job.settings.model_dump(mode="json"),
        "image": str(store.image_path(job.name, job.settings)),
    }


def _print_plan(planned: Plan, store: RunFolder) -> None:
    first: Job | None = None
    shards = Shards(store, planned.shard_size)

    def marked() -> Iterator[tuple[Job, bool]]:
        nonlocal first
        for job in planned.jobs():
            first = first or job
            yield job, shards.is_done(job)

    counts = count_by(marked())
    console = Console()
    table = Table("axis", "value", "jobs", "done", title=f"{len(planned)} jobs into {store.path}")
    done = sum(finished for _, finished in counts.get("content", {}).values())
    for axis, rows in counts.items():
        for number, (value, (total, finished)) in enumerate(rows.items()):
            if number == 20:
                table.add_row("", f"... and {len(rows) - 20} more", "", "")
                break
            table.add_row("" if number else axis, value, str(total), str(finished))
    console.print(table)
    console.print(f"{len(planned)} jobs, {done} done, {len(planned) - done} to run", markup=False)
    if first:
        _print_settings(first, console)


def _print_settings(job: Job, console: Console) -> None:
    swept = set(job.point)
    table = Table("setting", "value", "from", title="settings of every job, swept ones aside")
    preset = PRESETS[job.settings.preset]
    values = job.settings.model_dump(mode="json")
    for name, value in values.items():
        if name in swept:
            continue
        source = f"preset {job.settings.preset}" if name in preset else "default"
        given = preset.get(name, Settings.model_fields[name].default)
        shown = value if not isinstance(value, dict) else _layer_text(value)
        source = source if _same(getattr(job.settings, name), given) else "manifest"
        table.add_row(name, str(shown), source)
    console.print(table)


def _same(value: object, given: object) -> bool:
    return value == given or json.dumps(value) == json.dumps(given)


def _layer_text(weights: dict[str, float]) -> str:
    return ", ".join(f"{layer}: {weight:g}" for layer, weight in weights.items())


def _print_estimate(planned: Plan, store: RunFolder, context: RunContext, weights: Weights) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scratch = replace(context, run=Path(folder))
        if context.means and not context.means.exists():
            means = find_means(weights, _pictures(planned.manifest), context.cache)
            scratch = replace(scratch, means=Path(folder) / "means.safetensors")
            save_means(Path(folder) / "means.safetensors", means)
        seconds = measure(planned, store, scratch)
    if seconds is None:
        print("nothing to do")
    else:
        slots = ", ".join(context.slots)
        print(f"about {duration(seconds)} on {slots}, from a short trial of up to 3 jobs")
    if "cpu" in context.slots:
        job, allowed = _job_bytes(planned.manifest, weights), budget("cpu", len(context.slots))
        tiles = ", in tiles" if job > allowed else ""
        peak = (PROCESS_BYTES + min(job, allowed)) / 2**30
        print(f"at most {peak:.1f} GiB of memory a worker{tiles}, counted in fp32")
