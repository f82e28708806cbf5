"""What is said before a run begins and after it has ended: on standard error, in its log, in
`run.json`."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batches import INLINE, Said

from pipeline.commands import batch_manifest
from pipeline.commands.afterwards import Afterwards
from pipeline.errors import RunFolderError
from pipeline.plan import parse_rules
from pipeline.schedule import RunOptions
from pipeline.store import RunFolder, Summary

MANIFEST = """
output: run
content: c.png
style: s.png
backbone: lite
settings: {size: 48, steps: 1, scale_start: 0, preset: classic}
"""


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("c.png", 1), picture("s.png", 2)
    (tmp_path / "m.yaml").write_text(MANIFEST)
    return tmp_path / "m.yaml"


def warned(run: Path, name: str = "run") -> tuple[dict[str, int], list[str]]:
    """What `run.json` counts, and the log's warnings without their times."""
    counted = json.loads((run / f"{name}.json").read_text())["warnings"]
    lines = (run / f"{name}.log").read_text().splitlines()
    return counted, [line.split(" ", 2)[2] for line in lines if " WARNING " in line]


def test_what_is_told_before_the_run_is_in_its_log_and_counted(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    redo = replace(INLINE.run, redo=parse_rules("--redo", ["style=s"]))
    options = replace(INLINE, run=redo, given={"tv_weight": 2.0})
    assert batch_manifest(manifest, options, quiet=True) == 0
    counted, said = warned(manifest.parent / "run")
    assert counted == {"nothing_redone": 1, "set_for_once": 1}
    assert said == [
        "nothing_redone: --redo chose none of the jobs that are done",
        "set_for_once: --set tv_weight=2.0: for this run; pictures of other settings are made anew",
    ]
    assert [line.partition(": ")[2] for line in said] == capsys.readouterr().err.splitlines()


def test_a_report_and_a_table_that_cannot_be_made_are_noted(
    manifest: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: Any, **more: Any) -> None:
        raise RunFolderError("no room")

    monkeypatch.setattr("pipeline.report.build_report", full)
    monkeypatch.setattr("pipeline.commands.afterwards.write_own_table", full)
    assert batch_manifest(manifest, INLINE) == 0
    shown = capsys.readouterr()
    assert "warnings: 2 no_report (each is in run.log)" in shown.out
    counted, said = warned(manifest.parent / "run")
    assert counted == {"no_report": 2}
    assert said == ["no_report: no report: no room", "no_report: no table: no room"]


def test_a_later_run_keeps_its_own_counts_and_a_shard_has_its_own_files(tmp_path: Path) -> None:
    mine = Summary(jobs=1, started="2026-01-01T00:00:00+00:00", part="1-of-2", ended=True)
    store = RunFolder(tmp_path, "1-of-2")
    store.begin("", {})
    store.write_summary(mine)
    Afterwards(tmp_path, mine, RunOptions(), Said()).warn("not_told", "nobody there")
    assert warned(tmp_path, "run-1-of-2") == ({"not_told": 1}, ["not_told: nobody there"])
    assert not (tmp_path / "run.json").exists()
    store.write_summary(Summary(jobs=1, started="2026-01-01T00:00:09+00:00", part="1-of-2"))
    Afterwards(tmp_path, mine, RunOptions(), Said()).warn("not_told", "nobody there")
    counted, said = warned(tmp_path, "run-1-of-2")
    assert counted == {} and len(said) == 2


def test_a_disk_without_room_does_not_end_what_comes_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: Any, **more: Any) -> None:
        raise RunFolderError("no room")

    monkeypatch.setattr(RunFolder, "write_summary", full)
    mine, said = Summary(jobs=1, started="2026-01-01T00:00:00+00:00"), Said()
    monkeypatch.setattr(RunFolder, "summaries", lambda store: {"": mine})
    Afterwards(tmp_path, mine, RunOptions(), said).warn("not_told", "nobody there")
    assert said.lines == ["nobody there"] and mine.warnings == {"not_told": 1}
