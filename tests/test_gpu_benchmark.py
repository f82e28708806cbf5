"""The benchmark for GPUs: a dry run where there is none, and what it counts."""

import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.schedule import Found

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import gpu


def record(finished: str = "00:00:00", scale: tuple[int, int, int] = (512, 384, 300)) -> Any:
    moment = f"2026-01-01T{finished}+00:00"
    return SimpleNamespace(finished=moment, scales=[scale], precision="fp16")


def test_without_a_gpu_it_says_so_and_runs_one_tiny_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "find_slots", lambda: Found(("cpu",)))
    (row,) = gpu.main([])
    said = capsys.readouterr().out
    assert said.startswith("no CUDA GPU here: a dry run") and "1 picture, " in said
    assert (row.gpus, row.pictures, row.graphs) == (0, 1, False) and math.isnan(row.roofline)
    assert row.precision in said and row.pictures_per_hour > 0


def test_the_roofline_grows_with_gpus_and_shrinks_with_work() -> None:
    case, small, large = gpu.DRY, [record(scale=(256, 192, 50))], [record()]
    one = gpu.roofline(case, small, [1e15])
    assert gpu.roofline(case, small, [1e15] * 8) == pytest.approx(8 * one)
    assert gpu.roofline(case, small, [1e15, 5e14]) == pytest.approx(1.5 * one)
    # 4 times the pixels, 6 times the steps.
    assert one / gpu.roofline(case, large, [1e15]) == pytest.approx(24, rel=0.01)
    both = gpu.roofline(case, small + large, [1e15])
    assert both == pytest.approx(2 / (1 / one + 24 / one), rel=0.01)


def test_pictures_are_counted_from_the_first_to_the_last() -> None:
    records = [record(at) for at in ("10:00:00", "10:00:00", "10:00:10", "10:00:30")]
    first, last, per_hour = gpu.pace(records, 1000.0)
    assert last - first == 30 and per_hour == 240  # two in half a minute
    assert gpu.pace(records[:2], 8.0)[2] == 900


def test_a_gpu_is_busy_from_the_first_picture_to_the_last() -> None:
    samples = [(9.0, 0.0), (10.0, 80.0), (11.0, 100.0), (12.5, 0.0)]
    assert gpu.busy_share(samples, 10.0, 12.0) == pytest.approx(0.9)
    assert math.isnan(gpu.busy_share(samples, 20.0, 30.0))


def test_how_busy_a_gpu_was_is_read_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    def popen(words: list[str], **given: object) -> SimpleNamespace:
        assert words[0] == "nvidia-smi" and words[words.index("-i") + 1] == "GPU-a,GPU-b"
        lines = iter(["97\n", "[N/A]\n", "99\n"])
        return SimpleNamespace(stdout=lines, terminate=lambda: ended.append(1))

    monkeypatch.setattr(subprocess, "Popen", popen)
    with gpu.watched(["GPU-a", "GPU-b"]) as samples:
        pass
    assert [percent for _, percent in samples] == [97.0, 99.0] and ended


def test_without_nvidia_smi_nobody_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def popen(words: list[str], **given: object) -> None:
        raise FileNotFoundError(words[0])

    monkeypatch.setattr(subprocess, "Popen", popen)
    with gpu.watched(["GPU-a"]) as samples:
        assert samples == []


def test_a_device_is_asked_in_a_process_that_sees_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def run(words: list[str], env: dict[str, str], **given: object) -> SimpleNamespace:
        told.append((words[2:], env["CUDA_VISIBLE_DEVICES"]))
        return SimpleNamespace(stdout="a warning\nGPU-b\n")

    gpu.asked.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    monkeypatch.setattr(subprocess, "run", run)
    assert gpu.asked("cuda:1", "uuid") == gpu.asked("cuda:1", "uuid") == "GPU-b"
    assert told == [(["--ask", "cuda:0", "uuid"], "7")]
    gpu.asked.cache_clear()


def test_a_device_says_its_rate_in_a_precision_and_its_uuid(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "fastest_rate", lambda device, dtype: f"{device} {dtype}")
    about = SimpleNamespace(uuid="1-2")
    monkeypatch.setattr(gpu.torch.cuda, "get_device_properties", lambda device: about)
    assert gpu.main(["--ask", "cpu", "bf16"]) == gpu.main(["--ask", "cuda:0", "uuid"]) == []
    assert capsys.readouterr().out == "cpu torch.bfloat16\nGPU-1-2\n"


def test_each_case_is_run_with_and_without_graphs_on_each_number_of_gpus(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs: list[Any] = []

    def run_case(folder: Path, case: gpu.Case, devices: Any, each: int, *, graphs: bool) -> gpu.Row:
        runs.append((case, tuple(devices), each, graphs))
        about = (case.backbone, case.size, case.steps, len(devices), "bf16", graphs, "")
        return gpu.Row(*about, each * len(devices), 1000.0 * (1 + graphs), 0.5, 4000.0)

    drawn: list[int] = []
    monkeypatch.setattr(gpu, "find_slots", lambda: Found(("cuda:0", "cuda:2", "cuda:3")))
    monkeypatch.setattr(gpu, "draw_pictures", lambda folder, count, longest: drawn.append(count))
    monkeypatch.setattr(gpu, "run_case", run_case)
    gpu.main(["--gpus", "1", "3", "8", "--contents", "256"])
    assert drawn == [768] and len(runs) == len(gpu.CASES) * 2 * 2
    assert runs[0] == (gpu.CASES[0], ("cuda:0",), 256, False)
    assert runs[3] == (gpu.CASES[0], ("cuda:0", "cuda:2", "cuda:3"), 256, True)
    said = capsys.readouterr().out
    assert (
        "1 GPU, bf16, graphs: 256 pictures, 2,000 an hour, 50% of the roofline's 4,000, busy 50%"
        in said
    )
    assert said.count("with graphs 2.00 times as many pictures an hour") == 8
    gpu._print(gpu.Row("lite", 256, 50, 1, "bf16", True, "not as a graph: why", 1, 9.0, 0.5, 9.0))
    assert "1 GPU, bf16, not as a graph: why: 1 picture" in capsys.readouterr().out
    assert gpu._EACH >= 4 * 64  # several batches a GPU


def test_a_case_on_gpus_asks_for_these_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same way, on the CPU in their place."""
    gpu.draw_pictures(tmp_path, 2, 96)
    asked: list[Any] = []

    def ask(device: str, what: str) -> str:
        asked.append((device, what))
        return "GPU-a" if what == "uuid" else "1e12"

    monkeypatch.setattr(gpu, "asked", ask)
    monkeypatch.setattr(gpu, "watched", gpu.contextmanager(lambda uuids: iter([[]])))
    row = gpu.run_case(tmp_path, gpu.DRY, ["cpu", "cpu"], 1, graphs=True)
    assert (row.gpus, row.pictures, row.graphs) == (2, 2, True)
    assert (
        row.roofline > 0
        and asked.count(("cpu", "uuid")) == asked.count(("cpu", row.precision)) == 2
    )
