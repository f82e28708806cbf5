"""A device is asked in a process of its own whether it works."""

import os
import stat
import sys
from pathlib import Path

import pytest

from pipeline.slot import Health, ask_devices, cards, install_torch
from pipeline.slot.preflight import to_json


def say(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Has the process run this instead of its check; `device` is what it was asked about."""
    monkeypatch.setattr(
        "pipeline.slot.preflight._command",
        lambda device: [sys.executable, "-c", f"device = {device!r}\n{code}"],
    )


def test_the_cpu_convolves_in_a_process_of_its_own() -> None:
    (health,) = ask_devices(["cpu", "cpu"])
    assert health.device == "cpu" and not health.problem
    assert health.precision in ("fp32", "bf16")


def test_a_gpu_is_asked_alone_and_answers_under_its_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa,GPU-bb")
    answer = to_json(Health("cuda:0", "a card", "8.9", 1, 2, "bf16"))
    say(
        monkeypatch,
        f"import os; print('torch says hello'); print({answer!r}"
        ".replace('a card', os.environ['CUDA_VISIBLE_DEVICES']))",
    )
    first, second = ask_devices(["cuda:0", "cuda:1"])
    assert first == Health("cuda:0", "GPU-aa", "8.9", 1, 2, "bf16")
    assert second.device == "cuda:1" and second.name == "GPU-bb"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import os; os.abort()", "its check was killed by SIGABRT"),
        ("raise SystemExit('no library')", "its check ended with exit code 1: no library"),
        ("print('[1]')", "its check ended with exit code 0: nothing was said"),
        ("print('{}')", "its check ended with exit code 0"),
        ("import time; time.sleep(60)", "did not answer within 1 s"),
    ],
)
def test_a_device_that_kills_hangs_or_raves_costs_its_own_check(
    code: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = to_json(Health("cuda:0", "a card"))
    say(monkeypatch, f"if device == 'cpu':\n    print({answer!r})\nelse:\n    {code}")
    health, other = ask_devices(["cuda:0", "cpu"], answers_s=1.0 if "sleep" in code else 60.0)
    assert health.problem.startswith(problem) and "nvidia-smi" in health.mend
    assert health.reason.startswith(f"cuda:0: {problem}")
    assert other.name == "a card" and not other.problem


# --- cards that torch does not see ----------------------------------------------------------------


def tool(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An `nvidia-smi` of this script, before all others."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(os.name == "nt", reason="the tool of these tests is a shell script")
@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("echo 'NVIDIA GeForce RTX 4090, 8.9'", [("NVIDIA GeForce RTX 4090", "8.9")]),
        ('[ "$1" = --query-gpu=name ] && echo Tesla K80 || exit 2', [("Tesla K80", "")]),
        ("echo 'no driver'; exit 9", []),
        ("exit 0", []),
    ],
)
def test_cards_are_those_that_the_drivers_tool_shows(
    script: str, shown: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(tmp_path, monkeypatch, script)
    assert cards() == shown


def test_without_the_tool_no_card_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cards() == []
    monkeypatch.setattr("shutil.which", lambda name: str(tmp_path))  # what cannot be started
    assert cards() == []


def test_newer_cards_get_a_newer_build() -> None:
    assert install_torch("6.1").endswith("/cu126") and install_torch().endswith("/cu126")
    assert install_torch("12.0").endswith("/cu128")
