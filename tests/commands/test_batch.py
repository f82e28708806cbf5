"""The main job, from a manifest to files, in real processes and in this one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from batches import HEAD, INLINE, assert_whole, records, summary, write
from PIL import Image

from pipeline.commands import batch_manifest
from pipeline.errors import ManifestError, RunFolderError
from pipeline.library import records as flat_records
from pipeline.manifest import load_manifest
from pipeline.plan import Choice, Plan, parse_rules
from pipeline.report import build_report, pairs_manifest
from pipeline.store import Record, RunFolder

MANIFEST = """
output: run
content: content
style: style
backbone: lite
settings: {size: 48, steps: 6, scale_start: 0}
grid:
  style_weight: [1e0, 1_0]
"""


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("content/a.png", 1)
    picture("content/deep/b.jpg", 2)
    picture("style/s.png", 3)
    picture("style/t.png", 4)
    path = tmp_path / "manifest.yaml"
    path.write_text(MANIFEST)
    return path


def test_a_manifest_becomes_pictures_and_records(manifest: Path) -> None:
    assert batch_manifest(manifest, INLINE, quiet=True) == 0
    run = manifest.parent / "run"
    assert_whole(run, 8)
    assert summary(run)["targets_computed"] == 2
    record = records(run)["deep/b.jpg__t__style_weight-10.json"]
    assert record["settings"]["style_weight"] == 10
    with Image.open(run / record["output"]["path"]) as image:
        assert image.size == (48, 37)
        assert json.loads(image.text["nst"])["key"] == record["key"]


def test_settings_and_jobs_chosen_for_one_run(manifest: Path) -> None:
    rules = parse_rules("--only", ["style=t", "style_weight=10"])
    options = replace(INLINE, given={"size": 56}, run=replace(INLINE.run, choice=Choice(rules)))
    assert batch_manifest(manifest, options, quiet=True) == 0
    run = manifest.parent / "run"
    assert {record["settings"]["size"] for record in records(run).values()} == {56}
    assert set(records(run)) == {
        "a.png__t__style_weight-10.json", "deep/b.jpg__t__style_weight-10.json"
    }  # fmt: skip
    assert summary(run)["jobs"] == 2


def test_pictures_keep_their_own_sizes(manifest: Path, picture: Callable[..., Path]) -> None:
    picture("content/large.png", 5, (150, 90))
    manifest.write_text(MANIFEST.replace("[1e0, 1_0]", "[1]").replace("size: 48", "size: original"))
    assert batch_manifest(manifest, INLINE, quiet=True) == 0
    sizes = {tuple(r["output"]["size"]) for r in records(manifest.parent / "run").values()}
    assert sizes == {(72, 56), (150, 90)}
    capped = replace(INLINE, given={"max_size": 100})
    assert batch_manifest(manifest, capped, quiet=True) == 0
    found = records(manifest.parent / "run")
    assert {tuple(r["output"]["size"]) for r in found.values()} == {(72, 56), (100, 60)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_size": 100}, "max_size 100 goes with size original, not with 48"),
        ({"size": "original", "max_size": 9}, "max_size 9 is too small; 16 is the least"),
        (
            {"size": "original", "fit": "exact"},
            "size original with fit exact does not go; size: WxH",
        ),
        (
            {"style_weight": 3.0},
            r"grid.style_weight: has values here, .* use --only style_weight=",
        ),
        ({"size": "48x32"}, "size 48x32 with fit long does not go"),
    ],
)
def test_a_given_setting_that_does_not_go_with_the_manifest_is_told(
    manifest: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ManifestError, match=said):
        batch_manifest(manifest, replace(INLINE, given=given), quiet=True)


def test_a_given_setting_that_a_pair_has_is_told_with_its_line(manifest: Path) -> None:
    pair = "pairs:\n  - {content: content/a.png, style: style/s.png, settings: {size: 64}}\n"
    manifest.write_text(MANIFEST + pair)
    with pytest.raises(ManifestError, match=r":10: pairs\[0\].settings.size: has values here"):
        batch_manifest(manifest, replace(INLINE, given={"size": 32}), quiet=True)


def test_done_jobs_are_made_again_when_asked_for(manifest: Path) -> None:
    batch_manifest(manifest, INLINE, quiet=True)
    run = manifest.parent / "run"
    before = {name: (run / "images" / name).stat().st_mtime_ns for name in records(run)}
    rules = parse_rules("--redo", ["style=t"])
    batch_manifest(manifest, replace(INLINE, run=replace(INLINE.run, redo=rules)), quiet=True)
    assert (summary(run)["done"], summary(run)["already_done"]) == (4, 4)
    assert_whole(run, 8)
    after = {name: (run / "images" / name).stat().st_mtime_ns for name in records(run)}
    assert {name for name in after if after[name] != before[name]} == {
        name for name in after if "__t__" in name
    }


def test_a_redo_that_is_stopped_is_gone_on_with(manifest: Path) -> None:
    """All that is to be made again counts as open before the first of it runs."""
    batch_manifest(manifest, INLINE, quiet=True)
    rules = parse_rules("--redo", ["style=t"])
    over = replace(INLINE.run, redo=rules, ends_at=0.0)
    assert batch_manifest(manifest, replace(INLINE, run=over), quiet=True) == 130
    run = manifest.parent / "run"
    assert len(records(run)) == 4 and len(list((run / "images").rglob("*.png"))) == 8
    assert batch_manifest(manifest, INLINE, quiet=True) == 0
    assert_whole(run, 8)


@pytest.mark.parametrize(
    ("rule", "output", "said"),
    [
        ("style=x", "output: run", "--redo style=x: no style matches"),
        ("style=t", "output: {path: run, format: webdataset}", "tar shards are never changed"),
    ],
)
def test_a_redo_that_cannot_be_is_told(manifest: Path, rule: str, output: str, said: str) -> None:
    manifest.write_text(MANIFEST.replace("output: run", output))
    options = replace(INLINE, run=replace(INLINE.run, redo=parse_rules("--redo", [rule])))
    with pytest.raises(ManifestError, match=said):
        batch_manifest(manifest, options, quiet=True)


def test_running_again_does_only_what_is_new(manifest: Path) -> None:
    batch_manifest(manifest, INLINE, quiet=True)
    batch_manifest(manifest, INLINE, quiet=True)
    run = manifest.parent / "run"
    assert (summary(run)["done"], summary(run)["already_done"]) == (0, 8)
    manifest.write_text(MANIFEST.replace("1_0]", "1_0, 100]"))
    batch_manifest(manifest, INLINE, quiet=True)
    assert (summary(run)["done"], summary(run)["already_done"]) == (4, 8)
    with (manifest.parent / "style/s.png").open("ab") as file:
        file.write(b"\0")
    batch_manifest(manifest, INLINE, quiet=True)
    assert (summary(run)["done"], summary(run)["already_done"]) == (6, 6)


def test_a_second_run_folder_takes_targets_from_the_cache(manifest: Path) -> None:
    batch_manifest(manifest, INLINE, quiet=True)
    manifest.write_text(MANIFEST.replace("output: run", "output: other"))
    batch_manifest(manifest, INLINE, quiet=True)
    assert summary(manifest.parent / "other")["targets_computed"] == 0


def test_a_broken_picture_fails_its_own_jobs_only(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = manifest.parent / "content/a.png"
    broken.write_bytes(broken.read_bytes()[:300])
    assert batch_manifest(manifest, INLINE, quiet=True) == 1
    run = manifest.parent / "run"
    assert_whole(run, 4)
    lines = (run / "failures.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert "damaged or truncated" in json.loads(lines[0])["error"]
    assert "a.png" in capsys.readouterr().err


@pytest.mark.parametrize(("preset", "most", "mean"), [("classic", 1, 0.1), ("default", 30, 3.0)])
def test_a_picture_in_a_batch_is_what_it_is_alone(
    manifest: Path, preset: str, most: int, mean: float
) -> None:
    """But for rounding, which differs with the size of a batch, and grows along the way where the
    loss is steep: the picture is as good, and looks the same."""
    text = MANIFEST.replace("steps: 6", f"preset: {preset}, steps: 20")
    text = text.replace("1_0]", "3, 10, 30]")
    manifest.write_text(text)
    batch_manifest(manifest, INLINE, quiet=True)
    together = records(manifest.parent / "run")
    assert max(r["batch"]["size"] for r in together.values()) >= 4
    manifest.write_text(
        text.replace("output: run", "output: one")
        .replace("content: content", "content: content/a.png")
        .replace("style: style", "style: style/s.png")
        .replace("[1e0, 3, 10, 30]", "[3]")
    )
    batch_manifest(manifest, INLINE, quiet=True)
    name = "a.png__s__style_weight-3"
    alone = records(manifest.parent / "one")[f"{name}.json"]
    pair = [
        np.asarray(Image.open(manifest.parent / run / f"images/{name}.png")).astype(int)
        for run in ("run", "one")
    ]
    apart = np.abs(pair[0] - pair[1])
    assert apart.max() <= most and apart.mean() <= mean
    losses = [r["losses"][-1]["total"] for r in (together[f"{name}.json"], alone)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


# --- what a manifest can ask for beside pictures --------------------------------------------------


def test_a_grid_over_six_settings_is_few_batches_and_every_record_right(manifest: Path) -> None:
    run = write(
        manifest,
        "output: run\ncontent: content/a.png\nstyle: style/s.png\nbackbone: lite\n"
        "settings: {size: 32, steps: 2, scale_start: 0, style_layers: [conv1_1]}\n"
        "grid:\n  style_weight: [1, 2]\n  content_weight: [1, 3]\n  tv_weight: [0, 1]\n"
        "  seed: [0, 1]\n  learning_rate: [0.01, 0.05]\n  init: [content, noise]\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    found = records(run)
    assert len(found) == 64
    assert len({record["batch"]["number"] for record in found.values()}) == 4  # 16 a batch on a CPU
    points = set()
    for record in found.values():
        swept = record["swept"]
        assert {name: record["settings"][name] for name in swept} == swept
        assert all(f"{name}-" in record["name"] for name in swept)
        points.add(json.dumps(swept))
    assert len(points) == 64
    images = {record["output"]["sha256"] for record in found.values()}
    assert len(images) > 40  # seeds alone change nothing where the content picture begins


def test_a_draw_is_written_down_and_made_again_from_its_map(manifest: Path) -> None:
    run = write(
        manifest,
        f"{HEAD}pairing: {{sample: 1, seed: 5}}\nsettings: {{size: 48, steps: 2}}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    again = manifest.parent / "again.yaml"
    again.write_text(
        "output: again\nbackbone: lite\npairs: run/pairs.csv\nsettings: {size: 48, steps: 2}\n"
    )
    assert batch_manifest(again, INLINE, quiet=True, with_report=False) == 0
    keys = {name: record["key"] for name, record in records(run).items()}
    assert keys == {name: r["key"] for name, r in records(manifest.parent / "again").items()}
    assert len(keys) == 2 and any("/" in name for name in keys)


def test_a_dataset_as_shards_with_its_labels_is_resumed(manifest: Path) -> None:
    folder = manifest.parent
    (folder / "content/labels.csv").write_text("a,1")
    text = (
        "output: {path: run, format: webdataset, shard_size: 3, others: copy}\n"
        "content: content\nstyle: style\nbackbone: lite\n"
        "settings: {size: 48, steps: 2}\ngrid: {seed: [0, 1]}\n"
    )
    run = write(manifest, text)
    (folder / "content/deep/b.jpg").rename(folder / "b.jpg")
    (folder / "content/deep/b.jpg").write_bytes(b"broken")
    assert batch_manifest(manifest, INLINE, quiet=True) == 1
    (folder / "b.jpg").replace(folder / "content/deep/b.jpg")
    assert batch_manifest(manifest, INLINE, quiet=True) == 0
    assert batch_manifest(manifest, INLINE, quiet=True) == 0
    urls = sorted(str(path) for path in (run / "shards").glob("*.tar"))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
    assert len(samples) == len({sample["__key__"] for sample in samples}) == 8
    assert all(sample["png"].size == tuple(sample["json"]["output"]["size"]) for sample in samples)
    assert (run / "images/labels.csv").read_text() == "a,1"
    assert not list((run / "images").rglob("*.png")) and not (run / "report.html").exists()
    with pytest.raises(RunFolderError, match="in shards"):
        build_report(RunFolder(run))
    assert {row["swept"]["seed"] for row in (r["record"] for r in flat_records(run))} == {0, 1}
    summary = json.loads((run / "run.json").read_text())
    assert summary["classes"] == {
        "deep": {"jobs": 4, "done": 4, "failed": 0},
    }
    assert summary["styles"]["s"] == {"jobs": 4, "done": 4, "failed": 0}


def test_favorites_with_regions_and_swept_blends_are_made_again(manifest: Path) -> None:
    folder = manifest.parent
    Image.new("L", (72, 56), 200).save(folder / "content/a_mask.png")
    (folder / "content/deep/b.jpg").unlink()
    run = write(
        manifest,
        "output: run\ncontent: content\nbackbone: lite\nmasks: {content: '{stem}_mask.png'}\n"
        "style: [{name: two, regions: {white: style/s.png, black: style/t.png}}]\n"
        "settings: {size: 48, steps: 2}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    (made,) = records(run).values()
    again = folder / "again.yaml"
    again.write_text(
        pairs_manifest([Record.model_validate(made)], folder / "again", {"name": "lite"})
    )
    job = next(Plan(load_manifest(again), lambda s: made["backbone"]["weights_sha256"], 3).jobs())
    assert (job.key, job.style.regions) == (made["key"], ("#ffffff", "#000000"))
    run = write(
        manifest,
        "output: mix\ncontent: content/a.png\nbackbone: lite\nsettings: {size: 48, steps: 2}\n"
        "style: [{name: mix, blend: {style/s.png: 1, style/t.png: 1}}]\n"
        "grid: {blend: [[0, 1], [1, 3]]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    both = list(records(folder / "mix").values())
    again.write_text(
        pairs_manifest([Record.model_validate(r) for r in both], folder / "again", {"name": "lite"})
    )
    digest = both[0]["backbone"]["weights_sha256"]
    keys = {job.key for job in Plan(load_manifest(again), lambda s: digest, 3).jobs()}
    assert keys == {record["key"] for record in both}


def test_a_run_whose_jobs_are_all_excluded_says_so(
    tmp_path: Path, picture: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    picture("c.png", 1), picture("s.png", 2)
    path = tmp_path / "m.yaml"
    path.write_text(
        "output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\nexclude: '*'\n"
        "settings: {preset: classic, size: 48, steps: 1, scale_start: 0}\n"
    )
    assert batch_manifest(path, INLINE, quiet=False, with_report=False) == 0
    assert "leave no job" in "".join(capsys.readouterr())
