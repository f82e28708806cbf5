"""Pictures that no job makes any more, and inputs that only have another name."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batches import INLINE, Said, assert_whole, records, summary
from clips import moving, write_frames
from PIL import Image

from pipeline import records as rows_of
from pipeline.commands import (
    batch_manifest,
    clean_run,
    move_stale,
    run_manifest,
    show_plan,
    show_status,
    write_report,
    write_sheet,
)
from pipeline.errors import RunFolderError
from pipeline.manifest import load_manifest
from pipeline.plan import Choice, parse_rules
from pipeline.report import write_table
from pipeline.store import RunFolder

Capture = pytest.CaptureFixture[str]
Picture = Callable[..., Path]
TINY = "settings: {size: 48, steps: 1, scale_start: 0}\n"


def manifest(folder: Path, more: str = "", output: str = "run") -> Path:
    path = folder / "m.yaml"
    path.write_text(f"output: {output}\ncontent: c\nstyle: s\nbackbone: lite\n{TINY}{more}")
    return path


@pytest.fixture
def folder(tmp_path: Path, picture: Picture) -> Path:
    """A run of two contents with one style that is done."""
    picture("c/x/a.png", 1), picture("c/b.png", 2), picture("s/s.png", 3)
    assert run(manifest(tmp_path)) == (2, 0)
    return tmp_path


def run(path: Path) -> tuple[int, int]:
    summary = run_manifest(load_manifest(path), INLINE, Said())
    return summary.done, summary.already_done


def names(folder: Path) -> list[str]:
    return [name.removesuffix(".json") for name in records(folder / "run")]


def test_other_settings_leave_the_old_pictures_and_it_is_said(
    folder: Path, capsys: Capture
) -> None:
    path = manifest(folder, "grid: {seed: [3, 4]}\n")
    assert batch_manifest(path, INLINE) == 0
    command = f"nst clean {folder / 'run'} --stale"
    assert f"2 other pictures there are of no job any more; {command}" in capsys.readouterr().out
    assert summary(folder / "run")["stale"] == 2
    batch_manifest(path, INLINE)
    said = capsys.readouterr().out
    assert "nothing to do" in said and command in said
    assert len(RunFolder(folder / "run").stale()) == 2


def test_stale_pictures_are_in_no_status_report_or_sheet(folder: Path, capsys: Capture) -> None:
    batch_manifest(manifest(folder, "grid: {seed: [3]}\n"), INLINE, quiet=True)
    capsys.readouterr()
    write_report(folder / "run")
    said = capsys.readouterr().out
    assert "2 jobs" in said and "2 other pictures there are of no job" in said
    assert "2 pictures of no job any more" in (folder / "run/report.html").read_text()
    show_status(folder / "run", as_json=False)
    said = capsys.readouterr().out
    assert "2 of 2 jobs done" in said and "2 other pictures there are" in said
    show_status(folder / "run", as_json=True)
    stale = json.loads(capsys.readouterr().out)["stale"]
    assert sorted(stale) == ["images/b.png__s.png", "images/x/a.png__s.png"]
    assert {row["seed"] for row in rows_of(folder / "run")} == {3}
    write_sheet(folder / "run", "content", "seed", folder / "s.png", 32, None)


def test_cleaning_moves_them_aside_and_nothing_else(folder: Path, capsys: Capture) -> None:
    old = {p.name: p.read_bytes() for p in (folder / "run/images").rglob("*.png")}
    path = manifest(folder, "grid: {seed: [3]}\n")
    batch_manifest(path, INLINE, quiet=True)
    capsys.readouterr()
    move_stale(folder / "run")
    said = capsys.readouterr().out.splitlines()
    assert sorted(said[:2]) == ["images/b.png__s.png", "images/x/a.png__s.png"]
    assert said[2] == f"2 pictures moved to {folder / 'run/stale'}"
    aside = {p.name: p.read_bytes() for p in (folder / "run/stale/images").rglob("*.png")}
    assert aside == old and len(list((folder / "run/stale").rglob("*.json"))) == 2
    assert_whole(folder / "run", 2)
    move_stale(folder / "run")
    assert capsys.readouterr().out == "nothing is stale\n"
    # The same ones again: they lie beside those that were moved before.
    batch_manifest(manifest(folder), INLINE, quiet=True)
    batch_manifest(path, INLINE, quiet=True)
    move_stale(folder / "run")
    assert len(list((folder / "run/stale").rglob("*.png"))) == 4
    assert run(path) == (0, 2) and summary(folder / "run")["stale"] == 0


def test_frames_and_animations_go_along(folder: Path) -> None:
    kept = TINY.replace("steps: 1", "steps: 2, save_every: 1, animation: gif")
    path = folder / "m.yaml"
    path.write_text(path.read_text().replace(TINY, kept))
    assert run(path) == (2, 0)
    (folder / "c/b.png").rename(folder / "c/renamed.png")
    assert run(path) == (0, 2)
    record = records(folder / "run")["renamed.png__s.json"]
    assert (folder / "run" / record["animation"]).exists()
    assert (folder / "run/frames/renamed.png__s").is_dir()
    (folder / "c/renamed.png").unlink()
    assert run(path) == (0, 1)
    move_stale(folder / "run")
    there = {p.relative_to(folder / "run/stale").parts[0]
             for p in (folder / "run/stale").rglob("*") if p.is_file()}  # fmt: skip
    assert there == {"images", "frames", "animations"}
    assert not (folder / "run/frames/renamed.png__s").exists()


def test_another_format_leaves_pictures_that_no_record_names(folder: Path) -> None:
    path = folder / "m.yaml"
    path.write_text(path.read_text().replace("size: 48", "size: 48, format: jpg"))
    Image.new("RGB", (9, 9)).save(folder / "run/images/mine.png")
    assert run(path) == (2, 0)
    stale = RunFolder(folder / "run").stale()
    assert sorted(stale) == ["images/b.png__s.png", "images/x/a.png__s.png"]
    move_stale(folder / "run")
    assert sorted(p.name for p in (folder / "run/images").rglob("*") if p.is_file()) == [
        "a.png__s.jpg", "a.png__s.json", "b.png__s.jpg", "b.png__s.json", "mine.png"
    ]  # fmt: skip


def test_renamed_and_moved_inputs_take_their_pictures_along(folder: Path, capsys: Capture) -> None:
    before = {r["key"]: r for r in records(folder / "run").values()}
    (folder / "c/b.png").rename(folder / "c/renamed.png")
    (folder / "c/x").rename(folder / "c/y")
    (folder / "s/s.png").rename(folder / "s/wave.png")
    assert batch_manifest(folder / "m.yaml", INLINE) == 0
    said = capsys.readouterr().out
    assert "2 pictures of renamed or moved inputs taken along, not made again" in said
    assert "nothing to do: 2 of 2" in said and "of no job" not in said
    assert names(folder) == ["renamed.png__wave", "y/a.png__wave"]
    assert_whole(folder / "run", 2)
    for record in records(folder / "run").values():
        old = before[record["key"]]
        assert record["output"]["sha256"] == old["output"]["sha256"]
        assert record["finished"] == old["finished"]
        assert Path(record["content"]["path"]).exists()
        assert Path(record["style"]["pictures"][0]["path"]) == folder / "s/wave.png"
        assert record["style"]["name"] == "wave"
    assert not list((folder / "run/images").rglob("b.png*"))
    assert not (folder / "run/frames").exists() and not (folder / "run/animations").exists()
    page = (folder / "run/report.html").read_text()
    assert "renamed.png__wave" in page and "b.png__s" not in page
    assert run(folder / "m.yaml") == (0, 2)


def test_a_clip_that_was_renamed_is_no_clip_more(tmp_path: Path, picture: Picture) -> None:
    pytest.importorskip("cv2"), pytest.importorskip("av")
    write_frames(tmp_path / "one", moving(3))
    picture("s.png")
    text = "output: run\ncontent: {}/%04d.png\nstyle: s.png\nbackbone: lite\n"
    text += "settings: {{size: 48, steps: 1, clip_steps: 1, scale_start: 0}}\n"
    (tmp_path / "m.yaml").write_text(text.format("one"))
    assert run(tmp_path / "m.yaml") == (3, 0)
    (tmp_path / "one").rename(tmp_path / "two")
    (tmp_path / "m.yaml").write_text(text.format("two"))
    assert run(tmp_path / "m.yaml") == (0, 3)
    found = records(tmp_path / "run")
    assert list(found) == [f"two/{n:04}__s.json" for n in (1, 2, 3)]
    assert [r["clip"]["before"] for r in found.values()] == [None, "two/0001__s", "two/0002__s"]
    assert {(r["clip"]["video"], r["clip"]["frames"]) for r in found.values()} == {("two__s", 3)}
    assert (tmp_path / "run/videos/two__s.mp4").exists()


def test_an_exact_copy_beside_is_a_job_of_its_own(folder: Path) -> None:
    (folder / "c/copy.png").write_bytes((folder / "c/b.png").read_bytes())
    assert run(folder / "m.yaml") == (1, 2)
    (folder / "c/b.png").rename(folder / "c/one.png")
    (folder / "c/copy.png").rename(folder / "c/two.png")
    assert run(folder / "m.yaml") == (0, 3)


def test_a_label_of_the_dataset_is_no_record(folder: Path) -> None:
    (folder / "c/labels.json").write_text('{"schema": 1}')
    path = manifest(folder, output="{path: run, others: copy}")
    assert run(path) == (0, 2) and RunFolder(folder / "run").stale() == []
    move_stale(folder / "run")
    assert (folder / "run/images/labels.json").exists()


def test_records_that_are_not_so_move_nothing_of_others(folder: Path) -> None:
    """A stray record names a job's picture, another the manifest as its animation."""
    good = folder / "run/images/b.png__s.json"
    record = json.loads(good.read_text())
    (good.parent / "stray.json").write_text(json.dumps({**record, "name": "stray"}))
    other = {**record, "name": "y", "key": "e" * 64, "animation": "manifest.yaml"}
    other["output"] = {**record["output"], "path": "images/y.png"}
    (good.parent / "y.json").write_text(json.dumps(other))
    (good.parent / "y.png").write_bytes(good.with_suffix(".png").read_bytes())
    assert run(folder / "m.yaml") == (0, 2)
    assert RunFolder(folder / "run").stale() == ["images/y.png"]
    move_stale(folder / "run")
    assert (folder / "run/manifest.yaml").exists()
    assert_whole(folder / "run", 3)  # with the stray one, whose picture is b's


