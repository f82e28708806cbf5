"""`nst plan`: why each job would run."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from batches import INLINE, records

from pipeline.commands import batch_manifest, show_plan

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
