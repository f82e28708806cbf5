"""A fixed number of damaged and hostile inputs of each kind; `campaign.py` tries as many as wanted.

Each case is drawn from its number: `python tests/fuzz/campaign.py SUBJECT --only NUMBER` tries it
alone.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.campaign import SUBJECTS, faults
from fuzz.watch import watch
from pipeline.errors import ManifestError

_LONGEST_S = 60.0  # on a machine that does something else, too; the campaign's limit is stricter
_BUDGET = {"manifest": 200, "map": 200, "settings": 200, "command": 100, "run": 500, "cache": 100,
           "weights": 100, "picture": 100, "own": 100, "set": 100}  # fmt: skip
_PARTS = [
    (name, range(start, min(start + 100, budget)))
    for name, budget in _BUDGET.items()
    for start in range(0, budget, 100)
]


@pytest.mark.parametrize(("name", "cases"), _PARTS, ids=[f"{n}-{c.start}" for n, c in _PARTS])
def test_nothing_foreign_comes_of_damaged_input(
    name: str, cases: range, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a power cut is not what is tried here
    assert faults(name, tmp_path, cases, _LONGEST_S) == {}


def test_every_subject_has_a_budget() -> None:
    assert set(_BUDGET) == set(SUBJECTS)


def test_the_watch_sees_what_it_is_for(tmp_path: Path) -> None:
    def fails() -> None:
        raise TypeError("not ours")

    def own() -> None:
        raise ManifestError(["ours"])

    def hangs() -> None:
        (tmp_path / "pipe").open("rb").read()

    os.mkfifo(tmp_path / "pipe")
    assert watch(fails).startswith("TypeError: 'not ours'") and watch(own) == ""
    assert watch(hangs, longest_s=0.2) == "over 0.2 s"
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # A test process that has grown takes its time to take so much more.
    assert watch(lambda: b"x" * (most + 1_100_000_000), longest_s=_LONGEST_S) == "over 1 GB"
    assert watch(lambda: subprocess.run([sys.executable, "-c", ""], check=True)).startswith("start")
    assert watch(lambda: sys.exit(3)) == "exit with 3"
