"""`nst sheet`: names that no picture has are told."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_run import small_run

from pipeline.commands import choose_pictures, write_sheet
from pipeline.store import RunFolder


def test_names_that_no_picture_has_are_told(
    tmp_path: Path, picture: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_run(tmp_path / "run", picture)
    (run / "run.json").write_text('{"jobs": 8}')
    name = next(iter(RunFolder(run).records())).name
    (tmp_path / "f.txt").write_text(f"{name}\nnone__wave\n")
    chosen = choose_pictures([str(tmp_path / "f.txt")], ["*__nope", "also"], None)
    out = tmp_path / "s.png"
    assert write_sheet(run, None, None, out, 32, None, chosen) == 0
    said = capsys.readouterr().err
    assert f"--favorites: no picture in {run} has the name 'none__wave'\n" in said
    assert f"--reject: no picture in {run} has the name '*__nope', 'also'\n" in said
    assert write_sheet(run, None, None, out, 32, None, choose_pictures([name], [], None)) == 0
    assert capsys.readouterr().err == ""
