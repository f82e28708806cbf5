"""Files that cannot be read when their turn comes: their own jobs fail, and all others are made."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from batches import HEAD, INLINE, records, summary
from odd_pictures import odd_pictures
from PIL import Image

from pipeline.commands.plan import show_plan
from pipeline.commands.run import run_manifest
from pipeline.manifest import load_manifest
from pipeline.pictures import read_size
from pipeline.plan import Plan
from pipeline.schedule import Progress
from pipeline.schedule.estimate import seconds_of_one
from pipeline.store import RunFolder

QUICK = "settings: {size: 48, steps: 1, scale_start: 0, neighbor_weight: 0, style_loss: gram}\n"
# Without these even root is refused what a file's mode forbids.
_RIGHTS = "-dac_override,-dac_read_search"


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    for number, name in enumerate(["content/a.png", "content/b.png", "content/deep/c.png"]):
        picture(name, number)
    picture("style/s.png", 8), picture("style/t.png", 9)
    path = tmp_path / "m.yaml"
    path.write_text(HEAD + QUICK)
    return path


def failures(run: Path) -> dict[str, str]:
    return {name: failure.error for name, failure in RunFolder(run).failures().items()}


@pytest.mark.parametrize(
    ("gone", "lost"),
    [
        ("content/b.png", {"b.png__s", "b.png__t"}),
        ("style/t.png", {"a.png__t", "b.png__t", "deep/c.png__t"}),
    ],
)
def test_a_file_that_vanishes_while_planning_fails_its_own_jobs(
    manifest: Path, gone: str, lost: set[str]
) -> None:
    found = load_manifest(manifest)
    (manifest.parent / gone).unlink()
    ended = run_manifest(found, INLINE, Progress())
    assert (ended.done, ended.failed, ended.problem) == (6 - len(lost), len(lost), "")
    run = manifest.parent / "run"
    assert failures(run).keys() == lost
    assert all(gone in error and "cannot be read" in error for error in failures(run).values())
    assert summary(run)["classes"]["deep"]["failed"] == ("deep/c.png__t" in lost)


def test_a_start_that_vanishes_fails_its_own_jobs(
    manifest: Path, picture: Callable[..., Path]
) -> None:
    picture("start.png", 5)
    manifest.write_text(HEAD + QUICK + "grid: {init: [content, start.png]}\n")
    found = load_manifest(manifest)
    (manifest.parent / "start.png").unlink()
    ended = run_manifest(found, INLINE, Progress())
    assert (ended.done, ended.failed) == (6, 6)
    assert all("start" in name for name in failures(manifest.parent / "run"))


def test_every_such_job_is_of_one_shard(manifest: Path) -> None:
    found = load_manifest(manifest)
    (manifest.parent / "content/a.png").unlink()
    (manifest.parent / "style/s.png").unlink()
    failed = done = 0
    for shard in ((1, 3), (2, 3), (3, 3)):
        options = dataclasses.replace(INLINE.run, shard=shard)
        ended = run_manifest(found, dataclasses.replace(INLINE, run=options), Progress())
        failed, done = failed + ended.failed, done + ended.done
    assert (done, failed) == (2, 4) and len(failures(manifest.parent / "run")) == 4


def test_tar_shards_are_written_without_them(manifest: Path) -> None:
    manifest.write_text(
        HEAD.replace("output: run", "output: {path: run, format: webdataset}") + QUICK
    )
    found = load_manifest(manifest)
    (manifest.parent / "content/a.png").unlink()
    ended = run_manifest(found, INLINE, Progress())
    assert (ended.done, ended.failed) == (4, 2)
    (index,) = (manifest.parent / "run/shards").glob("0*.json")
    assert len(json.loads(index.read_text())["jobs"]) == 4


def test_frames_after_one_that_is_gone_fail_with_it(
    manifest: Path, picture: Callable[..., Path]
) -> None:
    for number in range(4):
        picture(f"clip/{number:04}.png", number)
    manifest.write_text(
        HEAD.replace("content: content", "content: clip/%04d.png").replace(
            "style\n", "style/s.png\n"
        )
        + QUICK
    )
    found = load_manifest(manifest)
    (manifest.parent / "clip/0002.png").unlink()
    jobs = list(Plan(found, lambda settings: "", 1).jobs())
    assert [job.problem is None for job in jobs] == [True, True, False, False]
    assert "0002.png: cannot be read" in str(jobs[2].problem)
    assert "before it, cannot be made" in str(jobs[3].problem)
    assert len({job.lot for job in jobs}) == 1


def test_the_plan_says_which_cannot_be_made(
    manifest: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load_manifest(manifest)
    (manifest.parent / "content/b.png").unlink()
    monkeypatch.setattr("pipeline.commands.again.load_manifest", lambda path, given: found)
    assert show_plan(manifest, INLINE, as_json=False, measured=True) == 0
    said = capsys.readouterr().out
    assert "6 jobs, 0 done, 4 to run" in said
    assert re.search(r"by preset, from its first job: draft \S+, fast \S+, default \S+\n", said)
    assert "2 cannot be made: " in said and "content/b.png: cannot be read" in said
    assert show_plan(manifest, INLINE, as_json=True, measured=False) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["content"][-5:] for row in rows if "problem" in row] == ["b.png", "b.png"]


def test_the_plan_tells_of_pictures_and_masks_by_their_headers(
    manifest: Path, picture: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A run meets the same as it reads them."""
    text = HEAD.replace("content: content", "content: content/*.png")
    manifest.write_text(text + QUICK + "masks: {content: '../masks/{name}'}\n")
    size = read_size(manifest.parent / "content/a.png")
    picture("masks/a.png"), picture("masks/b.png"), picture("masks/d.png"), picture("content/d.png")
    with Image.open(manifest.parent / "masks/a.png") as whole:
        whole.resize((size[1], size[0])).save(manifest.parent / "masks/a.png")
    (manifest.parent / "masks/b.png").write_text("no picture")
    (manifest.parent / "content/d.png").write_text("no picture")
    assert show_plan(manifest, INLINE, as_json=True, measured=False) == 0
    told = {e["name"]: e["problem"] for e in map(json.loads, capsys.readouterr().out.splitlines())}
    reasons = {"a": "a mask has its picture's shape", "b": "not a picture", "d": "not a picture"}
    for name, problem in told.items():
        assert reasons[name[0]] in problem and f"{name[0]}.png" in problem
    assert len(told) == 6
    shown = show_plan(manifest, INLINE, as_json=False, measured=False)
    assert shown == 0 and "2 cannot be made: " in capsys.readouterr().out
    run_manifest(load_manifest(manifest), INLINE, Progress())
    failed = failures(manifest.parent / "run")
    assert failed.keys() == told.keys() and summary(manifest.parent / "run")["failed"] == 6
    assert failed["a.png__s"] == told["a.png__s"]


