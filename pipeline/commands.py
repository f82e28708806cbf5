"""What each command does: from a command's arguments to the stages and back to text.

The command line parses and calls one function here; each prints its result and returns nothing, or
returns an exit code. Errors are raised, not printed.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline import __version__
from pipeline.backbone import LITE_FILE, NAMES, Backbone, Weights, load_weights, vgg19_path
from pipeline.best import by_pair, pairs_manifest, score_pair
from pipeline.board import summary_writer, write_board
from pipeline.engines import Patience
from pipeline.errors import (
    EngineError,
    ImageError,
    ManifestError,
    NstError,
    RunFolderError,
    WeightsError,
)
from pipeline.files import write_atomic
from pipeline.images import check_depth, check_header, file_sha256
from pipeline.manifest import (
    DEFAULT_MAX_JOBS,
    Manifest,
    Output,
    Picture,
    Sample,
    Style,
    json_schema,
    load_manifest,
    nearest,
    parse_value,
    settings_problems,
)
from pipeline.memory import PROCESS_BYTES, budget, step_bytes
from pipeline.mirror import mirror_others
from pipeline.outputs import versions
from pipeline.pairs import write_map
from pipeline.plan import Job, Plan, count_by
from pipeline.progress import Progress, duration, make_progress
from pipeline.report import build_report
from pipeline.schedule import (
    ENGINES,
    RunOptions,
    Summary,
    available_cores,
    find_slots,
    measure,
    run_plan,
    share_cpu,
    threads_per_slot,
)
from pipeline.settings import NOT_FOR_LITE, PRESET_HELP, PRESETS, Settings
from pipeline.shards import Shards
from pipeline.sheet import make_sheet
from pipeline.store import RunFolder, RunLock
from pipeline.stylize import ALGORITHM
from pipeline.targets import (
    cache_folder,
    find_means,
    load_means,
    normalisation_cache,
    normalised,
    save_means,
    targets_cache,
)
from pipeline.tune import best_layout, keep_layout, kept_workers, measure_layouts
from pipeline.worker import RunContext

_WATCH_EVERY_S = 2.0
_NAMES_SHOWN = 10
# A page holds all records in memory while it is made: of more jobs only when asked for.
_REPORTED = 50_000


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
    """

    devices: str = "auto"
    cache: Path | None = None
    max_jobs: int = DEFAULT_MAX_JOBS
    run: RunOptions = field(default_factory=RunOptions)
    checkpoint_every_s: float = 0.0
    compiles: bool = False


# --- what a run needs -----------------------------------------------------------------------------


def _needs_normalised(manifest: Manifest) -> bool:
    swept = manifest.axes.get("normalised", ())
    presets = manifest.axes.get("preset", (manifest.settings.get("preset", "default"),))
    named = [PRESETS[p].get("normalised", False) for p in presets]
    chosen = [manifest.settings["normalised"]] if "normalised" in manifest.settings else named
    own = [Settings.model_validate(pair.settings).normalised for pair in manifest.pairs]
    return any(swept or chosen) or any(own)


def prepare(
    manifest: Manifest, options: Options, store: RunFolder, *, keep: bool
) -> tuple[Plan, RunContext, Weights]:
    """The plan, what workers need, and the weights.

    Args:
        keep: store the normalisation vector in the run folder.
    """
    weights = load_weights(manifest.backbone, manifest.weights)
    digests = {False: weights.digest}
    cache = cache_folder(options.cache).resolve()
    means_file = store.path / "normalisation.safetensors"
    if _needs_normalised(manifest):
        if means_file.exists():
            means = load_means(means_file)
        else:
            means = find_means(weights, _pictures(manifest), cache)
            if keep:
                save_means(means_file, means)
        digests[True] = normalised(weights, means).digest
    plan = Plan(manifest, lambda s: digests[s.normalised], ALGORITHM, options.max_jobs)
    slots = find_slots(options.devices)
    if options.devices == "auto" and options.run.engine == "local":
        workers = kept_workers(cache, available_cores())
        slots = share_cpu(slots, len(plan), _job_bytes(manifest, weights), workers)
    context = RunContext(
        run=store.path,
        cache=cache,
        backbone=manifest.backbone,
        weights=manifest.weights,
        means=means_file if True in digests else None,
        part=store.part,
        slots=slots,
        threads=threads_per_slot(slots),
        devices=options.devices,
        checkpoint_every_s=options.checkpoint_every_s,
        compiles=options.compiles,
    )
    return plan, context, weights