def test_a_picture_that_was_cut_is_made_again(folder: Path) -> None:
    (folder / "c/b.png").rename(folder / "c/renamed.png")
    picture = folder / "run/images/b.png__s.png"
    picture.write_bytes(picture.read_bytes()[:-9])
    assert run(folder / "m.yaml") == (1, 1)


def test_a_list_that_names_files_elsewhere_is_none(folder: Path) -> None:
    for text in ('{"pictures": ["../m.yaml"]}', '{"pictures": ["images/../m.yaml"]}', "[", "{}",
                 '{"pictures": ["run.json"]}'):  # fmt: skip
        (folder / "run/stale.json").write_text(text)
        assert RunFolder(folder / "run").stale() == []
        move_stale(folder / "run")
    assert (folder / "m.yaml").exists()


def test_what_cannot_be_moved_is_told(folder: Path, tmp_path: Path) -> None:
    batch_manifest(manifest(folder, "grid: {seed: [3]}\n"), INLINE, quiet=True)
    (folder / "elsewhere").mkdir()
    (folder / "run/stale").symlink_to(folder / "elsewhere")
    with pytest.raises(RunFolderError, match=r"run/stale: cannot be written \(leads out"):
        move_stale(folder / "run")
    assert not list((folder / "elsewhere").iterdir())
    for act in (move_stale, clean_run):
        with pytest.raises(RunFolderError, match=r"no run folder \(no plan.json"):
            act(folder / "nowhere")


