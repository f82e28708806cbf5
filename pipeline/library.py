"""`nst` from Python and notebooks: one pair, a manifest, a run's records.

from nst import records, run_batch_file, stylize_pair
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.commands import Options, PairRequest, run_manifest, run_pair
from pipeline.errors import ManifestError, WorkerError
from pipeline.manifest import (
    OLD_NAMES,
    load_manifest,
    old_name_warning,
    settings_problems,
    with_new_names,
)
from pipeline.pictures import opened
from pipeline.schedule import make_progress
from pipeline.store import RunFolder, Summary, every_record

# What a picture of a rare mode is stored as, without and with transparency.
_PLAIN = {False: "RGB", True: "RGBA"}


def stylize_pair(
    content: Image.Image,
    style: Image.Image,
    backbone: str = "lite",
    weights: Path | str | None = None,
    devices: str = "auto",
    **settings: Any,
) -> Image.Image:
    """Stylizes one picture with another, in this process.

    Args:
        content: what is to be seen, of any mode and size.
        style: how it is to look.
        backbone: `lite`, `vgg19` or `vgg16`.
        weights: a weight file, `caffe` or `torchvision`, instead of the first that is there.
        devices: `auto`, or one such as `cuda:0`.
        settings: any of a manifest's, such as `size=512, style_weight=5`.

    Returns:
        the picture, 8 bits a channel: RGB, or RGBA with `alpha="keep"` where `content` has
        transparency.

    Raises:
        ManifestError: an unknown setting or a value out of range.
        WorkerError: it could not be made; the message has the reason.
        NstError: no weights, no such device.
    """
    problems = [f"{'.'.join(map(str, at))}: {text}" for at, text in settings_problems(settings)]
    if problems:
        raise ManifestError(problems)
    for name in OLD_NAMES.keys() & settings.keys():
        warnings.warn(old_name_warning(name), FutureWarning, stacklevel=2)
    settings = with_new_names(settings)
    with tempfile.TemporaryDirectory(prefix="nst-") as name:
        folder = Path(name)
        for image, file in ((content, "content.png"), (style, "style.png")):
            known = image if image.mode in ("L", "LA", "RGB", "RGBA", "I;16") else None
            (known or image.convert(_PLAIN[image.has_transparency_data])).save(folder / file)
        result = folder / "result.png"
        options = Options(devices, None)
        pictures = (folder / "content.png", folder / "style.png", result)
        request = PairRequest(*pictures, settings, backbone, weights)
        code = run_pair(request, options, quiet=True)
        if code or not result.exists():
            raise WorkerError("the picture could not be made; the reason was printed above")
        with opened(result) as made:
            return made.convert("RGBA" if made.mode == "RGBA" else "RGB")


def run_batch_file(manifest: Path | str, devices: str = "auto", quiet: bool = False) -> Summary:
    """Runs a manifest, as `nst batch` does; what is done already is kept.

    Returns:
        counts, images per hour, and `exit_code`: 0 if all jobs are done.

    Raises:
        ManifestError: the manifest is not valid; the message has every problem with its line.
        NstError: what keeps the run from beginning.
    """
    valid = load_manifest(Path(manifest))
    return run_manifest(valid, Options(devices, None), make_progress(quiet=quiet))


def records(run: Path | str) -> Iterator[dict[str, Any]]:
    """The records of a run as flat dicts, one a job, ready for `pandas.DataFrame`.

    Each has `name`, `content`, `style` and `image` (paths), each swept setting under its own name,
    every setting as `settings.NAME`, the last losses as `loss.NAME`, `seconds`, and the whole
    record as `record`. Of a run in tar shards `image` is where the picture would lie as a file.
    """
    folder = Path(run)
    store = RunFolder(folder)
    for record in every_record(store):
        last: Mapping[str, Any] = record.losses[-1] if record.losses else {}
        yield {
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
