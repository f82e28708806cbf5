"""One job into one file, through a run folder that is thrown away.

In: a manifest of one job. Out: the picture, its record and what else was asked for beside it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.address import as_path, is_address
from pipeline.commands.options import Options
from pipeline.commands.rounding import LikeThen
from pipeline.errors import ImageError, ManifestError, RunFolderError
from pipeline.files import cannot_write, write_atomic
from pipeline.manifest import INITS, Manifest, Settings
from pipeline.schedule import Progress, duration, make_progress
from pipeline.store import Record, RunFolder, run_of, to_json
from pipeline.terminal import say

_FORMATS = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}


def with_format(
    settings: Mapping[str, Any], output: Path, asked: str | None = None
) -> dict[str, Any]:
    """The settings, with the format that the output's suffix stands for.

    Args:
        asked: a format that was asked for in words.

    Raises:
        ImageError: a suffix that is no format.
        ManifestError: settings that do not go together, or another format was asked for.
    """
    suffix = output.suffix.lower()
    if suffix not in _FORMATS:
        raise ImageError(f"{output}: the suffix must be one of {', '.join(_FORMATS)}")
    if asked is not None and asked != _FORMATS[suffix]:
        raise ManifestError([f"format {asked} and {output} do not go together; leave one out"])
    changed = {**settings, "format": _FORMATS[suffix]}
    problem = Settings.model_validate(changed).problem()
    if problem:
        raise ManifestError([problem])
    return changed


def run_alone(
    manifest: Manifest,
    output: Path,
    options: Options,
    *,
    quiet: bool,
    means: bytes | None = None,
    shown: Progress | None = None,
    batch: LikeThen | None = None,
) -> tuple[int, Record | None]:
    """Makes the one job of a manifest into `output`; the exit code, and its record if it was made.

    Args:
        shown: what is told of it, instead of what fits.
        batch: among how many copies of itself, that it is rounded as it was in another batch.
        means: the file of mean activations for the normalized variant, if there is one already.

    Raises:
        ImageError: the output would take the place of an input, or of a run's own picture.
        RunFolderError: the output cannot be written.
    """
    _check_place(output, manifest)
    from pipeline.commands.run import run_manifest  # loads torch, which takes seconds

    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".nst-", dir=output.parent))
    store, record = RunFolder(folder), None
    try:
        if means is not None:
            store.write(store.means, means)
        inline = replace(options, run=replace(options.run, engine="inline"))
        alone = replace(manifest, output=folder)
        if batch is not None:
            alone = batch.filled(alone, folder / "copies")
        summary = run_manifest(alone, inline, shown or make_progress(quiet=quiet))
        if summary.done:
            record = _move_result(store, manifest.contents[0].path, output)
            if not quiet:
                say(f"{output} ({duration(summary.seconds)})")
        return summary.exit_code, record
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_place(output: Path, manifest: Manifest) -> None:
    if is_address(str(output)):
        raise RunFolderError(f"{output}: only a run folder may be remote; name a local file")
    content, style = manifest.contents[0], manifest.styles[0]
    inputs = [content.path, content.mask, content.keep, *style.masks]
    inputs += [*(path for path, _ in style.parts)]
    init = str(manifest.settings.get("init", ""))
    inputs += [as_path(init)] if init and init not in INITS else []
    if output.resolve() in {path.resolve() for path in inputs if path is not None}:
        raise ImageError(f"{output}: is one of the pictures that this is made of; choose another")
    run = run_of(output)
    if run is not None:
        raise ImageError(
            f"{output}: lies in the run folder {run.path}, whose records would not be true any "
            f"more; choose another place"
        )


def _move_result(store: RunFolder, content: Path, output: Path) -> Record:
    """Moves the one job's picture, record and what it kept along the way beside each other."""
    record = next(r for r in store.records() if r.content.path == str(content))
    picture = store.path / record.output.path
    frames = store.frames / record.name
    found = record.model_copy(deep=True)
    found.output.path, found.name = output.name, output.stem
    try:
        if record.animation is not None:
            animation = store.path / record.animation
            found.animation = f"{output.stem}-animation{animation.suffix}"
            animation.replace(output.with_name(found.animation))
        if frames.is_dir():
            kept = output.with_name(f"{output.stem}-frames")
            shutil.rmtree(kept, ignore_errors=True)
            frames.replace(kept)
        picture.replace(output)
        write_atomic(output.with_suffix(".json"), to_json(found.plain()))
    except OSError as error:
        raise cannot_write(output, error) from error
    return found
