"""`nst plan`: why each job would run."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from batches import INLINE, records

from pipeline.commands import batch_manifest, show_plan
from pipeline.errors import DeviceError
from pipeline.manifest import Settings

MANIFEST = """
output: run
content: content
style: style
backbone: lite
settings: {size: 48, steps: 2, scale_start: 0, preset: classic}
"""


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    for index, name in enumerate(("content/a.png", "content/b.png", "style/s.png", "style/t.png")):
        picture(name, index)
    (tmp_path / "m.yaml").write_text(MANIFEST)
    assert batch_manifest(tmp_path / "m.yaml", INLINE, quiet=True) == 0
    return tmp_path / "m.yaml"


def reasons(manifest: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    capsys.readouterr()
    show_plan(manifest, INLINE, as_json=True, measured=False)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = Counter("done" if event["done"] else event["why"] for event in events)
    show_plan(manifest, INLINE, as_json=False, measured=False)
    said = " ".join(capsys.readouterr().out.split())
    for reason, count in found.items():
        if set(found) - {"new", "done"} and reason != "done":
            assert f"{count} {reason}" in said
    return dict(found)


def test_what_changed_is_named(
    manifest: Path, picture: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = manifest.parent / "run"
    assert reasons(manifest, capsys) == {"done": 4}
    picture("content/a.png", 7)
    assert reasons(manifest, capsys) == {"done": 2, "content changed": 2}
    picture("style/t.png", 8)
    assert reasons(manifest, capsys) == {
        "done": 1, "content changed": 1, "style changed": 1, "content changed, style changed": 1
    }  # fmt: skip
    manifest.write_text(MANIFEST.replace("steps: 2", "steps: 3, tv_weight: 7"))
    assert reasons(manifest, capsys)["changed: steps, tv_weight"] == 1
    manifest.write_text(MANIFEST)
    (run / "images/b.png__s.png").unlink()
    assert reasons(manifest, capsys)["its picture is gone"] == 1
    (run / "images/b.png__s.json").write_text("{")
    assert reasons(manifest, capsys)["its record cannot be read"] == 1


def test_the_plan_comes_first_and_then_what_differs_from_the_preset(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = replace(INLINE, given={"tv_weight": 2.0})
    capsys.readouterr()
    show_plan(manifest, options, as_json=False, measured=False)
    said = capsys.readouterr().out
    plan, settings = said.split("settings of every job")
    assert "4 jobs, 0 done, 4 to run" in plan and "4 changed: tv_weight" in plan
    rows = [line.split("│")[1:4] for line in settings.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["preset", "classic", "manifest"],
        ["size", "48", "manifest"],
        ["scale_start", "0", "manifest"],
        ["steps", "2", "manifest"],
        ["tv_weight", "2.0", "--set"],
        ["backbone", "lite", "manifest"],
    ]
    more = len(Settings.model_fields) - len(rows)
    assert said.endswith(
        f"{more} other settings are as preset classic has them; --settings shows them\n"
    )
    show_plan(manifest, options, as_json=False, measured=False, all_settings=True)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert len(rows) >= len(Settings.model_fields) and "preset classic" in "".join(rows)


def test_new_ones_failed_ones_and_those_of_another_network(
    manifest: Path, picture: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = picture("content/c.png", 9)
    assert reasons(manifest, capsys) == {"done": 4, "new": 2}
    whole = path.read_bytes()
    path.write_bytes(whole[:-300])
    batch_manifest(manifest, INLINE, quiet=True)
    path.write_bytes(whole)
    assert reasons(manifest, capsys) == {"done": 4, "failed before": 2}
    run = manifest.parent / "run"
    name = "a.png__s.json"
    record = records(run)[name]
    other = {**record, "key": "0" * 64, "backbone": {**record["backbone"], "name": "vgg16"}}
    (run / "images" / name).write_text(json.dumps(other))
    assert reasons(manifest, capsys)["another backbone"] == 1
    (run / "images" / name).write_text(json.dumps({**record, "key": "0" * 64}))
    assert reasons(manifest, capsys)["other weights, or a newer version of nst"] == 1


def test_what_was_only_renamed_is_taken_along(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = manifest.parent / "content"
    (folder / "a.png").rename(folder / "z.png")
    found = reasons(manifest, capsys)
    assert found == {"done": 2, "only renamed, so its picture is taken along": 2}
    assert (manifest.parent / "run/images/a.png__s.png").exists()


def test_a_setting_of_the_command_line_is_shown_as_that(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    show_plan(manifest, replace(INLINE, given={"size": 64}), as_json=False, measured=False)
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if line.split()[1:2] == ["size"]]
    assert "--set" in row and "manifest" not in row


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.schedule.estimate.time_job", lambda context, job: 100.0)


def test_other_slots_and_the_disk_are_estimated(
    manifest: Path, capsys: pytest.CaptureFixture[str], trial: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.write_text(MANIFEST.replace("steps: 2", "steps: 3"))
    capsys.readouterr()
    words = ["4xcpu", "8xcuda"]
    show_plan(manifest, INLINE, as_json=False, measured=True, others_slots=words)
    said = capsys.readouterr().out
    assert "about 0:06:40 on cpu" in said and "about 0:01:40 on 4xcpu" in said
    assert "8xcuda: not known, since cpu was measured" in said
    assert "of disk" in said and "(as those that are done)" in said and "are free\n" in said
    for path in (manifest.parent / "run/images").rglob("*.*"):
        path.unlink()
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    show_plan(manifest, INLINE, as_json=False, measured=True)
    said = capsys.readouterr().out
    assert "by some contents at that size" in said and "10 B are free: NOT ENOUGH" in said


@pytest.mark.parametrize("word", ["8", "0xcpu", "8xtpu", "cuda"])
def test_slots_of_no_such_form_are_told(manifest: Path, word: str) -> None:
    with pytest.raises(DeviceError, match="such as 8xcuda"):
        show_plan(manifest, INLINE, as_json=False, measured=True, others_slots=[word])
    with pytest.raises(DeviceError, match="goes with --measure"):
        show_plan(manifest, INLINE, as_json=False, measured=False, others_slots=[word])