def _job_bytes(manifest: Manifest, weights: Weights) -> float:
    """Memory that a step of the largest job takes, counted: square, in float32."""
    settings = Settings.model_validate(manifest.settings)
    sizes = manifest.axes.get("size") or (settings.size,)
    side = max(max(map(int, str(size).lower().split("x"))) for size in sizes)
    layers = [layer for layer in settings.layers if layer in weights.convs]
    if not layers:
        return 0.0  # told as an error when the network is made
    return step_bytes(Backbone(weights, layers), side * side)


def _pictures(manifest: Manifest) -> list[Path]:
    """The manifest's pictures, for the normalised variant: contents and styles by turns."""
    contents = [c.path for c in manifest.contents[:32]]
    styles = [path for style in manifest.styles for path, _ in style.parts][:32]
    return contents + styles


def _header(
    manifest: Manifest, plan: Plan, context: RunContext, weights: Weights
) -> dict[str, Any]:
    return {
        "schema": 1,
        "manifest": str(manifest.path),
        "jobs": len(plan),
        "pairs": plan.pair_count,
        "contents": len(manifest.contents),
        "styles": len(manifest.styles),
        "grid": {name: list(values) for name, values in manifest.axes.items()},
        "settings": dict(manifest.settings),
        "backbone": {
            "name": manifest.backbone,
            "weights": str(manifest.weights) if manifest.weights else None,
            "weights_sha256": weights.digest,
        },
        "algorithm": ALGORITHM,
        "versions": versions(),
        "devices": list(context.slots),
    }


def run_manifest(manifest: Manifest, options: Options, progress: Progress) -> Summary:
    """Runs a valid manifest into its run folder, under the folder's lock.

    Raises:
        NstError: what keeps the whole run from beginning; a job's own error is in the summary.
    """
    store = RunFolder(manifest.output, options.run.part)
    Plan(manifest, lambda s: "", ALGORITHM, options.max_jobs)  # refuses absurd plans at once
    with RunLock(store) as lock:
        if lock.taken_over:
            progress.warn(f"going on where {lock.taken_over} ended without notice")
        plan, context, weights = prepare(manifest, options, store, keep=True)
        check_settings_here(manifest)
        _warn_of_weights(manifest, progress)
        store.begin(manifest.text, _header(manifest, plan, context, weights))
        _write_beside(manifest, plan, store)
        return run_plan(plan, context, progress, options.run)


def check_settings_here(manifest: Manifest) -> None:
    """Whether what the manifest asks for can be had on this machine.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    own = [{}, *(pair.settings for pair in manifest.pairs)]
    depths = [s["depth"] for s in (manifest.settings, *own) if "depth" in s]
    if 16 in (*depths, *manifest.axes.get("depth", ())):
        formats = [s["format"] for s in (manifest.settings, *own) if "format" in s]
        for format in {*formats, *manifest.axes.get("format", ())} or {"png"}:
            if format in ("png", "tiff"):
                check_depth(format)


def _warn_of_weights(manifest: Manifest, progress: Progress) -> None:
    """Says so where a preset's weights are for another network."""
    given = {*manifest.settings, *manifest.axes}
    if manifest.backbone != "lite" or given & {"content_weight", "style_weight", "tv_weight"}:
        return
    for preset in manifest.axes.get("preset", (manifest.settings.get("preset"),)):
        if preset in NOT_FOR_LITE:
            progress.warn(
                f"preset {preset} has weights for VGG-19; with lite set {NOT_FOR_LITE[preset]}"
            )