def test_a_peers_preset_is_not_compared(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = "pairs: [{content: content/a.png, style: style/s.png}]\n"
    head = "output: run\nbackbone: lite\n" + one
    manifest.write_text(head + "settings: {preset: neural-style, size: 48, steps: 2}\n")
    show_plan(manifest, INLINE, as_json=False, measured=True)
    manifest.write_text(head + "settings: {size: 48, steps: 2}\ngrid: {preset: [fast, draft]}\n")
    show_plan(manifest, INLINE, as_json=False, measured=True)
    manifest.write_text(head + "settings: {size: 48}\n")
    found = load_manifest(manifest)
    (manifest.parent / "content/a.png").unlink()
    assert seconds_of_one(Plan(found, lambda settings: "", 1), cast(Any, None)) is None
    said = capsys.readouterr().out
    assert "once they have started" in said and "by preset" not in said


def test_many_reasons_are_counted(
    manifest: Path,
    picture: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(13):
        picture(f"content/more/{number}.png", number)
    found = load_manifest(manifest)
    shutil.rmtree(manifest.parent / "content/more")
    monkeypatch.setattr("pipeline.commands.again.load_manifest", lambda path, given: found)
    show_plan(manifest, INLINE, as_json=False, measured=False)
    assert "6 cannot be made for 3 other reasons" in capsys.readouterr().out


def test_files_and_folders_without_rights_fail_their_own_jobs(manifest: Path) -> None:
    command = [sys.executable, "-m", "cli", "batch", str(manifest), "--quiet", "--devices", "cpu"]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may read everything, and setpriv is not here to lose that")
        command = ["setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}", *command]
    closed, folder = manifest.parent / "content/a.png", manifest.parent / "content/deep"
    closed.chmod(0)
    folder.chmod(0o600)
    try:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    finally:
        closed.chmod(0o600)
        folder.chmod(0o700)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    run = manifest.parent / "run"
    assert set(records(run)) == {"b.png__s.json", "b.png__t.json"}
    found = failures(run)
    assert set(found) == {"a.png__s", "a.png__t", "deep/c.png__s", "deep/c.png__t"}
    assert all("Permission denied" in error for error in found.values())


def test_notices_of_all_files_are_in_every_record(
    manifest: Path, picture: Callable[..., Path]
) -> None:
    """Of a style too whose targets come from the cache, of masks and of a start."""
    odd = dict(odd_pictures())
    folder = manifest.parent
    odd["no-end.jpg"].build(folder / "style/s.jpg")
    odd["pages.tiff"].build(folder / "start.tiff")
    keep = Image.linear_gradient("L").resize((72, 56))
    keep.save(folder / "keep.tiff", save_all=True, append_images=[keep])
    pairs = "".join(
        f"  - {{content: content/{name}.png, style: style/s.jpg, keep: keep.tiff}}\n"
        for name in "ab"
    )
    quick = QUICK.replace("size: 48", "size: 48, init: start.tiff")
    manifest.write_text(f"output: run\nbackbone: lite\npairs:\n{pairs}{quick}")
    for _ in range(2):
        shutil.rmtree(folder / "run", ignore_errors=True)
        ended = run_manifest(load_manifest(manifest), INLINE, Progress())
        assert ended.done == 2 and ended.warnings == {"no_end_marker": 2, "first_of_several": 4}
        for record in records(folder / "run").values():
            texts = sorted(said["text"].split(":")[0] for said in record["warnings"])
            names = ["keep.tiff", "start.tiff", "style/s.jpg"]
            assert texts == [str(folder / name) for name in names]
