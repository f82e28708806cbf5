"""A run's loss curves and pictures for TensorBoard, an extra.

In: records. Out: one event folder a job under `RUN/tensorboard`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import EngineError, install
from pipeline.files import cannot_write
from pipeline.pictures import opened
from pipeline.store import RunFolder


def summary_writer() -> Any:
    """TensorBoard's writer.

    Raises:
        EngineError: the package is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise EngineError(
            f"--tensorboard needs the package tensorboard; {install('tensorboard')}, or pip "
            f"install tensorboard"
        ) from error
    return SummaryWriter


def write_board(store: RunFolder) -> int:
    """Writes the jobs that are not there yet, each with its losses over the steps and its picture.

    Returns:
        how many were written.

    Raises:
        EngineError: as `summary_writer`.
        ImageError: a picture is gone or damaged.
    """
    writer = summary_writer()
    root = store.path / "tensorboard"
    written = 0
    for record in store.records():
        folder = root / record.name
        mark = folder / f"key-{record.key[:16]}"
        if store.inside.is_file(mark):
            continue
        store.inside.remove_tree(folder)  # of an older picture of that name
        _make(store, folder)
        with writer(str(folder)) as events:
            for point in record.losses:
                for name, value in point.items():
                    if name != "step":
                        events.add_scalar(f"loss/{name}", value, point["step"])
            with opened(store.picture(record.output.path)) as image:
                pixels = np.asarray(image.convert("RGB"))
            last = record.losses[-1]["step"] if record.losses else 0
            events.add_image("picture", pixels, last, dataformats="HWC")
        store.write(mark, b"")
        written += 1
    return written


def _make(store: RunFolder, folder: Path) -> None:
    try:
        store.inside.make_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
