"""A run told to trackers, which are fakes here."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from worlds import World

from pipeline.errors import EngineError
from pipeline.report import check_tracker, log_run
from pipeline.report import trackers as trackers_module
from pipeline.report.trackers import figures
from pipeline.store import RunFolder, Summary


class Fake(ModuleType):
    """What was told to a package, in order."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.told: list[tuple[str, Any]] = []

    def start_run(self, run_name: str) -> "Fake":
        self.told.append(("start", run_name))
        return self

    def init(self, name: str, config: dict[str, str]) -> "Fake":
        self.told.append(("init", (name, config)))
        return self

    def __enter__(self) -> "Fake":
        return self

    def __exit__(self, *_: object) -> None:
        self.told.append(("end", None))

    def log_params(self, params: dict[str, str]) -> None:
        self.told.append(("params", params))

    def log_metrics(self, metrics: dict[str, float]) -> None:
        self.told.append(("metrics", metrics))

    def log(self, metrics: dict[str, float]) -> None:
        self.told.append(("metrics", metrics))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.told.append((name, (value, step)))

    def finish(self) -> None:
        self.told.append(("end", None))


@pytest.fixture
def run(world: Callable[[list[int]], World]) -> tuple[RunFolder, Summary]:
    here = world([1, 2])
    summary = here.run(engine="inline")
    backbone = '{"schema": 1, "backbone": {"name": "lite"}, "grid": {"seed": [1, 2]}, '
    (here.store.path / "plan.json").write_text(backbone + '"settings": {"size": 64}}')
    return here.store, summary


def test_mlflow_is_told_settings_and_figures(
    run: tuple[RunFolder, Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake("mlflow")
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    check_tracker("mlflow")
    assert log_run("mlflow", *run) == ""
    told = dict(fake.told)
    assert told["start"] == "run"
    assert told["params"]["backbone"] == "lite" and told["params"]["size"] == "64"
    assert told["params"]["grid.seed"] == "[1, 2]"
    assert told["metrics"]["done"] == 2.0 and told["metrics"] == figures(*run)
    assert fake.told[-1] == ("end", None)


def test_wandb_is_told_the_same_and_always_ends(
    run: tuple[RunFolder, Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake("wandb")
    monkeypatch.setitem(sys.modules, "wandb", fake)
    assert log_run("wandb", *run) == ""
    assert dict(fake.told)["init"][0] == "run" and dict(fake.told)["metrics"]["jobs"] == 2.0

    def broken(metrics: dict[str, float]) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(fake, "log", broken)
    assert log_run("wandb", *run) == "not logged to wandb: ConnectionError: no network"
    assert fake.told[-1] == ("end", None)


def test_tensorboard_is_told_the_figures(
    run: tuple[RunFolder, Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake("tensorboard")
    monkeypatch.setattr(trackers_module, "summary_writer", lambda: lambda folder: fake)
    monkeypatch.setattr(trackers_module, "write_board", lambda store: None)
    assert log_run("tensorboard", *run) == ""
    assert dict(fake.told)["run/done"] == (2.0, 0)


def test_the_mean_of_the_last_losses_is_told(
    run: tuple[RunFolder, Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, summary = run
    found = list(store.records())
    for number, record in enumerate(found):
        record.losses = [
            {"step": 9, "content": 1.0, "style": number + 1.0, "tv": 0.0, "total": 2.0}
        ]
    monkeypatch.setattr(trackers_module, "every_record", lambda store: iter(found))
    assert figures(store, summary)["loss/style"] == 1.5


def test_what_is_unknown_or_missing_is_told_before_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(EngineError, match="--log-to neptune: unknown; choose tensorboard, mlflow"):
        check_tracker("neptune")
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(EngineError, match=r"needs the package wandb; .*\[wandb\]"):
        check_tracker("wandb")


def test_a_run_without_a_plan_has_no_parameters(tmp_path: Path) -> None:
    assert trackers_module.parameters(RunFolder(tmp_path)) == {}
