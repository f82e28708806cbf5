"""Runs a valid manifest into its run folder: what `nst batch`, `nst run` and Python share.

In: a manifest and options. Out: a summary; pictures and records are in the run folder. Prints
nothing itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.address import Address, kept_secrets
from pipeline.commands.backbone import begun_with
from pipeline.commands.beside import check_case, write_beside
from pipeline.commands.means import means_file
from pipeline.commands.options import Options
from pipeline.commands.prepare import (
    Digests,
    decode_clips,
    find_digests,
    keep_all,
    networks_asked_for,
    notices_of_plan,
    plan_jobs,
    presets_begun_with,
)
from pipeline.commands.redo import take_back
from pipeline.errors import ImageError, ManifestError, RunFolderError
from pipeline.files import cache_folder, real
from pipeline.layers import NEIGHBOR_LAYERS
from pipeline.manifest import ORIGINAL, Manifest, Settings
from pipeline.method import Known, inspect_weights, shape_with
from pipeline.notices import TAKEN_OVER, Notice
from pipeline.pictures import check_depth, pyarrow, read_size
from pipeline.plan import Plan
from pipeline.remote import keep_downloads_in, trim_downloads
from pipeline.schedule import (
    ENGINES,
    Found,
    Progress,
    find_slots,
    kept_workers,
    run_plan,
    share_cpu,
    threads_per_slot,
)
from pipeline.slot import NetworkFiles, RunContext, available_cores, step_bytes
from pipeline.store import (
    CACHES,
    BackboneHeader,
    PlanHeader,
    RunFolder,
    RunLock,
    Summary,
    cache_limit,
    joining,
    kept_trimmed,
)
from pipeline.version import ALGORITHM, versions

_LOOKED_AT = 100  # content pictures whose sizes speak for all


def run_manifest(manifest: Manifest, options: Options, progress: Progress) -> Summary:
    """Runs a valid manifest into its run folder, under the folder's lock.

    Raises:
        NstError: what keeps the whole run from beginning; a job's own error is in the summary.
    """
    plan_jobs(manifest, options, None)  # refuses absurd plans at once
    limit = cache_limit()
    keep_downloads_in(options.cache, limit)
    _check_reach(manifest, options)
    with contextlib.ExitStack() as stack:
        with _part(manifest, options) as part:
            store = RunFolder(manifest.output, part)
            lock = stack.enter_context(RunLock(store))
        told = _Told(progress)
        if lock.taken_over:
            told.add(Notice(TAKEN_OVER, f"going on where {lock.taken_over} ended without notice"))
        manifest = keep_all(manifest, options, store)
        manifest = decode_clips(manifest, options, progress.warn)
        told.add(*manifest.warnings)
        plan, context, digests = prepare_run(manifest, options, store)
        told.add(*notices_of_plan(plan))
        _check_settings_here(manifest)
        check_case(plan, store)
        presets = presets_begun_with(store)
        header = _header(manifest, plan, context, digests, presets)
        store.begin(manifest.text, _with_begun(header, options, store).plain())
        write_beside(manifest, plan, store)
        first = not options.run.shares or store.part.startswith("1-")  # else another took them
        if options.run.redo and not take_back(plan, options.run, store) and first:
            told.add(Notice("nothing_redone", "--redo chose none of the jobs that are done"))
        if options.given:
            said = ", ".join(f"{name}={value}" for name, value in options.given.items())
            once = f"--set {said}: for this run; pictures of other settings are made anew"
            told.add(Notice("set_for_once", once))
        try:
            with kept_trimmed(context.cache / CACHES["style targets"], limit):
                return run_plan(plan, context, progress, options.run, told=told.notices)
        finally:
            trim_downloads(limit)


class _Told:
    """What was told before a run began, to be logged and counted once it has."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.notices: list[Notice] = []

    def add(self, *notices: Notice) -> None:
        """Tells."""
        for notice in notices:
            self._progress.warn(notice.text, notice.code)
        self.notices += notices


