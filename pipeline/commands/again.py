"""`nst again`: a picture of ours made again, perhaps otherwise; and the same as a manifest.

In: a picture or its record, perhaps from someone else. Out: a manifest of one job, whose files are
those of its digests; nothing else that a stranger's text names is looked for. How it was made
otherwise than then is `rounding.py`'s.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.address import as_path
from pipeline.commands.alone import run_alone, with_format
from pipeline.commands.given import named_network, parse_settings
from pipeline.commands.init import manifest_in
from pipeline.commands.means import kept_means
from pipeline.commands.options import Options
from pipeline.commands.output import print_warnings
from pipeline.commands.rounding import beside_then, like_then, picture_then
from pipeline.errors import ImageError, ManifestError, NstError, WeightsError
from pipeline.manifest import (
    INITS,
    WEIGHT_SOURCES,
    Manifest,
    Network,
    Output,
    Picture,
    Settings,
    Style,
    as_given,
    is_file,
    load_manifest,
    settings_problems,
)
from pipeline.pictures import is_image_name
from pipeline.remote import begin_downloads
from pipeline.report import Inputs, pairs_manifest
from pipeline.store import Made, RunFolder, is_record, read_made, run_of
from pipeline.terminal import say
from pipeline.version import ALGORITHM

_SUFFIXES = {"png": ".png", "jpg": ".jpg", "webp": ".webp", "tiff": ".tif"}


@dataclass(frozen=True)
class Changes:
    """What is to be otherwise than it was.

    Attributes:
        settings: words `key=value`.
        folders: where inputs may lie now, besides where they were.
        weights: a weight file, `caffe` or `torchvision`, instead of what the record names.
        backbone: another network.
        exact: not alone, but in a batch like the one that it was made in, on as many threads.
    """

    settings: Sequence[str] = ()
    folders: Sequence[Path] = ()
    weights: Path | str | None = None
    backbone: Network | None = None
    exact: bool = False


def make_again(
    picture: Path, output: Path | None, changes: Changes, options: Options, *, quiet: bool = False
) -> int:
    """Makes a picture of ours again; returns the exit code.

    Args:
        picture: or its record.
        output: the picture to write; a new one in the current folder if None.

    Raises:
        ImageError: it does not say how it was made.
        ManifestError: its inputs are not found, or its settings are none of this nst's; `exact`
            without its record.
        RunFolderError: the output cannot be written.
        WeightsError: the weights that it was made with are not there.
    """
    begin_downloads(options.cache)
    made = read_made(picture)
    given = _settings_of(picture, made)
    changed = parse_settings(changes.settings, given)
    chosen = {**given, **changed}
    changes = replace(changes, backbone=named_network(chosen.pop("backbone", None)))
    suffix = _SUFFIXES[str(chosen.get("format", "png"))]
    output = output or _free_name(Path(f"{picture.stem}-again{suffix}"))
    settings = with_format(chosen, output, changed.get("format"))
    manifest = _manifest(picture, made, settings, changes, options, output.parent)
    means = None
    if made.settings.get("normalized") and (store := run_of(picture)):
        means = _means(store, manifest, options.cache)
    batch = like_then(picture, made) if changes.exact else None
    then = None if quiet else picture_then(picture, made)
    options = options if batch is None else batch.on_its_device(options)
    code, record = run_alone(manifest, output, options, quiet=quiet, means=means, batch=batch)
    unchanged = Settings.model_validate(settings) == Settings.model_validate(given)
    unchanged &= not (changes.weights or changes.backbone)
    if record is None or not unchanged:
        return code
    if record.key != made.key:
        print_warnings([_why_other(picture, made)])
    elif not quiet:
        for line in beside_then(then, made, output, record, exact=changes.exact):
            say(line)
    return code


def given_manifest(path: Path, options: Options) -> tuple[Path, Manifest]:
    """The manifest that a path means, and its file: itself, the one in a folder, or the one that
    makes a picture of ours again.

    Raises:
        ManifestError: not valid, or none there; a picture that is none of ours.
        WeightsError: as `make_again`.
    """
    begin_downloads(options.cache)
    is_picture = is_image_name(path) and is_file(path)
    if not is_picture and not (path.suffix == ".json" and is_record(path)):
        path = manifest_in(path)
        return path, load_manifest(path, options.given)
    try:
        return path, _manifest_of(path, read_made(path), options)
    except ImageError as error:
        run = f"nst run {shlex.quote(str(path))} STYLE -o out.png"
        raise ManifestError([f"{error}; as content it goes to {run}"]) from error


def _manifest_of(picture: Path, made: Made, options: Options) -> Manifest:
    """The manifest that makes a picture of ours again, into a run folder beside it, or beside the
    run folder that it lies in."""
    store = run_of(picture)
    beside = picture.absolute().parent if store is None else store.path.parent
    settings = {**_settings_of(picture, made), **options.given}
    changes = Changes(backbone=named_network(settings.pop("backbone", None)))
    problem = Settings.model_validate(settings).problem()
    if problem:
        raise ManifestError([f"{picture}: {problem}"])
    output = beside / f"{picture.stem}-again"
    return _manifest(picture, made, settings, changes, options, output)


def _settings_of(picture: Path, made: Made) -> dict[str, Any]:
    """What a person would give for a picture's settings.

    Raises:
        ManifestError: a clip's frame; settings that this nst does not know.
    """
    if made.clip is not None:
        raise ManifestError(
            [
                f"{picture}: is frame {made.clip.frame} of the clip {made.clip.path}, which goes "
                f"on from the one before; nst batch makes clips"
            ]
        )
    if not made.names_inputs:
        raise ManifestError(
            [
                f"{picture}: does not name the pictures that it was made of, for it is of an "
                f"older nst; put its record, {picture.stem}.json, beside it"
            ]
        )
    try:
        given = as_given(made.settings, made.preset_version)
        given.pop("backbone", None)  # the record says it better, with its digest
    except ValueError as error:
        raise ManifestError([f"{picture}: {error}; take the nst that made it"]) from error
    wrong = [f"{'.'.join(map(str, at))}: {what}" for at, what in settings_problems(given)]
    if wrong:
        said = made.versions.get("nst", "another nst")
        raise ManifestError([f"{picture}: made by {said}: {problem}" for problem in wrong])
    return given


def _manifest(
    picture: Path,
    made: Made,
    settings: Mapping[str, Any],
    changes: Changes,
    options: Options,
    output: Path,
) -> Manifest:
    """The manifest of the one job."""
    inputs = Inputs(run_of(picture), changes.folders)
    found = _with_inputs(picture, made, settings, inputs)
    name, weights, preprocessing = _network(picture, made, changes, options.cache)
    backbone = {"name": name, "weights": weights and str(weights), "preprocessing": preprocessing}
    pictures, content = found.style.pictures, found.content
    masks = tuple(as_path(p.mask) if p.mask else None for p in pictures)
    return Manifest(
        path=picture,
        text=pairs_manifest([found], output, backbone),
        output=output.absolute(),
        contents=(
            Picture(
                path=as_path(content.path),
                label=Path(content.path).stem,
                file=Path(content.path).name,
                mask=as_path(content.mask) if content.mask else None,
                keep=as_path(content.keep) if content.keep else None,
            ),
        ),
        styles=(
            Style(
                label=found.style.name,
                parts=tuple((as_path(p.path), p.weight) for p in pictures),
                masks=masks if any(masks) else (),
                regions=tuple(p.region for p in pictures if p.region is not None),
            ),
        ),
        pairing="product",
        pairs=(),
        paired=(1, 1),
        backbone=name,
        weights=weights,
        settings=found.settings,
        axes={},
        folders=(),
        form=Output.model_validate({"path": str(output)}),
        preprocessing=preprocessing,
    )


def _with_inputs(picture: Path, made: Made, settings: Mapping[str, Any], inputs: Inputs) -> Made:
    """The same with the places that its files have now, and with these settings.

    Raises:
        ManifestError: with all that is not found.
    """
    missing: list[str] = []

    def place(what: str, path: str | None, digest: str) -> str | None:
        if not path:
            return None
        if not digest and Path(path).is_absolute() and Path(path).is_file():  # an older record's
            return path
        found = inputs.search(path, digest) if digest else None
        if found is None:
            missing.append(f"{what} {path}" + (f" (SHA-256 {digest[:16]}...)" if digest else ""))
        return str(found.absolute()) if found else path

    found = made.model_copy(deep=True)
    content = found.content
    content.path = place("content", content.path, content.sha256) or ""
    content.mask = place("mask", content.mask, content.mask_sha256)
    content.keep = place("mask", content.keep, content.keep_sha256)
    for part in found.style.pictures:
        part.path = place("style", part.path, part.sha256) or ""
        part.mask = place("mask", part.mask, part.mask_sha256)
    chosen = dict(settings)
    if str(chosen.get("init", "content")) not in INITS and "init" in made.settings:
        same = chosen["init"] == made.settings["init"]
        digest = made.init_sha256 if same else ""
        named = chosen["init"] if same else str(Path(chosen["init"]).absolute())
        chosen["init"] = place("init", str(named), digest)
    if missing:
        raise ManifestError(
            [
                f"{picture}: {what} is not found; nst again --inputs FOLDER says where to look"
                for what in dict.fromkeys(missing)
            ]
        )
    return found.model_copy(update={"settings": chosen, "swept": {}})


def _network(picture: Path, made: Made, changes: Changes, cache: Path | None) -> Network:
    """The network that a picture was made with, or the one that is asked for instead.

    Raises:
        WeightsError: its weights are not there.
    """
    if changes.backbone is not None:
        return changes.backbone._replace(weights=changes.weights or changes.backbone.weights)
    weights = _weights(picture, made, changes.weights, cache)
    return Network(str(made.backbone.get("name", "vgg19")), weights, _preprocessing(made))


def _preprocessing(made: Made) -> str | None:
    known = str(made.backbone.get("preprocessing", ""))
    return known if known in ("caffe", "imagenet") else None


def _weights(
    picture: Path, made: Made, given: Path | str | None, cache: Path | None
) -> Path | str | None:
    """The weights that a picture was made with, as a manifest names them.

    Raises:
        WeightsError: they are not there.
    """
    name, wanted = str(made.backbone.get("name", "vgg19")), made.backbone.get("weights_sha256")
    choice = made.backbone.get("choice")
    choices: Sequence[Path | str | None]
    if given or choice:
        choices = [given or (choice if choice in WEIGHT_SOURCES else Path(str(choice)))]
    else:
        choices = [None] if name == "lite" else WEIGHT_SOURCES
    refused: NstError | None = None
    for one in choices:
        try:
            from pipeline.method import inspect_weights  # here alone: it takes a while to load

            known = inspect_weights(name, one, _preprocessing(made), cache)
        except WeightsError as error:
            refused = error
            continue
        if given or known.digest == wanted or made.settings.get("normalized"):
            return one
    about = made.backbone.get("weights") or choice or "unknown"
    why = f" ({refused})" if refused else ""
    raise WeightsError(
        f"{picture}: made with weights of {name} of digest {str(wanted)[:16]}... ({about}), which "
        f"are not found here{why}; --weights names others"
    )


def _means(store: RunFolder, manifest: Manifest, cache: Path | None) -> bytes | None:
    """What a run keeps of the means of a manifest's network."""
    from pipeline.method import inspect_weights  # here alone: it takes a while to load

    known = inspect_weights(*manifest.network(None), cache)
    path = kept_means(store, known.digest)
    return None if path is None else store.inside.read(path)


def _why_other(picture: Path, made: Made) -> str:
    """Why the same inputs and settings are another job now."""
    said = f"{picture}: not the same job as then"
    if made.algorithm != ALGORITHM:
        return f"{said}: made by version {made.algorithm} of the algorithm, this is {ALGORITHM}"
    if made.settings.get("normalized"):
        return f"{said}: its run's means of the normalized network are not beside it"
    return f"{said}: other weights, or files that are read otherwise now"


def _free_name(path: Path) -> Path:
    names = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], names) if not name.exists())
