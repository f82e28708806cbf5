"""What `benchmarks/budget.py` makes, measures and draws."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import budget
from judge import Figures

from pipeline import records
from pipeline.manifest import Settings


def test_every_budget_is_of_settings_that_there_are() -> None:
    for settings in budget.BUDGETS.values():
        assert Settings.model_validate({"size": 384, **settings}).problem() is None


NAMES = ("draft", "fast", "1 feed-forward")


class FakeJudge:
    """Likes pictures by their file's folder."""

    def score(self, picture: Path, content: Path, style: Path) -> Figures:
        assert picture.exists()
        value = 0.5 if budget.PEER in str(picture) else 0.25
        return Figures(value, value / 2, 1.0)


def test_budgets_are_compared_with_a_peer(
    tmp_path: Path,
    picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture("c.png", 1), picture("s.png", 2)
    (tmp_path / "pairs.csv").write_text("content,style\nc.png,s.png\n")

    def stylize(command: list[str], **more: object) -> None:
        Image.open(command[4]).save(command[-1])

    monkeypatch.setattr(budget, "Judge", FakeJudge)
    monkeypatch.setattr(subprocess, "run", stylize)
    monkeypatch.setattr(budget.importlib.util, "find_spec", lambda name: name)
    words = ["--pairs", tmp_path / "pairs.csv", "--size", "48", "--out", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", ["budget", *map(str, words), "--budgets", *NAMES])
    budget.main()
    lines = capsys.readouterr().out.splitlines()
    rows: dict[str, Any] = {json.loads(line)["budget"]: json.loads(line) for line in lines[:4]}
    assert set(rows) == {*NAMES, budget.PEER}
    assert rows["draft"]["below the peer"] == 1 and rows[budget.PEER]["below the peer"] == 0
    assert rows["fast"]["style"] == 0.25 and rows["fast"]["seconds"] > 0
    for path in lines[4:]:
        Image.open(path).verify()
    (record,) = records(tmp_path / "out/lite_48/1_feed-forward/run")
    start = tmp_path / "out/lite_48" / budget.PEER / "c__s.png"
    assert record["record"]["settings"]["init"] == str(start)


def test_a_budget_that_cannot_be_made_ends_the_benchmark(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    pair = (picture("c.png", 1), picture("s.png", 2))
    with pytest.raises(SystemExit, match="needs sides of at least"):
        budget.make([pair], {"scale_start": 0}, 16, "lite", tmp_path / "out", {})
