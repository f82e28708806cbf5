"""`nst` from Python and notebooks: one pair, a manifest, a run's records.

from nst import records, run_batch, stylize_pair
"""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from PIL import Image

from pipeline.address import Address, as_path
from pipeline.commands import Options, PairRequest, run_manifest, run_pair
from pipeline.errors import ImageError, ManifestError, RunFolderError, WorkerError
from pipeline.manifest import (
    OLD_NAMES,
    Manifest,
    load_manifest,
    old_name_warning,
    settings_problems,
    with_new_names,
)
from pipeline.pictures import opened
from pipeline.remote import begin_downloads
from pipeline.schedule import Progress, make_progress
from pipeline.store import Record, RunFolder, Summary, every_record

if TYPE_CHECKING:
    from torch import Tensor

    Picture = Path | str | Image.Image | np.ndarray[Any, Any] | Tensor

# What a picture of a rare mode is stored as, without and with transparency.
_PLAIN = {False: "RGB", True: "RGBA"}
_ROUNDING = 1e-3  # by which numbers may be beyond 0..1


@overload
def stylize_pair(
    content: Picture, style: Picture, backbone: str = ..., weights: Path | str | None = ...,
    devices: str = ..., *, mask: Picture | None = ..., style_mask: Picture | None = ...,
    keep: Picture | None = ..., with_record: Literal[False] = ..., **settings: Any,
) -> Image.Image: ...  # fmt: skip


@overload
def stylize_pair(
    content: Picture, style: Picture, backbone: str = ..., weights: Path | str | None = ...,
    devices: str = ..., *, mask: Picture | None = ..., style_mask: Picture | None = ...,
    keep: Picture | None = ..., with_record: Literal[True], **settings: Any,
) -> tuple[Image.Image, dict[str, Any]]: ...  # fmt: skip


def stylize_pair(
    content: Picture,
    style: Picture,
    backbone: str = "auto",
    weights: Path | str | None = None,
    devices: str = "auto",
    *,
    mask: Picture | None = None,
    style_mask: Picture | None = None,
    keep: Picture | None = None,
    with_record: bool = False,
    **settings: Any,
) -> Image.Image | tuple[Image.Image, dict[str, Any]]:
    """Stylizes one picture with another, in this process.

    Pictures are paths, Pillow's images of any mode, arrays of shape (height, width) or (height,
    width, channels), or tensors of shape (channels, height, width) or (1, channels, height, width);
    of arrays and tensors the values are 0..255 in 8 bits, or 0..1 as floating-point numbers.

    Args:
        content: what is to be seen.
        style: how it is to look.
        backbone: `lite`, `vgg19` or `vgg16`; `auto` is vgg19 on a GPU where its weights are at hand
            or given, else lite.
        weights: a weight file, `caffe` or `torchvision`, instead of the first that is there.
        devices: `auto`, or one such as `cuda:0`.
        mask: which region of the content is which, by colors.
        style_mask: likewise of the style.
        keep: where the content counts more, gray.
        with_record: return the record, too: with `losses` along the way, `seconds`, all settings.
        settings: any of a manifest's, such as `size=512, style_weight=5`.

    Returns:
        the picture, 8 bits a channel: RGB, or RGBA with `alpha="keep"` where `content` has
        transparency; with its record where that is asked for.

    Raises:
        ImageError: what is no picture.
        ManifestError: an unknown setting or a value out of range.
        WorkerError: it could not be made; the message has the reason.
        NstError: no weights, no such device.
    """
    problems = [f"{'.'.join(map(str, at))}: {text}" for at, text in settings_problems(settings)]
    if style_mask is not None and mask is None:
        problems.append("style_mask: says nothing without mask, the content's")
    if problems:
        raise ManifestError(problems)
    for name in OLD_NAMES.keys() & settings.keys():
        warnings.warn(old_name_warning(name), FutureWarning, stacklevel=2)
    settings = {**with_new_names(settings), "format": "png"}  # what is written between
    given = {
        "content": content, "style": style, "mask": mask, "style_mask": style_mask, "keep": keep,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="nst-") as name:
        folder = Path(name)
        result = folder / "result.png"
        files = {
            argument: _file_of(picture, folder / f"{argument}.png", argument)
            for argument, picture in given.items()
            if picture is not None
        }
        request = PairRequest(
            files["content"], files["style"], result, settings,
            "vgg19" if backbone == "auto" and weights is not None else backbone, weights,
            mask=files.get("mask"), style_mask=files.get("style_mask"), keep=files.get("keep"),
            advice=('backbone="lite"', "weights="),
        )  # fmt: skip
        shown = _Reasons()
        try:
            code = run_pair(request, Options(devices, None), quiet=True, shown=shown)
        except ImageError as error:
            raise ImageError(_by_argument(str(error), files, folder)) from error
        if code or not result.exists():
            said = _by_argument("; ".join(shown.reasons) or "no reason was given", files, folder)
            raise WorkerError(f"the picture could not be made: {said}")
        with opened(result) as file:
            made = file.convert("RGBA" if file.mode == "RGBA" else "RGB")
        record = json.loads(result.with_suffix(".json").read_text())
    return (made, record) if with_record else made


