"""Commands over a run folder that someone else made, or that was damaged or moved."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_run import EVIL, small_run
from PIL import Image

from pipeline import commands
from pipeline.errors import RunFolderError
from pipeline.schedule import RunOptions
from pipeline.store import BackboneHeader, PlanHeader, RunFolder, Summary


@pytest.fixture
def run(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    run = small_run(tmp_path / "run", picture)
    store = RunFolder(run)
    header = PlanHeader(backbone=BackboneHeader(name="lite"), folder=str(tmp_path), run=str(run))
    store.begin("", header.plain())
    store.write_summary(Summary(jobs=8, done=7, failed=1, ended=True))
    return run


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """A folder beside that is as it was afterwards."""
    other = tmp_path / "other"
    (other / "checkpoints").mkdir(parents=True)
    for name in ("00000.js", "99999.js", "x.webp", "checkpoints/k.safetensors", "run.json"):
        (other / name).write_text("precious")
    Image.new("RGB", (9, 9), (1, 2, 3)).save(other / "private.png")
    before = {p: p.read_bytes() for p in other.rglob("*") if p.is_file()}
    yield other
    assert before == {p: p.read_bytes() for p in other.rglob("*") if p.is_file()}


def falsified(run: Path, part: str, name: str, value: object) -> None:
    """Has the first record say something else."""
    path = next(iter(sorted((run / "images").rglob("*.json"))))
    record = json.loads(path.read_text())
    (record[part] if part else record)[name] = value
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("linked", ["report", "report/detail", "report/thumbs"])
def test_a_report_is_not_written_through_links(run: Path, other: Path, linked: str) -> None:
    (run / linked).parent.mkdir(exist_ok=True)
    (run / linked).symlink_to(other)
    with pytest.raises(RunFolderError, match="leads out of the run folder"):
        commands.write_report(run)


@pytest.mark.parametrize(
    ("part", "name"), [("output", "path"), ("output", "sha256"), ("", "name"), ("", "animation")]
)
def test_a_record_that_names_files_elsewhere_is_left_out(
    run: Path, other: Path, part: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in (str(other / "private.png"), "../other/private.png", "images/../../other/x"):
        falsified(run, part, name, value)
        assert commands.write_report(run) == 0
        said = capsys.readouterr()
        assert "7 jobs" in said.out and "left out 1 that cannot be read: images/a__" in said.err
        page = (run / "report.html").read_text()
        assert "private" not in page.split("left out")[0]


def test_a_picture_elsewhere_is_in_no_page(run: Path, other: Path) -> None:
    falsified(run, "content", "path", str(other / "private.png"))
    for path in (run / "images").rglob("*.png"):
        path.unlink()
        path.symlink_to(other / "private.png")
    commands.write_report(run)
    shown = [Image.open(p).convert("RGB") for p in (run / "report/thumbs").glob("*.webp")]
    assert shown and all(image.size != (9, 9) for image in shown)


def test_a_pipe_as_content_is_not_waited_for(run: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    falsified(run, "content", "path", str(tmp_path / "pipe.png"))
    assert commands.write_report(run) == 0


def test_cleaning_deletes_nothing_elsewhere(
    run: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "frames").symlink_to(other)
    commands.clean_run(run)
    assert capsys.readouterr().out == "0 files of 0.0 MiB deleted\n"
    assert not (run / "frames").is_symlink()
    shutil.rmtree(run / ".nst")
    (run / ".nst").symlink_to(other)
    with pytest.raises(RunFolderError, match="leads out of the run folder"):
        commands.clean_run(run)


@pytest.mark.parametrize("file", ["run.log", "failures.jsonl", ".nst/run.lock", "pairs.csv"])
def test_a_run_adds_to_no_file_elsewhere(run: Path, other: Path, tmp_path: Path, file: str) -> None:
    (run / file).unlink(missing_ok=True)
    (run / file).symlink_to(other / "run.json")
    (tmp_path / "m.yaml").write_text(
        "output: run\ncontent: a.png\nstyle: [red.png, blue.png]\nbackbone: lite\n"
        "pairing: {sample: 1}\nsettings: {size: 48, steps: 1, preset: draft, init: missing.png}\n"
    )
    Image.new("RGB", (48, 48)).save(tmp_path / "missing.png")
    with contextlib.suppress(RunFolderError):
        inline = commands.Options("cpu", run=RunOptions(engine="inline"))
        commands.batch_manifest(tmp_path / "m.yaml", inline, quiet=True)


def test_names_with_escapes_are_spelled_out(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = RunFolder(run)
    evil = f"\x1b[2J{EVIL}\x9b"
    store.write_summary(Summary(jobs=1, next=[evil], problem=evil, videos_failed={evil: evil}))
    for as_json in (False, True):
        commands.show_status(run, as_json=as_json)
        said = capsys.readouterr().out
        assert "[2J" in said and "\x1b" not in said and "\x9b" not in said


@pytest.mark.parametrize("data", [b"[]", b"{}", b"\xff", b'{"jobs": 1e999}', b"[" * 100_000])
def test_damaged_files_of_a_run_are_passed_over_and_counted(
    run: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "run.json").write_bytes(data)
    (run / "failures.jsonl").write_bytes('{"name": "ä'.encode()[:-1])
    assert commands.show_status(run, as_json=False) == 0
    assert "left out 1 that cannot be read: run.json: " in capsys.readouterr().err
    (run / "plan.json").write_bytes(data)
    with pytest.raises(RunFolderError, match=r"nothing of a run can be read there \(run.json: "):
        commands.show_status(run, as_json=False)


def test_the_best_are_found_after_all_was_moved(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    for name in ("run", "a.png", "b.png", "red.png", "blue.png"):
        (tmp_path / name).rename(new / name)
    (new / "b.png").write_bytes(b"another picture")
    assert commands.rank_run(new / "run", 3.0, None, 0, as_json=True) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 4  # of b nothing is known any more
    assert f"left out 1 that cannot be read: {tmp_path / 'b.png'}: is gone, or another" in said.err
    assert str(new / "a.png") in (new / "run/best.yaml").read_text()
