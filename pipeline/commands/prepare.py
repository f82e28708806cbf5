"""From a valid manifest to its jobs: what `nst plan` shows and `nst batch` runs.

In: a manifest. Out: a plan. Must not load torch, but where a key needs it: the normalized variant,
and weight files that torch pickled.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.commands.backbone import keep_backbone
from pipeline.commands.options import Options
from pipeline.errors import ManifestError, WeightsError
from pipeline.files import cache_folder
from pipeline.layers import LAYERS, LAYERS_OF, no_layers
from pipeline.manifest import (
    PRESET_VERSIONS,
    WEIGHT_SOURCES,
    Manifest,
    Settings,
    preset_values,
    preset_version,
)
from pipeline.method import inspect_weights
from pipeline.notices import Notice
from pipeline.pictures import video_package
from pipeline.plan import Plan, check_names, with_frames
from pipeline.store import RunFolder
from pipeline.version import ALGORITHM, NAMING

Digests = Mapping[bool, str]


def find_digests(manifest: Manifest, options: Options, store: RunFolder, *, keep: bool) -> Digests:
    """The digest of the weights as jobs use them: plain (False) and, if used, normalized (True).

    Args:
        keep: store the means of the normalized variant in the run folder, where it is used.

    Raises:
        WeightsError: the weights are missing or damaged, or lack a layer that a job asks for.
    """
    asked = layers_asked_for(manifest)
    named = f"backbone {manifest.backbone}"
    # Before weights are looked for; an unknown name is told with them.
    _check_layers(named, asked, LAYERS_OF.get(manifest.backbone, asked))
    known = inspect_weights(
        manifest.backbone, manifest.weights, manifest.preprocessing, options.cache
    )
    _check_layers(f"{named} ({known.about})", asked, known.layers)
    digests = {False: known.digest}
    if needs_normalized(manifest):
        digests[True] = _normalized_digest(manifest, cache_folder(options.cache), store, keep=keep)
    return digests


def _check_layers(network: str, asked: Sequence[str], there: Sequence[str]) -> None:
    missing = [layer for layer in asked if layer not in there]
    if missing:
        raise WeightsError(no_layers(network, missing, there))


def keep_weights(manifest: Manifest, store: RunFolder) -> Manifest:
    """The manifest with the weights that its run began with, where it names none.

    Whatever comes into torch's cache meanwhile must not have a resumed run begin anew.
    """
    header = store.header()
    if manifest.weights is not None or header is None:
        return manifest
    kept = header.backbone
    if kept.name != manifest.backbone or kept.weights not in WEIGHT_SOURCES:
        return manifest
    return replace(manifest, weights=kept.weights)


def keep_presets(manifest: Manifest, store: RunFolder) -> Manifest:
    """The manifest with the versions of its presets that its run began with.

    Raises:
        ManifestError: it began with a version that this nst does not have.
    """
    header = store.header()
    if header is None:
        return manifest
    kept: dict[str, str] = {}
    told = []
    for preset in sorted(_presets_of(manifest)):
        version, today = header.presets.get(preset, 1), preset_version(preset)
        if "@" in preset or version == today:
            continue
        kept[preset] = f"{preset}@{version}"
        began = f"{store.path}: began with version {version} of preset {preset}"
        anew = f"write `preset: {preset}@{today}` to have every job made anew"
        if preset_values(kept[preset]) is None:
            raise ManifestError(
                [
                    f"{began}, which this nst does not have; go on with the nst that began it, "
                    f"or {anew}"
                ]
            )
        told.append(Notice("older_preset", f"{began} and goes on with it; {anew}"))
    return replace(manifest, presets=kept, warnings=(*manifest.warnings, *told))


def keep_names(manifest: Manifest, store: RunFolder) -> Manifest:
    """The manifest with the naming of outputs that its run began with, and its styles' names.

    Raises:
        ManifestError: the run began with a naming that this nst does not have.
    """
    header = store.header()
    if header is None:
        return manifest
    if header.naming > NAMING:
        raise ManifestError(
            [
                f"{store.path}: began with version {header.naming} of output names, which this nst "
                f"does not have; go on with the nst that began it, or choose another `output`"
            ]
        )
    return replace(manifest, naming=header.naming, style_names=header.style_names)


def keep_all(manifest: Manifest, options: Options, store: RunFolder) -> Manifest:
    """The manifest with all that its run began with: backbone, weights, presets, names.

    Raises:
        ManifestError: the run began with a version that this nst does not have.
    """
    manifest = keep_weights(keep_backbone(manifest, options, store), store)
    return keep_names(keep_presets(manifest, store), store)


def _presets_of(manifest: Manifest) -> set[str]:
    """The presets from which any job starts, as the manifest names them."""
    every = manifest.axes.get("preset", (manifest.settings.get("preset", "default"),))
    own = [pair.settings["preset"] for pair in manifest.pairs if "preset" in pair.settings]
    return {*every, *own}


def presets_begun_with(store: RunFolder) -> dict[str, int]:
    """The versions of presets that a run folder goes on with; today's for a new one."""
    header = store.header()
    return dict(PRESET_VERSIONS) if header is None else dict(header.presets)


