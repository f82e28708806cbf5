"""From a valid manifest to its jobs: what `nst plan` shows and `nst batch` runs.

In: a manifest. Out: a plan. Must not load torch, but where a key needs it: the normalized variant,
and weight files that torch pickled.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.commands.backbone import keep_backbone
from pipeline.commands.means import normalized_digest
from pipeline.commands.options import Options
from pipeline.errors import ManifestError, WeightsError
from pipeline.files import cache_folder
from pipeline.layers import LAYERS, LAYERS_OF, no_layers
from pipeline.manifest import (
    PRESET_VERSIONS,
    WEIGHT_SOURCES,
    Manifest,
    Network,
    Settings,
    backbone_text,
    preset_values,
    preset_version,
)
from pipeline.method import inspect_weights
from pipeline.notices import Notice
from pipeline.pictures import video_package
from pipeline.plan import Plan, check_names, value_text, with_frames
from pipeline.store import RunFolder
from pipeline.version import ALGORITHM, NAMING

# By `backbone_text` and whether the normalized variant is meant.
Digests = Mapping[tuple[str, bool], str]


def find_digests(manifest: Manifest, options: Options, store: RunFolder, *, keep: bool) -> Digests:
    """The digest of each network's weights as jobs use them: plain and, if used, normalized.

    Args:
        keep: store the means of the normalized variant in the run folder, where it is used.

    Raises:
        ManifestError: two values of the grid are one network.
        WeightsError: the weights are missing or damaged, or lack a layer that a job asks for; of
            all networks at once.
    """
    digests: dict[tuple[str, bool], str] = {}
    problems: list[str] = []
    for backbone, asked in networks_asked_for(manifest).items():
        network = manifest.network(manifest.backbones[backbone])
        try:
            digests[backbone, False] = digest = _digest(network, asked, options)
            if asked.normalized:
                cache = cache_folder(options.cache)
                found = normalized_digest(network, digest, manifest, cache, store, keep=keep)
                digests[backbone, True] = found
        except WeightsError as error:
            problems.append(str(error))
    if problems:
        raise WeightsError("; and ".join(dict.fromkeys(problems)))
    _check_distinct(manifest, digests)
    return digests


def _digest(network: Network, asked: Asked, options: Options) -> str:
    """The plain digest of a network that has the layers that are asked of it."""
    named = f"backbone {network.name}"
    # Before weights are looked for; an unknown name is told with them.
    _check_layers(named, asked.layers, LAYERS_OF.get(network.name, asked.layers))
    known = inspect_weights(*network, options.cache)
    _check_layers(f"{named} ({known.about})", asked.layers, known.layers)
    return known.digest


def _check_distinct(manifest: Manifest, digests: Digests) -> None:
    """Whether the grid's networks are different ones: every job would be made twice."""
    first: dict[str, object] = {}
    for value in manifest.axes.get("backbone", ()):
        digest = digests.get((backbone_text(value), False), "")
        if digest in first:
            both = " and ".join(map(value_text, (first[digest], value)))
            said = f"{both} are one network on this machine; leave one out"
            raise ManifestError([f"{manifest.path}:1: grid.backbone: {said}"])
        first[digest] = value


def _check_layers(network: str, asked: Sequence[str], there: Sequence[str]) -> None:
    missing = [layer for layer in asked if layer not in there]
    if missing:
        raise WeightsError(no_layers(network, missing, there))


def keep_weights(manifest: Manifest, store: RunFolder) -> Manifest:
    """The manifest with the weights that its run began with, where it names none.

    Whatever comes into torch's cache meanwhile must not have a resumed run begin anew.
    """
    header = store.header()
    if header is None:
        return manifest
    begun = [header.begun] if header.begun else []
    kept = {
        one.name: one.weights
        for one in (header.backbone, *header.backbones, *begun)  # of one name the last counts
        if one.weights in WEIGHT_SOURCES and not one.said
    }
    sources = {
        text: source
        for text, value in manifest.backbones.items()
        if value is not None and manifest.network(value).weights is None
        if (source := kept.get(manifest.network(value).name))
    }
    own = manifest.weights or kept.get(manifest.backbone)
    return replace(manifest, weights=own, sources=sources)


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


def plan_jobs(manifest: Manifest, options: Options, digests: Digests | None) -> Plan:
    """The jobs of a manifest.

    Args:
        digests: None where keys do not matter.

    Raises:
        ManifestError: more jobs than `options.max_jobs`, or several under one name.
    """

    def digest(settings: Settings) -> str:
        place = backbone_text(settings.backbone), settings.normalized
        return "" if digests is None else digests[place]

    plan = Plan(manifest, digest, ALGORITHM, options.max_jobs)
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


@dataclass(frozen=True)
class Asked:
    """What jobs ask of a network.

    Attributes:
        layers: that the losses of any job look at, in the network's order.
        normalized: whether any job goes through the normalized variant.
    """

    layers: tuple[str, ...]
    normalized: bool


def networks_asked_for(manifest: Manifest) -> dict[str, Asked]:
    """What jobs ask of each network that they go through, by `backbone_text`."""
    swept = {name: values for name, values in manifest.axes.items() if name in _OF_NETWORKS}
    layers: dict[str, set[str]] = {}
    normalized: set[str] = set()
    of_all: list[dict[str, object]] = [{}] if all(manifest.paired) else []
    for pair in (*of_all, *_distinct(_only(pair.settings) for pair in manifest.pairs)):
        own = _only({**manifest.settings, **pair})
        for values in itertools.product(*swept.values()):
            chosen = {**own, **dict(zip(swept, values, strict=True)), **pair}
            settings = Settings.model_validate(manifest.with_versions(chosen))
            backbone = backbone_text(settings.backbone)
            layers.setdefault(backbone, set()).update(settings.layers)
            normalized |= {backbone} if settings.normalized else set()
    return {
        backbone: Asked(tuple(each for each in LAYERS if each in wanted), backbone in normalized)
        for backbone, wanted in layers.items()
    }


_OF_NETWORKS = (
    "preset", "content_layers", "style_layers", "neighbor_weight", "backbone", "normalized",
)  # fmt: skip


def _distinct(many: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    return list({repr(sorted(one.items())): one for one in many}.values())


def _only(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in settings.items() if name in _OF_NETWORKS}