def test_a_run_whose_pictures_cannot_be_taken_along_ends_in_order(folder: Path) -> None:
    (folder / "c/b.png").rename(folder / "c/renamed.png")
    (folder / "run/images/renamed.png__s.png").mkdir()
    summary = run_manifest(load_manifest(folder / "m.yaml"), INLINE, Said())
    assert "renamed.png__s.png: cannot be written" in summary.problem
    assert summary.exit_code == 1


@pytest.mark.parametrize("part", [{"shard": (1, 2)}, {"only": "content=b"}, {"failed_only": True}])
def test_a_part_of_a_run_calls_nothing_stale_that_the_rest_would_take_along(
    folder: Path, part: dict[str, Any]
) -> None:
    (folder / "c/x/a.png").rename(folder / "c/x/renamed.png")
    path = manifest(folder)
    only = part.pop("only", None)
    choice = Choice(parse_rules("--only", [only])) if only else Choice()
    options = replace(INLINE, run=replace(INLINE.run, choice=choice, **part))
    batch_manifest(path, options, quiet=True)
    assert RunFolder(folder / "run").stale() == []
    batch_manifest(path, INLINE, quiet=True)
    assert names(folder) == ["b.png__s", "x/renamed.png__s"]
    assert summary(folder / "run")["done"] == 0  # nothing was made again


