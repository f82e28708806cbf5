"""Names of outputs from one run of a folder to the next, and what lies beside the pictures."""

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from batches import INLINE, Said, records
from PIL import Image

from pipeline.commands import batch_manifest, beside, run_manifest, show_plan
from pipeline.commands.prepare import keep_names
from pipeline.errors import ManifestError, RunFolderError
from pipeline.files import tells_case
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.store import RunFolder

Write = Callable[..., Path]
TINY = "settings: {size: 48, steps: 1, scale_start: 0}\n"


@pytest.fixture
def write(tmp_path: Path, picture: Callable[..., Path]) -> Write:
    """Writes a manifest over the folder `c` and the style `s.png`."""
    picture("c/x/a.png", 1), picture("c/b.png", 2), picture("s/s.png", 3)

    def made(output: str = "run", more: str = "", folder: str = ".") -> Path:
        path = tmp_path / folder / "m.yaml"
        path.write_text(f"output: {output}\ncontent: c\nstyle: s\nbackbone: lite\n{TINY}{more}")
        return path

    return made


def run(path: Path) -> tuple[int, int]:
    summary = run_manifest(load_manifest(path), INLINE, Said())
    return summary.done, summary.already_done


def names(folder: Path) -> list[str]:
    return sorted(name.removesuffix(".json") for name in records(folder / "run"))


def test_a_dataset_that_is_copied_elsewhere_is_done_there(write: Write, tmp_path: Path) -> None:
    assert run(write()) == (2, 0)
    assert names(tmp_path) == ["b.png__s", "x/a.png__s"]
    shutil.copytree(tmp_path, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("elsewhere"))
    assert run(tmp_path / "elsewhere/m.yaml") == (0, 2)