def _write_beside(manifest: Manifest, plan: Plan, store: RunFolder) -> None:
    """The map of a draw, and the dataset's other files; of a run in parts the first one's work."""
    if store.part and not store.part.startswith("1-of-"):
        return
    if isinstance(manifest.pairing, Sample):
        pairs = (
            (content.path, _as_written(style), content.label, content.mask)
            for content, style in plan.drawn_pairs()
        )
        write_map(store.path / "pairs.csv", pairs, store.temporary)
    how = manifest.form.others
    if how != "none":
        folders = manifest.folders
        if not folders:
            raise ManifestError(
                [f"{manifest.path}:1: output.others: {how}: `content` names no folder"]
            )
        mirror_others(folders, store.images, how, store.temporary, store.path)


def _as_written(style: Style) -> Any:
    """A style as a map of pairs has it: a path, or a blend."""
    paths = [str(path) for path, _ in style.parts]
    if style.regions:
        return {"name": style.label, "regions": dict(zip(style.regions, paths, strict=True))}
    if len(paths) == 1:
        return paths[0]
    return {"name": style.label, "blend": {str(path): weight for path, weight in style.parts}}


# --- batch ----------------------------------------------------------------------------------------


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


def batch(
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


# --- report ---------------------------------------------------------------------------------------


def report(run: Path) -> int:
    """Writes a run's page and says where it is.

    Raises:
        RunFolderError: no run in this folder, or it cannot be written.
    """
    store = _existing_run(run)
    built = build_report(store)
    print(f"{built.path}: {built.jobs} jobs")
    for reason in built.left_out:
        print(f"left out: {reason}")
    return 0


def sheet(run: Path, rows: str, cols: str, output: Path, tile: int, other: Path | None) -> int:
    """Writes a run's contact sheet and says where it is."""
    _existing_run(run)
    if other:
        _existing_run(other)
    print(make_sheet(run, rows, cols, output, tile, other))
    return 0


def best(run: Path, balance: float, output: Path | None, show: int, *, as_json: bool) -> int:
    """Prints each pair's jobs by score, the best first, and writes a manifest of the winners.

    Args:
        balance: how many units of content loss a unit of style loss is worth.
        output: of the manifest; `best.yaml` in the run folder if None.
        show: how many jobs of each pair to print; 0 prints all.
    """
    store = _existing_run(run)
    records = list(store.records())
    if not records:
        raise ManifestError([f"{run}: no pictures there; run the manifest first"])
    settings = Settings()
    backbone = Backbone(load_weights("lite"), settings.layers, settings.pooling, settings.padding)
    ranked = [score_pair(run, group, backbone, balance) for group in by_pair(records)]
    about = _backbone_of(store, records[0])
    manifest = output or store.path / "best.yaml"
    text = pairs_manifest([jobs[0].record for jobs in ranked], store.path.resolve() / "best", about)
    write_atomic(manifest, text.encode())
    if as_json:
        for jobs in ranked:
            for rank, scored in enumerate(jobs, 1):
                row = {"rank": rank, "name": scored.record["name"], "score": scored.score}
                _print_json(row | {"content": scored.content, "style": scored.style})
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("rank", "score", "content", "style"):
        table.add_column(name, justify="right")
    table.add_column("job", overflow="fold")
    for jobs in ranked:
        for rank, scored in enumerate(jobs[: show or None], 1):
            figures = (f"{v:.3f}" for v in (scored.score, scored.content, scored.style))
            table.add_row(str(rank), *figures, Text(scored.record["name"]))
        table.add_section()
    Console().print(table)
    print(f"the best of each pair: {manifest}")
    return 0


def _backbone_of(store: RunFolder, record: Mapping[str, Any]) -> dict[str, Any]:
    try:
        about = json.loads((store.path / "plan.json").read_bytes())["backbone"]
    except (OSError, ValueError, KeyError):
        about = record["backbone"]
    return dict(about)


def _existing_run(run: Path) -> RunFolder:
    """The run in a folder.

    Raises:
        RunFolderError: there is none.
    """
    store = RunFolder(run)
    if not store.summaries():
        raise RunFolderError(f"{run}: no run.json there; name the `output` folder of a manifest")
    return store


# --- status ---------------------------------------------------------------------------------------


def status(run: Path, *, as_json: bool, watch: bool = False) -> int:
    """Prints how far a run is, live or dead; returns 1 if jobs failed, else 0.

    Args:
        watch: show it anew every two seconds until the run has ended.

    Raises:
        RunFolderError: no run in this folder.
    """
    store = _existing_run(run)
    if as_json:
        slots = store.slots()
        failed = list(_open_failures(store).values())
        _print_json({"runs": store.summaries(), "failed": failed, "slots": slots})
        return int(bool(failed))
    if watch:
        with Live(console=Console(), auto_refresh=False, vertical_overflow="crop") as live:
            while not all(summary["ended"] for summary in store.summaries().values()):
                live.update(Text("\n".join(_status_text(store)), no_wrap=True), refresh=True)
                time.sleep(_WATCH_EVERY_S)
            live.update(Text(""), refresh=True)
    print("\n".join(_status_text(store)))
    return int(bool(_open_failures(store)))


def _open_failures(store: RunFolder) -> dict[str, dict[str, Any]]:
    """Failures of jobs that have not been done since."""
    return {n: f for n, f in store.failures().items() if not store.record_path(n).exists()}


def _status_text(store: RunFolder) -> Iterator[str]:
    for part, summary in store.summaries().items():
        yield from _status_lines(part, summary)
        if not summary["ended"] and summary["images_per_hour"]:
            left = summary["jobs"] - summary["done"] - summary["already_done"] - summary["failed"]
            hours = left / summary["images_per_hour"]
            yield f"{left} left, about {duration(3600 * hours)}"
        if summary.get("next"):
            yield f"next: {', '.join(summary['next'])}, ..."
    for state in store.slots():
        yield _slot_line(state)
    reasons: dict[str, list[str]] = {}
    for failure in _open_failures(store).values():
        reasons.setdefault(failure["error"], []).append(failure["name"])
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        yield f"{len(names)} failed: {reason}"
        yield from (f"    {name}" for name in names[:_NAMES_SHOWN])
        if len(names) > _NAMES_SHOWN:
            yield f"    and {len(names) - _NAMES_SHOWN} more"


def _status_lines(part: str, summary: dict[str, Any]) -> Iterator[str]:
    name = f"shard {part}: " if part else ""
    finished = summary["done"] + summary["already_done"]
    state = "ended" if summary["ended"] else "running, or died without notice"
    state = "stopped" if summary["stopped"] else state
    yield f"{name}{finished} of {summary['jobs']} jobs done; {state} {summary['updated']}"
    if summary["problem"]:
        yield f"{name}ended early: {summary['problem']}"
    for run in [*summary["earlier"], summary]:
        if run["done"] or run["failed"]:
            yield (
                f"{name}{run['started']}: {run['done']} done, {run['failed']} failed, "
                f"{run['images_per_hour']:.0f} images/hour, slots busy "
                f"{100 * run['utilisation']:.0f}% of {duration(run['seconds'])}"
            )


def _slot_line(state: dict[str, Any]) -> str:
    step = f" step {state['step']}/{state['steps']}" if "step" in state else ""
    ago = duration(max(0.0, time.time() - state["time"]))
    return (
        f"slot {state['slot']} ({state['device']}, process {state['pid']} on {state['host']}): "
        f"{state['phase']}{step} of {state['jobs']} jobs, {state['job']}, {ago} ago"
    )


# --- plan -----------------------------------------------------------------------------------------


def plan(manifest_path: Path, options: Options, *, as_json: bool, measured: bool) -> int:
    """Prints what would run; with `measured`, how long it would take."""
    manifest = load_manifest(manifest_path)
    store = RunFolder(manifest.output)
    planned, context, weights = prepare(manifest, options, store, keep=False)
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


# --- one pair -------------------------------------------------------------------------------------


def parse_settings(assignments: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as settings; values are written as in a manifest.

    Raises:
        ManifestError: no `=`, an unknown key, or a value out of range.
    """
    values: dict[str, Any] = {}
    problems = []
    for word in assignments:
        key, equals, text = word.partition("=")
        if not equals:
            problems.append(f"--set {word}: write key=value")
        elif key in values:
            problems.append(f"--set {word}: {key} is set twice")
        else:
            values[key] = parse_value(text)
    for position, message in settings_problems(values):
        name = ".".join(map(str, position))
        problems.append(f"--set {name}: {message}")
    if not problems:
        problem = Settings.model_validate(values).problem()
        problems += [f"--set: {problem}"] if problem else []
    if problems:
        raise ManifestError(problems)
    return values


def run_pair(
    content: Path,
    style: Path,
    output: Path,
    settings: dict[str, Any],
    backbone: str,
    weights: Path | None,
    options: Options,
    *,
    quiet: bool = False,
) -> int:
    """Stylizes one pair into `output`, with the record beside it; returns the exit code."""
    formats = {
        ".png": "png",
        ".jpg": "jpg",
        ".jpeg": "jpg",
        ".webp": "webp",
        ".tif": "tiff",
        ".tiff": "tiff",
    }
    if output.suffix.lower() not in formats:
        raise ImageError(f"{output}: the suffix must be one of {', '.join(formats)}")
    settings = {**settings, "format": formats[output.suffix.lower()]}
    problem = Settings.model_validate(settings).problem()
    if problem:
        raise ManifestError([problem])
    for path in (content, style):
        check_header(path)
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".nst-", dir=output.parent))
    try:
        manifest = Manifest(
            path=Path("nst run"),
            text="",
            output=folder,
            contents=(Picture(content.resolve(), content.stem),),
            styles=(Style(style.stem, ((style.resolve(), 1.0),)),),
            pairing="product",
            pairs=(),
            paired=(1, 1),
            backbone=backbone,
            weights=weights,
            settings=settings,
            axes={},
            folders=(),
            form=Output.model_validate({"path": str(folder)}),
        )
        inline = replace(options, run=replace(options.run, engine="inline"))
        summary = run_manifest(manifest, inline, make_progress(quiet=quiet))
        if summary.done:
            _move_result(RunFolder(folder), output)
            if not quiet:
                print(f"{output} ({duration(summary.seconds)})")
        return summary.exit_code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_result(store: RunFolder, output: Path) -> None:
    for record in store.records():
        picture = store.path / record["output"]["path"]
        frames = store.frames / record["name"]
        record["output"]["path"] = output.name
        record["name"] = output.stem
        try:
            if "animation" in record:
                animation = store.path / record["animation"]
                record["animation"] = f"{output.stem}-animation{animation.suffix}"
                animation.replace(output.with_name(record["animation"]))
            if frames.is_dir():
                kept = output.with_name(f"{output.stem}-frames")
                shutil.rmtree(kept, ignore_errors=True)
                frames.replace(kept)
            picture.replace(output)
            output.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
        except OSError as error:
            raise RunFolderError(f"{output}: cannot be written ({error.strerror})") from error


# --- looking things up ----------------------------------------------------------------------------


def schema() -> None:
    """Prints the manifest's JSON Schema."""
    print(json.dumps(json_schema(), indent=1))


def presets(name: str | None, *, markdown: bool = False) -> None:
    """Prints the presets, or all resolved settings of one, perhaps as a Markdown table."""
    if name is None:
        table = Table("preset", "what it is for", "settings that differ from the default's")
        for preset, values in PRESETS.items():
            differing = ", ".join(f"{k}: {v}" for k, v in values.items()) or "-"
            table.add_row(preset, PRESET_HELP[preset], differing)
        Console().print(table)
        return
    if name not in PRESETS:
        raise ManifestError([f"{name!r} is not a preset; known are {', '.join(PRESETS)}"])
    rows = list(_setting_rows(name))
    if markdown:
        print("| setting | value | unit | range | what it is |\n| --- | --- | --- | --- | --- |")
        for row in rows:
            print(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |")
        return
    table = Table("setting", "value", "unit", "range", "what it is", title=f"preset {name}")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _setting_rows(preset: str) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, value, unit, range and help of every setting of a preset."""
    settings = Settings.model_validate({"preset": preset})
    for key, value in settings.model_dump(mode="json").items():
        field = Settings.model_fields[key]
        extra = field.json_schema_extra
        unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
        shown = _layer_text(value) if isinstance(value, dict) else str(value)
        yield key, shown, unit, _range(key), field.description or ""


def _range(key: str) -> str:
    """A setting's range or choices, from its schema."""
    schema = Settings.model_json_schema()["properties"][key]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None and high is None:
        return ""
    left = ">" if "exclusiveMinimum" in schema else ""
    right = "<" if "exclusiveMaximum" in schema else ""
    return f"{left}{_plain(low)} .. {right}{_plain(high)}"


def _plain(number: float) -> str:
    """A limit as people write it."""
    if number >= 1e9:
        power = math.log2(number)
        return f"2^{power:g}" if power.is_integer() else f"{number:g}"
    return f"{number:g}" if isinstance(number, float) else str(number)


def tune(folder: Path | None) -> None:
    """Measures how to share out the CPU's cores, prints it, and keeps it for later runs."""
    cores, cache = available_cores(), cache_folder(folder)
    print(f"{cores} cores; steps a second with lite at 256 px:")
    layouts = []
    for layout in measure_layouts(cores):
        layouts.append(layout)
        print(f"  {layout.workers} x {layout.threads} threads: {layout.steps:.1f}", flush=True)
    best = best_layout(layouts)
    keep_layout(cache, cores, best)
    print(f"later runs on the CPU take {best.workers} workers (kept in {cache})")


def clean(run: Path) -> None:
    """Deletes frames and checkpoints of a run that is not running, and says how much it was.

    Raises:
        RunFolderError: no run folder, or one in use.
    """
    store = RunFolder(run)
    if not (run / "plan.json").is_file():
        raise RunFolderError(f"{run}: no run folder (no plan.json in it); check the path")
    with RunLock(store):
        folders = (store.frames, store.state / "checkpoints")
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(files)} files of {size / 2**20:.1f} MiB deleted")


def cache_info(folder: Path | None) -> None:
    """Prints where the cache is and what is in it."""
    root = cache_folder(folder)
    print(f"cache folder: {root}")
    for name, cache in (
        ("style targets", targets_cache),
        ("normalisation", normalisation_cache),
    ):
        files = cache(root).files()
        size = sum(path.stat().st_size for path in files)
        print(f"{name}: {len(files)} files, {size / 1e6:.1f} MB")


def cache_clear(folder: Path | None) -> None:
    """Deletes what is in the cache."""
    root = cache_folder(folder)
    cleared = [cache(root).clear() for cache in (targets_cache, normalisation_cache)]
    files, size = (sum(column) for column in zip(*cleared, strict=True))
    print(f"deleted {files} files, {size / 1e6:.1f} MB, from {root}")


def weights_list() -> None:
    """Prints which weights are there, where, with digests."""
    table = Table("backbone", "file", "SHA-256 of the file", "size")
    for name, path in (("vgg19", vgg19_path()), ("lite", LITE_FILE)):
        if path.exists():
            size = f"{path.stat().st_size / 1e6:.1f} MB"
            table.add_row(name, str(path), file_sha256(path)[:16] + "...", size)
        else:
            table.add_row(name, f"{path} (not there)", "-", "-")
    Console().print(table)
    if not vgg19_path().exists():
        print("fetch VGG-19's with: nst weights download vgg19")


def weights_download(name: str) -> None:
    """Fetches a backbone's weights ahead of time."""
    if name not in NAMES:
        raise WeightsError(f"{name!r} is not a backbone; known are {', '.join(NAMES)}")
    weights = load_weights(name)
    print(f"{name}: {weights.source}, weights digest {weights.digest}")


# --- distill --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DistillOptions:
    """What `distill` trains, and how.

    Attributes:
        precision: `auto`, `fp32` or `bf16`.
        widths: the student's channels from conv1_1 to conv5_1, separated by commas; None for its
            own.
        checkpoint_every_s: seconds between checkpoints.
    """

    steps: int
    seed: int
    precision: str
    device: str
    batch: int
    crop: int
    widths: str | None
    checkpoint_every_s: float


def _parse_widths(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if len(words) != 13 or not all(word.strip().isdigit() and int(word) > 0 for word in words):
        raise ManifestError([f"--widths {text}: 13 channel counts are needed, conv1_1 to conv5_1"])
    return tuple(int(word) for word in words)


def distill(
    teacher: str, images: Path, output: Path, options: DistillOptions, *, quiet: bool = False
) -> int:
    """Trains a student and writes it; a checkpoint beside it lets the same command go on."""
    from pipeline.distill import (
        WIDTHS,
        Recipe,
        Training,
        find_pictures,
        held_out_errors,
        save_student,
        split_pictures,
    )

    steps, seed = options.steps, options.seed
    training_set, held_out = split_pictures(find_pictures(images), seed)
    file = None if teacher == "vgg19" else Path(teacher)
    weights = load_weights("vgg19" if file is None else "lite", file)
    slot = find_slots(options.device)[0]
    recipe = Recipe(
        steps=steps,
        batch=options.batch,
        crop=options.crop,
        seed=seed,
        widths=_parse_widths(options.widths) if options.widths else WIDTHS,
        precision=_training_precision(options.precision, slot),
    )
    training = Training(recipe, weights, training_set, slot)
    checkpoint = output.with_suffix(".checkpoint")
    if checkpoint.exists():
        training.load_checkpoint(checkpoint)
        print(f"going on from step {training.step} of {steps} ({checkpoint})")
    saved = said = time.monotonic()
    for step in training.run():
        moment = time.monotonic()
        if not quiet and (moment - said > 5 or step.step in (1, steps)):
            said = moment
            errors = " ".join(f"{tap} {error:.3f}" for tap, error in step.errors.items())
            print(
                f"step {step.step}/{steps} loss {step.loss:.4f} errors {errors}",
                flush=True,
            )
        if moment - saved > options.checkpoint_every_s:
            saved = moment
            training.save_checkpoint(checkpoint)
    result = training.result()
    final = held_out_errors(result, weights, held_out)
    about = {
        "format": "nst backbone 1",
        "teacher_sha256": weights.digest,
        "recipe": recipe.__dict__,
        "held_out_errors": final,
        "pictures": len(training_set),
        "nst": __version__,
    }
    save_student(result, output, about)
    checkpoint.unlink(missing_ok=True)
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB")
    for tap, error in final.items():
        print(f"held-out error {tap}: {error:.4f}")
    return 0


def _training_precision(precision: str, device: str) -> str:
    """`auto` is bf16 where the hardware has it."""
    if precision != "auto":
        return precision
    import torch

    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "fp32"


def _print_json(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False), flush=True)