def test_a_part_of_a_run_leaves_what_was_stale_before(folder: Path) -> None:
    path = manifest(folder, "grid: {seed: [3]}\n")
    batch_manifest(path, INLINE, quiet=True)
    before = RunFolder(folder / "run").stale()
    choice = Choice(parse_rules("--only", ["content=b"]))
    batch_manifest(path, replace(INLINE, run=replace(INLINE.run, choice=choice)), quiet=True)
    assert RunFolder(folder / "run").stale() == before and len(before) == 2


def test_what_another_format_left_aside_is_no_more_stale_when_a_part_makes_it_again(
    folder: Path, capsys: Capture
) -> None:
    """`--set format=jpg` once leaves every PNG aside; a later run of a part makes one again."""
    path = manifest(folder)
    run = RunFolder(folder / "run")
    batch_manifest(path, INLINE, quiet=True)
    batch_manifest(path, replace(INLINE, given={"format": "jpg"}), quiet=True)
    assert len(run.stale()) == 2
    choice = Choice(parse_rules("--only", ["content=b"]))
    batch_manifest(path, replace(INLINE, run=replace(INLINE.run, choice=choice)), quiet=True)
    run = RunFolder(folder / "run")
    assert {record.output.path for record in run.records()} == {
        "images/b.png__s.png", "images/x/a.png__s.jpg"
    }  # fmt: skip
    assert run.stale() == []
    move_stale(folder / "run")
    assert (folder / "run/images/b.png__s.png").is_file()
    capsys.readouterr()
    show_status(folder / "run", as_json=False)
    assert "of no job" not in capsys.readouterr().out


def test_a_failure_stands_no_more_when_its_input_is_back(folder: Path, capsys: Capture) -> None:
    whole = (folder / "c/b.png").read_bytes()
    (folder / "c/b.png").write_bytes(whole[:200])
    assert batch_manifest(manifest(folder), INLINE, quiet=True) == 1
    assert show_status(folder / "run", as_json=False) == 1
    write_table(RunFolder(folder / "run"), folder / "t.csv")
    rows = {row["name"]: row["status"] for row in csv.DictReader((folder / "t.csv").open())}
    assert rows == {"x/a.png__s": "done", "b.png__s": "failed"}
    (folder / "c/b.png").write_bytes(whole)
    assert batch_manifest(manifest(folder), INLINE, quiet=True) == 0
    assert show_status(folder / "run", as_json=False) == 0
    (folder / "c/b.png").write_bytes(whole[:200])  # and another one stands
    assert batch_manifest(manifest(folder), INLINE, quiet=True) == 1
    assert show_status(folder / "run", as_json=False) == 1


def test_an_excluded_job_is_none_and_its_picture_can_be_moved_aside(
    folder: Path, capsys: Capture
) -> None:
    (folder / "rejected.txt").write_text("# rejected\nx/a.png__s.png\nb.png__other\n")
    path = manifest(folder, "exclude: rejected.txt\n")
    assert batch_manifest(path, INLINE) == 0
    said = capsys.readouterr()
    assert "nothing to do: 1 of 1 job is done" in said.out and "1 other picture" in said.out
    assert "exclude: 'b.png__other' names no job" in said.out + said.err
    assert RunFolder(folder / "run").stale() == ["images/x/a.png__s.png"]
    show_plan(path, INLINE, as_json=False, measured=False)
    said = capsys.readouterr()
    assert "left out by exclude: 1 job" in said.out and "names no job" in said.out + said.err
    move_stale(folder / "run")
    assert names(folder) == ["b.png__s"]
    assert batch_manifest(manifest(folder), INLINE, quiet=True) == 0  # no more: made again
    assert sorted(names(folder)) == ["b.png__s", "x/a.png__s"]
