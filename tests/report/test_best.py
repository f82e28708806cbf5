"""The best of each pair, and the manifest that makes them again."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from fake_run import add_job, digest
from PIL import Image

from pipeline.manifest import Settings, load_manifest
from pipeline.method import Backbone, load_weights
from pipeline.plan import Job, Plan
from pipeline.report import by_pair, found_inputs, pairs_manifest, score_pair
from pipeline.store import Record, RunFolder


def test_the_best_is_nearest_to_content_and_style(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    content, style = picture("a.png", 1, (96, 72)), picture("s.png", 2, (96, 72))
    run = tmp_path / "run"
    names = [add_job(run, content, style, (200, 0, 0), seed=s) for s in (0, 1, 2)]
    store = RunFolder(run)
    mixed = Image.blend(Image.open(content).convert("RGB"), Image.open(style).convert("RGB"), 0.3)
    mixed.save(run / f"images/{names[1]}.png")
    Image.open(content).convert("RGB").save(run / f"images/{names[2]}.png")
    backbone = Backbone(load_weights("lite"), Settings().layers)
    (group,) = by_pair(list(store.records()))
    ranked, left_out = score_pair(store, group, backbone, 3.0)
    assert not left_out
    assert ranked[-1].record.name == names[0]  # one flat color is neither
    itself = next(s for s in ranked if s.record.name == names[2])
    assert itself.content == pytest.approx(0, abs=1e-4)
    for scored in ranked:
        assert scored.score == pytest.approx(scored.content + 3 * scored.style, rel=1e-5)


def test_the_winners_manifest_makes_just_those_jobs(run: Path, tmp_path: Path) -> None:
    records = [r for r in RunFolder(run).records() if r.swept["style_weight"] == 10]
    text = pairs_manifest(records, tmp_path / "best", {"name": "lite", "weights": None})
    (tmp_path / "best.yaml").write_text(text)
    manifest = load_manifest(tmp_path / "best.yaml")
    assert len(manifest.pairs) == len(records) == 3
    assert all(pair.settings == {"style_weight": 10.0} for pair in manifest.pairs)
    assert yaml.safe_load(text)["settings"]["size"] == 64


@pytest.mark.parametrize(
    "grid",
    [
        "{strength: [subtle, strong], stroke: [fine, large]}",
        "{preset: [draft, fast], stroke: [fine, large]}",
    ],
)
def test_what_a_swept_level_or_preset_stands_for_is_each_jobs_own(
    grid: str, run: Path, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    picture("c.png", 1), picture("s.png", 2)
    path = tmp_path / "m.yaml"
    path.write_text(
        f"output: grid\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
        f"settings: {{size: 64}}\ngrid: {grid}\n"
    )

    def planned(path: Path) -> list[Job]:
        return list(Plan(load_manifest(path), lambda settings: "", 1).jobs())

    like = next(RunFolder(run).records()).plain()
    like["content"]["path"] = str(tmp_path / "c.png")
    like["style"]["pictures"][0]["path"] = str(tmp_path / "s.png")
    records = [
        Record.model_validate(
            like | {"settings": job.settings.model_dump(mode="json"), "swept": dict(job.point)}
        )
        for job in planned(path)
    ]
    (tmp_path / "again.yaml").write_text(pairs_manifest(records, tmp_path / "o", {"name": "lite"}))
    again = planned(tmp_path / "again.yaml")
    assert [job.key for job in again] == [job.key for job in planned(path)]


def of_pictures(run: Path, *pictures: dict[str, object], **swept: object) -> Record:
    """A record of a style of several pictures."""
    data = next(RunFolder(run).records()).plain()
    data["style"] = {"name": "mix", "pictures": list(pictures)}
    return Record.model_validate(data | {"swept": swept})


def style_of(run: Path, record: Record) -> object:
    return yaml.safe_load(pairs_manifest([record], run, {"name": "lite"}))["pairs"][0]["style"]


def test_blends_keep_their_weights_unless_the_grid_chose_them(run: Path) -> None:
    parts = ({"path": "a.png", "weight": 0.25}, {"path": "b.png", "weight": 0.75})
    blend = style_of(run, of_pictures(run, *parts))
    assert blend == {"name": "mix", "blend": {"a.png": 0.25, "b.png": 0.75}}
    swept = style_of(run, of_pictures(run, *parts, blend=[0, 1]))
    assert swept == {"name": "mix", "blend": {"a.png": 1.0, "b.png": 1.0}}


def test_regions_stay_regions(run: Path) -> None:
    parts = (
        {"path": "a.png", "weight": 0.5, "region": "#ffffff"},
        {"path": "b.png", "weight": 0.5, "region": "#000000"},
    )
    regions = {"#ffffff": "a.png", "#000000": "b.png"}
    assert style_of(run, of_pictures(run, *parts)) == {"name": "mix", "regions": regions}


def test_masks_are_found_as_pictures_are(run: Path, picture: Callable[..., Path]) -> None:
    mask, store = picture("mask.png", 8), RunFolder(run)
    first, *_ = store.records()
    first.content.mask, first.content.mask_sha256 = str(mask), digest(mask)
    (found,), gone = found_inputs(store, [first])
    assert found.content.mask == str(mask) and not gone
    mask.unlink()
    assert found_inputs(store, [first]) == ([], [f"{mask}: is gone, or another picture now"])
    first.content.mask_sha256 = ""  # of an older record: not known to be another one
    assert len(found_inputs(store, [first])[0]) == 1