class _Reasons(Progress):
    """Keeps why jobs failed, to be raised instead of printed."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    def warn(self, message: str, code: str = "") -> None:
        """See `Progress`; which backbone was chosen is in the record."""
        if code != "chosen_backbone":
            super().warn(message, code)

    def update(self, outcomes: Sequence[Any], done: int, failed: int) -> None:
        """See `Progress`."""
        self.done, self.failed = done, failed
        self.reasons += [outcome.error for outcome in outcomes if outcome.error]


def _by_argument(message: str, files: Mapping[str, Path], folder: Path) -> str:
    """A message with the arguments' names where it names files that were made of them.

    Args:
        files: of each argument; those in `folder` were made here, others are the caller's own.
    """
    made = {argument: path for argument, path in files.items() if path.parent == folder}
    for path in made.values():
        message = message.replace(str(path), path.name)
    for argument, path in made.items():
        alone = rf"(?<![\w/\\.~-]){re.escape(path.name)}(?![\w/\\-])"
        message = re.sub(alone, argument, message)
    return message


def _file_of(picture: Picture, path: Path, argument: str) -> Path:
    """A picture as a file: a path as it is, what is in memory as a PNG at `path`.

    Raises:
        ImageError: it is no picture; names the argument.
    """
    if isinstance(picture, (str, Path)):
        return as_path(picture)
    try:
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(_levels(picture))
    except ImageError as error:
        raise ImageError(f"{argument}: {error}") from error
    known = image if image.mode in ("L", "LA", "RGB", "RGBA", "I;16") else None
    (known or image.convert(_PLAIN[image.has_transparency_data])).save(path)
    return path


def _levels(picture: np.ndarray[Any, Any] | Tensor) -> np.ndarray[Any, Any]:
    """An array or a tensor as levels 0..255 of shape H x W or H x W x channels."""
    if isinstance(picture, np.ndarray):
        values = picture
    elif hasattr(picture, "detach"):
        values = _array_of(picture)
    else:
        kind = type(picture).__name__
        raise ImageError(f"a {kind} is no picture: give a path, Pillow's image, array or tensor")
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise ImageError(f"shape {tuple(picture.shape)} is none of a picture; see stylize_pair")
    if not values.size:
        raise ImageError("an empty array is no picture")
    if values.dtype == bool:  # the commonest form of a mask
        values = values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.floating) or not np.isfinite(values).all():
        raise ImageError(f"{values.dtype} values: 8-bit levels or finite numbers 0..1 are needed")
    if values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
        raise ImageError(
            f"numbers {values.min():g} to {values.max():g}: 0..1 are needed, or 8-bit levels"
        )
    levels: np.ndarray[Any, Any] = (values.clip(0, 1) * 255).round().astype(np.uint8)
    return levels


def _array_of(tensor: Tensor) -> np.ndarray[Any, Any]:
    """A tensor's values, channels last."""
    plain = tensor.detach().cpu()
    values: np.ndarray[Any, Any] = (plain.float() if plain.is_floating_point() else plain).numpy()
    values = values[0] if values.ndim == 4 and len(values) == 1 else values
    return np.moveaxis(values, 0, -1) if values.ndim == 3 else values