def _check_reach(manifest: Manifest, options: Options) -> None:
    """Whether the workers can reach what the manifest names.

    Raises:
        RunFolderError: they cannot.
    """
    within = isinstance(manifest.output, Address) and manifest.output.scheme == "memory"
    if within and options.run.engine != "inline":
        raise RunFolderError(
            f"{manifest.output}: is the memory of this process, which no worker sees; choose the "
            f"engine inline, or another `output`"
        )


def _part(manifest: Manifest, options: Options) -> contextlib.AbstractContextManager[str]:
    """The name of the part of the run that this process is.

    Raises:
        ManifestError: jobs that cannot be shared out.
        RunFolderError: a disk on which they cannot.
    """
    if not options.run.shares:
        return contextlib.nullcontext(options.run.part)
    why = ""
    if manifest.form.format != "files":
        why = f"format {manifest.form.format}, whose shards are each one process's"
    elif any(content.clip for content in manifest.contents):
        why = "clips, whose frames go on from each other"
    elif isinstance(manifest.output, Address):
        why = f"{manifest.output}, since a bucket has no locks"
    if why:
        raise ManifestError([f"--shard auto does not go with {why}; use --shard 1/n to n/n"])
    return joining(RunFolder(manifest.output))


def prepare_run(
    manifest: Manifest, options: Options, store: RunFolder
) -> tuple[Plan, RunContext, Digests]:
    """The jobs of a run, what its workers need, and the digests of the weights.

    Raises:
        NstError: no such device, no weights.
    """
    with ThreadPoolExecutor(1) as beside:  # GPUs take seconds to be examined
        found = beside.submit(find_run_slots, options)
        digests = find_digests(manifest, options, store, keep=True)
        plan = plan_jobs(manifest, options, digests)
        context = make_context(manifest, plan, options, store, found.result())
    return plan, context, digests


def find_run_slots(options: Options) -> Found:
    """The slots of a run on this machine; a cluster's workers examine their GPUs themselves.

    Raises:
        DeviceError: a device that is not there, or is asked for by name and cannot be used.
    """
    return find_slots(options.devices, examines=not ENGINES[options.run.engine].is_cluster)


def make_context(
    manifest: Manifest, plan: Plan, options: Options, store: RunFolder, found: Found
) -> RunContext:
    """What workers need to know, with the slots that this machine has for the plan.

    Raises:
        WeightsError: the weights are missing or damaged.
    """
    cache = cache_folder(options.cache).resolve()
    slots = found.slots
    if options.devices == "auto" and options.run.engine == "local":
        workers = kept_workers(cache, available_cores())
        largest = max(job_bytes_each(manifest, cache).values(), default=0.0)
        slots = share_cpu(slots, len(plan), largest, workers)
    networks = _networks(manifest, cache, store)
    own = networks.get("") or next(iter(networks.values()))
    return RunContext(
        run=store.path,
        cache=cache,
        backbone=own.backbone,
        weights=own.weights,
        means=own.means,
        part=store.part,
        slots=slots,
        left_out=found.left_out,
        threads=options.threads or threads_per_slot(slots),
        devices=options.devices,
        checkpoint_every_s=options.checkpoint_every_s,
        compiles=options.compiles,
        graphs=options.graphs,
        deterministic=options.deterministic,
        preprocessing=own.preprocessing,
        about_weights=own.about_weights,
        secrets=kept_secrets(),
        others={backbone: files for backbone, files in networks.items() if backbone},
    )


def _networks(manifest: Manifest, cache: Path, store: RunFolder) -> dict[str, NetworkFiles]:
    """The networks that a manifest's jobs go through, by `backbone_text`."""
    asked, found = networks_asked_for(manifest), {}
    for backbone, value in manifest.backbones.items():
        network = manifest.network(value)
        known = inspect_weights(*network, cache)
        means = None
        if backbone in asked and asked[backbone].normalized:
            means = means_file(store, known.digest, several=len(manifest.backbones) > 1)
        found[backbone] = NetworkFiles(
            network.name, known.choice, means, network.preprocessing, known.about
        )
    return found


def job_bytes_each(manifest: Manifest, cache: Path) -> dict[str, float]:
    """`job_bytes` of each network that a manifest's jobs go through, by `backbone_text`.

    Raises:
        WeightsError: the weights are missing or damaged.
    """
    return {
        backbone: job_bytes(manifest, inspect_weights(*manifest.network(value), cache))
        for backbone, value in manifest.backbones.items()
    }


