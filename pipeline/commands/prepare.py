"""TODO."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError, RunFolderError
from pipeline.manifest import (
    DEFAULT_MAX_JOBS,
    NOT_FOR_LITE,
    PRESETS,
    Manifest,
    Sample,
    Settings,
    Style,
    write_map,
)
from pipeline.method import Backbone, Weights, load_weights
from pipeline.pictures import check_depth
from pipeline.plan import Plan
from pipeline.schedule import (
    Progress,
    RunOptions,
    Summary,
    available_cores,
    find_slots,
    kept_workers,
    run_plan,
    share_cpu,
    threads_per_slot,
)
from pipeline.slot import RunContext, step_bytes, versions
from pipeline.store import (
    RunFolder,
    RunLock,
    cache_folder,
    find_means,
    load_means,
    mirror_others,
    normalized,
    save_means,
)
from pipeline.version import ALGORITHM


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


def _needs_normalized(manifest: Manifest) -> bool:
    swept = manifest.axes.get("normalized", ())
    presets = manifest.axes.get("preset", (manifest.settings.get("preset", "default"),))
    named = [PRESETS[p].get("normalized", False) for p in presets]
    chosen = [manifest.settings["normalized"]] if "normalized" in manifest.settings else named
    own = [Settings.model_validate(pair.settings).normalized for pair in manifest.pairs]
    return any(swept or chosen) or any(own)


def prepare_run(
    manifest: Manifest, options: Options, store: RunFolder, *, keep: bool
) -> tuple[Plan, RunContext, Weights]:
    """The plan, what workers need, and the weights.

    Args:
        keep: store the normalization vector in the run folder.
    """
    weights = load_weights(manifest.backbone, manifest.weights)
    digests = {False: weights.digest}
    cache = cache_folder(options.cache).resolve()
    means_file = store.path / "normalisation.safetensors"  # as run folders have it
    if _needs_normalized(manifest):
        if means_file.exists():
            means = load_means(means_file)
        else:
            means = find_means(weights, _pictures(manifest), cache)
            if keep:
                save_means(means_file, means)
        digests[True] = normalized(weights, means).digest
    plan = Plan(manifest, lambda s: digests[s.normalized], ALGORITHM, options.max_jobs)
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
    """The manifest's pictures, for the normalized variant: contents and styles by turns."""
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
        plan, context, weights = prepare_run(manifest, options, store, keep=True)
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


def _print_json(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False), flush=True)
