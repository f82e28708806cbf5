"""TODO."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.commands.prepare import Options, run_manifest
from pipeline.errors import ImageError, ManifestError, RunFolderError
from pipeline.manifest import (
    Manifest,
    Output,
    Picture,
    Settings,
    Style,
    parse_value,
    settings_problems,
)
from pipeline.pictures import check_header
from pipeline.schedule import duration, make_progress
from pipeline.store import RunFolder


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