def job_bytes(manifest: Manifest, known: Known) -> float:
    """Memory that a step of the largest job takes, counted: square, in float32.

    Args:
        known: of its network.
    """
    settings = Settings.model_validate(manifest.with_versions(manifest.settings))
    sizes = manifest.axes.get("size") or (settings.size,)
    side = max(_longest(size, settings, manifest) for size in sizes)
    layers = [layer for layer in settings.layers if layer in known.widths]
    if not layers:
        return 0.0  # told as an error when the network is made
    neighbors = settings.neighbor_weight > 0 and set(NEIGHBOR_LAYERS) <= set(layers)
    shape = shape_with(known.widths, known.heads, layers)
    pairs = settings.corrections if settings.optimizer == "lbfgs" else 0
    return step_bytes(shape, side * side, neighbors=neighbors, pairs=pairs)


def _longest(size: int | str, settings: Settings, manifest: Manifest) -> int:
    """The longer side of a size; of the pictures' own, of the first of them."""
    if size != ORIGINAL:
        return max(map(int, str(size).lower().split("x")))
    if settings.max_size:
        return settings.max_size
    sides = [1]
    for content in manifest.contents[:_LOOKED_AT]:
        with contextlib.suppress(ImageError):  # that job will fail by itself
            sides.append(max(read_size(content.path)))
    return max(sides)


def _header(
    manifest: Manifest,
    plan: Plan,
    context: RunContext,
    digests: Digests,
    presets: Mapping[str, int],
) -> PlanHeader:
    """What `plan.json` says of the run."""
    networks = _backbone_headers(manifest, context, digests)
    return PlanHeader(
        manifest=str(manifest.path),
        folder=str(real(manifest.path).parent),
        run=str(manifest.output),
        jobs=len(plan),
        pairs=len(plan.pairing),
        contents=len(manifest.contents),
        styles=len(manifest.styles),
        grid={name: list(values) for name, values in manifest.axes.items()},
        settings=dict(manifest.settings),
        backbone=networks[0].model_copy(update={"said": False}),
        backbones=networks if len(networks) > 1 else [],
        algorithm=ALGORITHM,
        versions=versions(),
        devices=list(context.slots),
        presets=dict(presets),
        naming=manifest.naming,
        style_names=plan.style_names,
    )


def _with_begun(header: PlanHeader, options: Options, store: RunFolder) -> PlanHeader:
    """The header of a run with `--set backbone` says what later runs without it go on with."""
    begun = begun_with(options, store)
    if begun is None:
        return header
    named = options.given["backbone"]
    said = isinstance(named, dict) and "weights" in named
    own = header.backbone.model_copy(update={"said": said})
    return header.model_copy(update={"begun": begun, "backbone": own})


def _backbone_headers(
    manifest: Manifest, context: RunContext, digests: Digests
) -> list[BackboneHeader]:
    """What `plan.json` says of each network, first of that whose name no setting says."""
    every = {**({"": context.own} if "" in manifest.backbones else {}), **context.others}
    return [
        BackboneHeader(
            name=files.backbone,
            weights=str(files.weights) if files.weights else None,
            weights_sha256=digests[backbone, False],
            preprocessing=files.preprocessing,
            about=files.about_weights,
            said=isinstance(value := manifest.backbones[backbone], dict) and "weights" in value,
        )
        for backbone, files in every.items()
    ]


def _check_settings_here(manifest: Manifest) -> None:
    """Whether what the manifest asks for can be had on this machine.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    if manifest.form.format == "parquet":
        pyarrow()
    own = [{}, *(pair.settings for pair in manifest.pairs)]
    depths = [s["depth"] for s in (manifest.settings, *own) if "depth" in s]
    if 16 in (*depths, *manifest.axes.get("depth", ())):
        formats = [s["format"] for s in (manifest.settings, *own) if "format" in s]
        for format in {*formats, *manifest.axes.get("format", ())} or {"png"}:
            if format in ("png", "tiff"):
                check_depth(format)
