"""The benchmark for GPUs: a dry run where there is none, and what it counts."""

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline.commands import Options, batch_manifest
from pipeline.store import Record, RunFolder
from pipeline.store.records import Warned

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import gpu


def test_without_a_gpu_it_says_so_and_runs_one_tiny_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (row,) = gpu.main([])
    said = capsys.readouterr().out
    assert said.startswith("no CUDA GPU here: a dry run") and "1 picture, " in said
    assert (row.gpus, row.pictures) == (0, 1) and math.isnan(row.roofline)


@pytest.mark.parametrize("problem", ["", "steps are taken call by call: it waits"])
def test_a_case_is_run_with_and_without_graphs(
    problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    asked = []

    def batch(manifest: Path, options: Options, quiet: bool) -> int:
        asked.append((manifest.stem, options.graphs))
        return batch_manifest(manifest, replace(options, devices="cpu"), quiet=quiet)

    def records(store: RunFolder) -> Iterator[Record]:
        warnings = [Warned(code="not_graphed", text=problem)] if problem and asked[-1][1] else []
        for record in found(store):
            yield record.model_copy(update={"warnings": warnings})

    found = RunFolder.records
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(gpu, "fastest_rate", lambda device, dtype: 1e12)
    monkeypatch.setattr(gpu, "CASES", [gpu.DRY])
    monkeypatch.setattr(gpu, "batch_manifest", batch)
    monkeypatch.setattr(RunFolder, "records", records)
    plain, graphed = gpu.main(["--contents", "1"])
    assert asked == [("lite-48-1", False), ("lite-48-1-graphs", True)]
    assert (plain.graphs, graphed.graphs) == ("", problem or "graphs")
    first, second = capsys.readouterr().out.splitlines()
    assert "1 GPU: 1 picture" in first and f"1 GPU, {problem or 'graphs'}: 1 picture" in second


def test_the_roofline_grows_with_gpus_and_shrinks_with_work() -> None:
    small, large = gpu.Case("lite", 256, 50), gpu.Case("lite", 512, 300)
    assert gpu._roofline(small, 8, 1e15) == pytest.approx(8 * gpu._roofline(small, 1, 1e15))
    # 4 times the pixels, 6 times the steps.
    ratio = gpu._roofline(small, 1, 1e15) / gpu._roofline(large, 1, 1e15)
    assert ratio == pytest.approx(24, rel=0.01)


def test_how_busy_a_gpu_was_is_read_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    def popen(words: list[str], **given: object) -> SimpleNamespace:
        assert words[0] == "nvidia-smi" and words[words.index("-i") + 1] == "0,1"
        lines = iter(["97\n", "[N/A]\n", "99\n"])
        return SimpleNamespace(stdout=lines, terminate=lambda: ended.append(1))

    monkeypatch.setattr(subprocess, "Popen", popen)
    with gpu.watched(2) as busy:
        pass
    assert busy == [97.0, 99.0] and ended


def test_without_nvidia_smi_nobody_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def popen(words: list[str], **given: object) -> None:
        raise FileNotFoundError(words[0])

    monkeypatch.setattr(subprocess, "Popen", popen)
    with gpu.watched(1) as busy:
        assert busy == []