def test_files_that_come_rename_nothing(
    write: Write, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    assert run(write()) == (2, 0)
    picture("c/b.jpg", 4), picture("s/s.jpg", 5)
    assert run(write()) == (4, 2)
    kept = ["b.png__s", "x/a.png__s"]
    assert names(tmp_path) == sorted(
        ["b.jpg__s", "b.jpg__s-jpg", "b.png__s-jpg", "x/a.png__s-jpg", *kept]
    )
    (tmp_path / "s/s.png").unlink(), (tmp_path / "c/b.png").unlink()
    assert run(write()) == (0, 2)


@pytest.fixture
def old(write: Write, tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """The manifest of a run folder that began with the first names."""
    picture("c/b.jpg", 4)
    path = write()
    assert run_manifest(replace(load_manifest(path), naming=1), INLINE, Said()).done == 3
    header = json.loads((tmp_path / "run/plan.json").read_text())
    del header["naming"], header["style_names"]
    (tmp_path / "run/plan.json").write_text(json.dumps(header))
    return path


def test_an_old_run_folder_goes_on_with_its_names(old: Path, tmp_path: Path) -> None:
    assert run(old) == run(old) == (0, 3)
    assert names(tmp_path) == ["b-jpg__s", "b-png__s", "x/a__s"]
    assert json.loads((tmp_path / "run/plan.json").read_text())["naming"] == 1


def test_a_plan_names_what_the_run_goes_on_with(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_plan(old, INLINE, as_json=True, measured=False)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["name"], line["done"]) for line in lines] == [
        ("b-jpg__s", True), ("b-png__s", True), ("x/a__s", True)
    ]  # fmt: skip


def test_names_of_a_later_version_are_not_guessed(old: Path, tmp_path: Path) -> None:
    path = tmp_path / "run/plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "naming": 9}))
    with pytest.raises(ManifestError, match="began with version 9 of output names, which this"):
        keep_names(load_manifest(old), RunFolder(tmp_path / "run"))


def test_a_template_names_outputs_and_is_refused_before_anything_runs(
    write: Write, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    path = write("{path: run, name: '{folder}/{stem}'}")
    assert run(path) == (2, 0) and names(tmp_path) == ["b", "x/a"]
    picture("c/b.jpg")
    for act in (run, lambda path: show_plan(path, INLINE, as_json=False, measured=False)):
        with pytest.raises(ManifestError, match=r"m.yaml:1: output.name: .* would both be b; let"):
            act(path)


def test_plans_say_what_was_passed_over(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c/notes.txt").write_text("")
    (tmp_path / "c/.hidden.png").write_text("")
    said = "passed over: 1 hidden files and folders, 1 file of no format that is read (.txt 1)"
    show_plan(write(), INLINE, as_json=False, measured=False)
    assert said in " ".join(capsys.readouterr().out.split())
    show_plan(write(), INLINE, as_json=True, measured=False)
    printed = capsys.readouterr()
    assert said in printed.err and printed.out.count("\n") == 2


@pytest.mark.parametrize("form", ["files", "webdataset"])
def test_copied_files_lie_where_the_pictures_do(
    write: Write, tmp_path: Path, picture: Callable[..., Path], form: str
) -> None:
    for folder in ("_x_", "x:"):
        picture(f"c/{folder}/1.png", 7)
        (tmp_path / f"c/{folder}/1.txt").write_text(folder)
    run(write(f"{{path: run, others: copy, format: {form}}}"))
    jobs = load_manifest(tmp_path / "m.yaml")
    made = {Path(name).parent for name in Plan(jobs, lambda s: "", 1).names()}
    copied = {p.parent.relative_to(tmp_path / "run/images"): p.read_text()
              for p in (tmp_path / "run/images").rglob("*.txt")}  # fmt: skip
    assert sorted(copied.values()) == ["_x_", "x:"] and copied.keys() < made


def test_what_pictures_are_made_of_is_no_other_file(write: Write, tmp_path: Path) -> None:
    """Masks of any suffix, and data sets: they lie in the folder as labels do."""
    folder = tmp_path / "c"
    mask = Image.new("L", Image.open(folder / "b.png").size)
    mask.paste(255, (0, 0, mask.width // 2, mask.height))
    (folder / "masks").mkdir()
    for name in ("b.mask", "masks/b.keep"):
        mask.save(folder / name, "PNG")
    (folder / "b.txt").write_text("label")
    with tarfile.open(folder / "more.tar", "w") as tar:
        tar.add(next(folder.glob("*.png")), "t.png")
    text = write("{path: run, others: copy}").read_text()
    text = text.replace("content: c", "content: [c, c/more.tar]")
    masks = "masks: {content: '{stem}.mask', keep: 'masks/{stem}.keep', missing: whole}\n"
    (tmp_path / "m.yaml").write_text(text + masks)
    assert run(tmp_path / "m.yaml") == (3, 0)
    images = tmp_path / "run/images"
    found = {p.relative_to(images).as_posix() for p in images.rglob("*") if p.is_file()}
    assert {name for name in found if "__" not in name} == {"b.txt"}


def test_a_copied_file_never_takes_a_records_place(write: Write, tmp_path: Path) -> None:
    (tmp_path / "c/b.json").write_text("{}")
    with pytest.raises(RunFolderError, match=r"c/b.json would be where a record belongs, .*b.json"):
        run(write("{path: run, others: copy, name: '{folder}/{stem}'}"))
    assert run(write("{path: other, others: copy}")) == (2, 0)


def test_names_that_the_disk_does_not_tell_apart_are_refused(
    write: Write, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    picture("c/B.png", 5)
    assert tells_case(tmp_path)  # else this test says nothing
    with monkeypatch.context() as patch:
        patch.setattr(beside, "tells_case", lambda folder: False)
        with pytest.raises(RunFolderError, match=r"does not tell B.png from b.png; rename one"):
            run(write())
    assert run(write()) == (3, 0)


def test_files_whose_names_are_not_utf8_are_stylized(write: Write, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "c" / name).write_bytes((tmp_path / "c/b.png").read_bytes())
    (tmp_path / "s/s.png").rename(tmp_path / "s" / os.fsdecode(b"\xe9t\xe9.png"))
    path = write(more="pairing: {sample: 1}\n")
    assert batch_manifest(path, INLINE, quiet=True) == 0
    assert batch_manifest(path, INLINE, quiet=True) == 0
    assert len(names(tmp_path)) == 3 and (tmp_path / "run/report.html").exists()
    again = tmp_path / "again.yaml"
    again.write_text(f"output: again\npairs: run/pairs.csv\nbackbone: lite\n{TINY}")
    jobs = Plan(load_manifest(again), lambda s: "", 1).names()
    assert sorted(jobs) == names(tmp_path)


def test_what_fails_under_a_name_that_is_not_utf8_is_told_everywhere(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "c" / os.fsdecode(b"br\xe9ken.png")).write_bytes(b"no picture")
    assert batch_manifest(write(), INLINE, quiet=True) == 1
    for place in ("run.log", "failures.jsonl", "report.html"):
        assert r"br\udce9ken.png: not a picture" in (tmp_path / "run" / place).read_text(), place
