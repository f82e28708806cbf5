"""Commands over a run folder that someone else made, or that was damaged or moved."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_run import EVIL, digest, small_run
from PIL import Image

from pipeline import commands, records
from pipeline.errors import ManifestError, RunFolderError
from pipeline.schedule import RunOptions
from pipeline.schedule.log import open_log
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


def test_the_best_are_found_where_an_input_cannot_be_decoded(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.png").write_bytes(b"no picture")
    falsified(run, "content", "path", str(tmp_path / "cut.png"))
    falsified(run, "content", "sha256", digest(tmp_path / "cut.png"))
    assert commands.rank_run(run, 3.0, None, 0, as_json=True) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 6 and "cut.png: not a picture" in said.err


def test_the_best_are_found_where_inputs_were_renamed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = PlanHeader(backbone=BackboneHeader(name="lite"), folder=str(tmp_path), run=str(run),
                        manifest=str(tmp_path / "m.yaml"))  # fmt: skip
    RunFolder(run).begin("", header.plain())
    (tmp_path / "m.yaml").write_text("output: run\ncontent: [a.png, c.png]\nstyle: red.png\n")
    (tmp_path / "b.png").rename(tmp_path / "c.png")
    assert commands.rank_run(run, 3.0, None, 0, as_json=True) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 7 and not said.err
    assert str(tmp_path / "c.png") in (run / "best.yaml").read_text()


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("content", "path", ""),
        ("style", "pictures", []),
        ("", "swept", {"size": [[[]]], "x": {"a": [1]}, "y": float("nan")}),
        ("", "seconds", {"read": float("inf")}),
        ("", "losses", [{"step": 1, "content": 1, "style": float("nan"), "tv": 0, "total": 0}]),
    ],
)
def test_a_record_that_says_nonsense_ends_no_command(
    run: Path, tmp_path: Path, part: str, name: str, value: object
) -> None:
    falsified(run, part, name, value)
    state = json.loads((run / "run.json").read_text())
    for seconds in (float("inf"), float("nan")):
        (run / "run.json").write_text(json.dumps({**state, "seconds": seconds, "utilization": 2}))
        assert commands.write_report(run) == 0
        commands.show_status(run, as_json=False)
    commands.write_sheet(run, "content", "style", tmp_path / "s.png", 32, None)
    assert commands.rank_run(run, 3.0, None, 0, as_json=True) == 0


def test_a_style_picture_without_a_path_is_nowhere(run: Path) -> None:
    path = next(iter(sorted((run / "images").rglob("*.json"))))
    record = json.loads(path.read_text())
    record["style"]["pictures"][0]["path"] = ""
    path.write_text(json.dumps(record))
    assert commands.write_report(run) == 0
    assert commands.rank_run(run, 3.0, None, 0, as_json=True) == 0


def test_inputs_on_another_drive_are_where_they_are(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def relative(path: str, start: str) -> str:
        raise ValueError("path is on mount 'C:', start on mount 'D:'")

    monkeypatch.setattr("pipeline.report.inputs.os.path.relpath", relative)
    assert commands.write_report(run) == 0
    assert list((run / "report/thumbs").glob("in-*"))


def test_failures_are_read_however_many_there_are(run: Path) -> None:
    failure = json.dumps({"name": "x{}", "error": "e" * 100})
    with (run / "failures.jsonl").open("w") as file:
        file.write("y" * 3_000_000 + "\n")
        for number in range(3000):
            file.write(failure.replace("{}", str(number)) + "\n")
    assert len(RunFolder(run).failures()) == 3000


def test_pictures_behind_a_link_are_told_and_no_page_is_lost(run: Path, tmp_path: Path) -> None:
    commands.write_report(run)
    before = (run / "report.html").read_bytes()
    (run / "images").rename(tmp_path / "disk")
    (run / "images").symlink_to(tmp_path / "disk")
    (tmp_path / "m.yaml").write_text("output: run\ncontent: a.png\nstyle: red.png\n")
    options = commands.Options("cpu")
    for act in (
        lambda: commands.write_report(run),
        lambda: list(records(run)),
        lambda: commands.show_plan(tmp_path / "m.yaml", options, as_json=False, measured=False),
    ):
        with pytest.raises(RunFolderError, match=r"images: cannot be written .leads out"):
            act()
    assert (run / "report.html").read_bytes() == before
    (run / "shards").symlink_to(tmp_path / "disk")
    with pytest.raises(RunFolderError, match=r"shards: cannot be written .leads out"):
        list(records(run))


def test_a_name_with_a_new_line_is_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = RunFolder(run)
    evil = "a\n2026-01-01 00:00:00,000 INFO all is well"
    store.write_summary(Summary(jobs=1, problem=evil))
    commands.show_status(run, as_json=False)
    assert "\n2026-01-01 00:00:00,000 INFO" not in capsys.readouterr().out
    with open_log(store) as log:
        log.error("failed: %s", evil)
    assert "\n2026-01-01 00:00:00,000 INFO" not in store.log.read_text()
    assert "\n    2026-01-01 00:00:00,000 INFO" in store.log.read_text()
    assert "\n2026" not in str(ManifestError([evil]))


def test_a_run_without_jobs_writes_no_page_through_a_link(tmp_path: Path, other: Path) -> None:
    run = tmp_path / "empty"
    store = RunFolder(run)
    store.begin("", PlanHeader(backbone=BackboneHeader(name="lite")).plain())
    (run / "report").mkdir()
    (run / "report/detail").symlink_to(other)
    with pytest.raises(RunFolderError, match=r"detail: cannot be written .leads out"):
        commands.write_report(run)
