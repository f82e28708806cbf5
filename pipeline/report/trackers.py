"""A run's figures to a tracker of experiments: TensorBoard, MLflow, Weights & Biases; extras.

In: a run folder and its summary. Out: one run there, with counts, mean losses and settings. A new
tracker is a function here and a line in `TRACKERS`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.errors import EngineError, install
from pipeline.report.board import summary_writer, write_board
from pipeline.store import RunFolder, Summary, every_record

_COUNTS = ("jobs", "done", "already_done", "failed", "seconds", "images_per_hour", "utilization")


def figures(store: RunFolder, summary: Summary) -> dict[str, float]:
    """What is told of a run: counts, and the mean of the last losses of all that is done.

    Raises:
        RunFolderError: a shard is damaged.
    """
    sums: dict[str, float] = {}
    count = 0
    for record in every_record(store):
        count += bool(record.losses)
        last: Mapping[str, Any] = record.losses[-1] if record.losses else {}
        for name, value in last.items():
            if name != "step" and isinstance(value, (int, float)):
                sums[name] = sums.get(name, 0.0) + value
    losses = {f"loss/{name}": value / count for name, value in sums.items()}
    return {name: float(getattr(summary, name)) for name in _COUNTS} | losses


def parameters(store: RunFolder) -> dict[str, str]:
    """What decides a run, as text: the network, settings, what is swept."""
    header = store.header()
    if header is None:
        return {}
    swept = {f"grid.{name}": json.dumps(values) for name, values in header.grid.items()}
    settings = {name: str(value) for name, value in header.settings.items()}
    names = dict.fromkeys(each.name for each in header.backbones or [header.backbone])
    network = {"backbone": ", ".join(names), "algorithm": str(header.algorithm)}
    return {**network, **settings, **swept}


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineError(
            f"--log-to {name} needs the package {name}; {install(name)}, or pip install {name}"
        ) from error


def _to_tensorboard(store: RunFolder, summary: Summary) -> None:
    """Each job's losses and picture, where pictures are files; and the run's figures."""
    if not store.shard_files():
        write_board(store)
    folder = store.inside.writable(store.path / "tensorboard" / "run").as_posix()
    with summary_writer()(folder) as events:
        for name, value in figures(store, summary).items():
            events.add_scalar(f"run/{name}", value, len(summary.earlier))


def _to_mlflow(store: RunFolder, summary: Summary) -> None:
    """A run of MLflow's, wherever its own settings say (`MLFLOW_TRACKING_URI`)."""
    mlflow = _package("mlflow")
    with mlflow.start_run(run_name=store.path.name):
        mlflow.log_params(parameters(store))
        mlflow.log_metrics(figures(store, summary))


def _to_wandb(store: RunFolder, summary: Summary) -> None:
    """A run of Weights & Biases', as its own settings say (`WANDB_PROJECT`, `WANDB_MODE`)."""
    run = _package("wandb").init(name=store.path.name, config=parameters(store))
    try:
        run.log(figures(store, summary))
    finally:
        run.finish()


Tracker = Callable[[RunFolder, Summary], None]
TRACKERS: dict[str, tuple[Callable[[], object], Tracker]] = {
    "tensorboard": (summary_writer, _to_tensorboard),
    "mlflow": (lambda: _package("mlflow"), _to_mlflow),
    "wandb": (lambda: _package("wandb"), _to_wandb),
}


def check_tracker(name: str) -> None:
    """Whether a run can be told to a tracker, before it begins.

    Raises:
        EngineError: an unknown tracker, or its package is not installed.
    """
    if name not in TRACKERS:
        raise EngineError(f"--log-to {name}: unknown; choose {', '.join(TRACKERS)}")
    TRACKERS[name][0]()


def log_run(name: str, store: RunFolder, summary: Summary) -> str:
    """Tells a tracker of a run that ended; why it could not be told, or empty.

    A tracker's package and its server raise what they like, and the run itself is whole.
    """
    try:
        TRACKERS[name][1](store, summary)
    except Exception as error:  # noqa: BLE001 (returned, and said as a warning)
        return f"not logged to {name}: {type(error).__name__}: {error}"
    return ""