def decode_clips(manifest: Manifest, options: Options, tell: Callable[[str], None]) -> Manifest:
    """The manifest with the frames of its videos, decoded where that was not done before.

    Raises:
        ManifestError: a video is damaged.
        MissingPackageError: clips, but not the packages for them.
        RunFolderError: the cache cannot be written.
    """
    if all(content.clip is None for content in manifest.contents):
        return manifest
    for module in ("av", "cv2"):
        video_package(module)  # told now, not when the first frame is done
    return with_frames(manifest, cache_folder(options.cache).resolve(), tell)


def plan_jobs(manifest: Manifest, options: Options, digests: Digests) -> Plan:
    """The jobs of a manifest.

    Raises:
        ManifestError: more jobs than `options.max_jobs`, or several under one name.
    """
    plan = Plan(manifest, lambda s: digests[s.normalized], ALGORITHM, options.max_jobs)
    if manifest.form.name is not None:
        check_names(plan)
    return plan


def notices_of_plan(plan: Plan) -> list[Notice]:
    """What a person should know of a plan before it is run."""
    manifest = plan.manifest
    if not manifest.exclude:
        return []
    return [
        Notice("excludes_nothing", f"{manifest.path}: exclude: {entry!r} names no job")
        for entry in plan.excluding_nothing
    ]


def layers_asked_for(manifest: Manifest) -> list[str]:
    """All layers that the losses of any job look at, in the network's order."""
    swept = {name: values for name, values in manifest.axes.items() if name in _LAYERED}
    wanted: set[str] = set()
    of_all: list[dict[str, object]] = [{}] if manifest.contents and manifest.styles else []
    for pair in (*of_all, *_distinct(_only(pair.settings) for pair in manifest.pairs)):
        plain = {**manifest.settings, **pair}
        own = {name: plain[name] for name in _LAYERED if name in plain}
        for values in itertools.product(*swept.values()):
            chosen = {**own, **dict(zip(swept, values, strict=True)), **pair}
            wanted.update(Settings.model_validate(manifest.with_versions(chosen)).layers)
    return [layer for layer in LAYERS if layer in wanted]


_LAYERED = ("preset", "content_layers", "style_layers", "neighbor_weight")


def _distinct(many: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    return list({repr(sorted(one.items())): one for one in many}.values())


def _only(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in settings.items() if name in _LAYERED}


def needs_normalized(manifest: Manifest) -> bool:
    """Whether any job goes through the normalized network."""
    swept = manifest.axes.get("normalized", ())
    presets = manifest.axes.get("preset", (manifest.settings.get("preset", "default"),))
    named = [(preset_values(p) or {}).get("normalized", False) for p in presets]
    chosen = [manifest.settings["normalized"]] if "normalized" in manifest.settings else named
    # No version of a preset differs from another in this.
    own = [Settings.model_validate(pair.settings).normalized for pair in manifest.pairs]
    return any(swept or chosen) or any(own)


def _normalized_digest(manifest: Manifest, cache: Path, store: RunFolder, *, keep: bool) -> str:
    # Here alone: most plans need no torch, and it takes seconds to load.
    from pipeline.method import load_weights
    from pipeline.store import find_means, load_means, means_made_for, normalized, save_means

    weights = load_weights(manifest.backbone, manifest.weights, manifest.preprocessing, cache)
    if store.inside.is_file(store.means) and means_made_for(store.means) in ("", weights.digest):
        means = load_means(store.means)
    else:
        means = find_means(weights, pictures_to_normalize_by(manifest), cache.resolve())
        if keep:
            save_means(store.inside.writable(store.means), means, weights.digest)
            store.inside.send(store.means)
    return normalized(weights, means).digest


def pictures_to_normalize_by(manifest: Manifest) -> list[Path]:
    """The manifest's pictures, for the normalized variant: contents, then styles."""
    frames = (frame for content in manifest.contents for frame in content.frames)
    contents = [frame.path for frame in itertools.islice(frames, 32)]
    styles = [path for style in manifest.styles for path, _ in style.parts][:32]
    return contents + styles