class _Telling(Progress):
    """Tells a function of one's own, beside what else is shown."""

    def __init__(
        self,
        shown: Progress,
        store: RunFolder,
        progress: Callable[[int, int, int], object] | None,
        on_record: Callable[[dict[str, Any]], object] | None,
    ) -> None:
        super().__init__()
        self._shown, self._store = shown, store
        self._progress, self._on_record = progress, on_record

    def watching(self, store: RunFolder, total: int) -> Any:
        """See `Progress`."""
        self.total = total
        return self._shown.watching(store, total)

    def skipped(self, count: int) -> None:
        """See `Progress`."""
        super().skipped(count)
        self._shown.skipped(count)

    def update(self, outcomes: Sequence[Any], done: int, failed: int) -> None:
        """See `Progress`; then tells of the jobs that ended."""
        self._shown.total = self.total
        self._shown.update(outcomes, done, failed)
        if self._progress is not None:
            self._progress(self.before + done, failed, self.total)
        for outcome in outcomes if self._on_record is not None else ():
            record = self._store.record(outcome.name) if outcome.status == "done" else None
            if record is not None and self._on_record is not None:
                self._on_record(_flat(record, self._store.path))

    def warn(self, message: str, code: str = "") -> None:
        """See `Progress`."""
        self._shown.warn(message, code)


def run_batch(
    manifest: Mapping[str, Any] | Path | str | Manifest,
    devices: str = "auto",
    quiet: bool = False,
    *,
    progress: Callable[[int, int, int], object] | None = None,
    on_record: Callable[[dict[str, Any]], object] | None = None,
) -> Summary:
    """Runs a manifest, as `nst batch` does; what is done already is kept.

    Args:
        manifest: a file, what `load_manifest` gave, or a manifest as a dict, whose paths are
            relative to the working folder.
        devices: as `nst batch` has it.
        quiet: print errors only.
        progress: called with the jobs done, failed, and all of them, whenever some have ended.
        on_record: called with the record of each job that is done, as `records` has them.

    Returns:
        counts, images per hour, and `exit_code`: 0 if all jobs are done.

    Raises:
        ManifestError: the manifest is not valid; the message has every problem with its line. Or
            `on_record` of a run into tar shards, in which records are packed at once.
        NstError: what keeps the run from beginning.
        Exception: what `progress` or `on_record` raise ends the run; the same call goes on.
    """
    begin_downloads(None)
    valid = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    shown = make_progress(quiet=quiet)
    if progress is not None or on_record is not None:
        if on_record is not None and valid.form.format != "files":
            raise ManifestError(
                ["on_record: not of a run into tar shards; read `records` at its end"]
            )
        shown = _Telling(shown, RunFolder(valid.output), progress, on_record)
    return run_manifest(valid, Options(devices, None), shown)


def run_batch_file(manifest: Path | str, devices: str = "auto", quiet: bool = False) -> Summary:
    """`run_batch` of a manifest's file."""
    return run_batch(Path(manifest), devices, quiet)


def records(run: Path | str) -> Iterator[dict[str, Any]]:
    """The records of a run as flat dicts, one a job, ready for `pandas.DataFrame`.

    Each has `name`, `content`, `style` and `image` (paths), each swept setting under its own name,
    every setting as `settings.NAME`, the last losses as `loss.NAME`, `seconds`, and the whole
    record as `record`. Of a run in tar shards `image` is where the picture would lie as a file.
    """
    folder = as_path(run)
    there = isinstance(folder, Address) and RunFolder(folder).header() is not None
    if not there and not folder.is_dir():
        raise RunFolderError(f"{folder}: no such run folder; check the path")
    return (_flat(record, folder) for record in every_record(RunFolder(folder)))


def _flat(record: Record, folder: Path) -> dict[str, Any]:
    """One record as `records` has it."""
    last: Mapping[str, Any] = record.losses[-1] if record.losses else {}
    return {
        "name": record.name,
        "content": record.content.path,
        "style": record.style.name,
        "image": str(folder / record.output.path),
        **record.swept,
        **{f"settings.{name}": value for name, value in record.settings.items()},
        **{f"loss.{name}": value for name, value in last.items() if name != "step"},
        "seconds": sum(record.seconds.values()),
        "record": record.plain(),
    }
