"""Versions of presets: a run folder goes on with those that it began with."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from batches import INLINE, Said, records

from pipeline.commands import run_manifest, show_plan
from pipeline.commands.options import Options
from pipeline.commands.prepare import keep_presets
from pipeline.errors import ManifestError
from pipeline.manifest import PRESET_VERSIONS, Settings, load_manifest, preset_values
from pipeline.method import schedule_scales
from pipeline.plan import Job, Plan
from pipeline.store import RunFolder

HEAD = "output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
SMALL = "settings: {size: 48, steps: 2, scale_start: 0}\n"


@pytest.fixture
def begun(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """A run folder that began before presets had versions, with its manifest."""
    picture("c.png", 1), picture("s.png", 2)
    path = tmp_path / "m.yaml"
    path.write_text(HEAD + SMALL.replace("{", "{preset: default@1, "))
    run_manifest(load_manifest(path), INLINE, Said())
    header = json.loads((tmp_path / "run" / "plan.json").read_text())
    del header["presets"]
    (tmp_path / "run" / "plan.json").write_text(json.dumps(header))
    path.write_text(HEAD + SMALL)
    return path


def test_an_older_version_has_the_older_values() -> None:
    old = Settings.model_validate({"preset": "default@1"})
    assert (old.steps, old.scale_start, old.average, old.neighbor_weight) == (300, 128, 0.95, 0)
    assert preset_values("default@5") == preset_values("default")
    assert preset_values("default@9") is None and preset_values("gatys2016@1") is not None
    assert Settings.model_validate({"preset": "classic"}).deciding_pixels() == old.deciding_pixels()


def test_a_larger_picture_has_the_scales_of_a_smaller_one_and_more() -> None:
    small, large = (
        schedule_scales(Settings(preset="default@3", size=size), 3000, 2000) for size in (512, 2048)
    )
    assert large[: len(small)] == tuple(
        replace(scale, shrink=pytest.approx(scale.shrink / 4)) for scale in small
    )
    assert [(s.width, s.steps) for s in large[len(small) :]] == [(1024, 20), (2048, 20)]
    sizes = [schedule_scales(Settings(preset="default", size=s), 3000, 2000) for s in (384, 512)]
    assert [[s.steps for s in scales] for scales in sizes] == [[60, 41, 29, 20]] * 2
    as_before = schedule_scales(Settings(preset="default@2", size=512), 3000, 2000)
    assert [s.width for s in as_before] == [s.width for s in sizes[1]]


def test_every_older_version_is_there_and_valid() -> None:
    for name, today in PRESET_VERSIONS.items():
        made = [Settings.model_validate({"preset": f"{name}@{v}"}) for v in range(1, today + 1)]
        keys = [settings.deciding_pixels() for settings in made]
        assert keys[-1] == Settings.model_validate({"preset": name}).deciding_pixels()
        assert all(a != b for a, b in itertools.pairwise(keys))


def test_a_run_goes_on_with_its_presets_and_says_so(begun: Path) -> None:
    said, store = Said(), RunFolder(begun.parent / "run")
    before = {name: record["key"] for name, record in records(store.path).items()}
    result = run_manifest(load_manifest(begun), INLINE, said)
    assert (result.done, result.already_done) == (0, 1)
    assert any("began with version 1 of preset default" in line for line in said.lines)
    assert {name: r["key"] for name, r in records(store.path).items()} == before
    assert run_manifest(load_manifest(begun), INLINE, Said()).already_done == 1  # and goes on so


def test_todays_version_is_had_by_its_name(begun: Path) -> None:
    begun.write_text(HEAD + SMALL.replace("{", "{preset: default@5, "))
    said = Said()
    assert run_manifest(load_manifest(begun), INLINE, said).done == 1
    (record,) = records(begun.parent / "run").values()
    assert record["preset_version"] == 5 and not said.lines


def test_a_new_run_has_todays_versions(tmp_path: Path, picture: Callable[..., Path]) -> None:
    picture("c.png", 1), picture("s.png", 2)
    (tmp_path / "m.yaml").write_text(HEAD + SMALL)
    run_manifest(load_manifest(tmp_path / "m.yaml"), INLINE, Said())
    header = RunFolder(tmp_path / "run").header()
    assert header is not None and header.presets == PRESET_VERSIONS
    (record,) = records(tmp_path / "run").values()
    assert record["preset_version"] == 5 and record["settings"]["preset"] == "default"
    assert record["losses"][0]["neighbors"] > 0


def jobs_kept(path: Path) -> list[Job]:
    manifest = keep_presets(load_manifest(path), RunFolder(path.parent / "run"))
    return list(Plan(manifest, lambda s: "", 1).jobs())


def test_swept_presets_and_those_of_pairs_are_kept_too(begun: Path) -> None:
    begun.write_text(
        "output: run\nbackbone: lite\nsettings: {size: 48, steps: 2}\n"
        "pairs: [{content: c.png, style: s.png, settings: {preset: preview}}]\n"
    )
    (job,) = jobs_kept(begun)
    assert job.settings.preset == "preview@1" and job.name == "c.png__s__preset-preview"
    begun.write_text(HEAD + "settings: {size: 48}\ngrid: {preset: [default, gatys2016]}\n")
    old, other = jobs_kept(begun)
    assert (old.settings.preset, other.settings.preset) == ("default@1", "gatys2016@1")
    assert old.name == "c.png__s__preset-default"  # names are as the manifest has them


def test_a_version_that_is_gone_is_told_and_nothing_is_made(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = begun.parent / "run" / "plan.json"
    header = json.loads(path.read_text())
    path.write_text(json.dumps({**header, "presets": {"default": 9}}))
    with pytest.raises(ManifestError, match="began with version 9 of preset default, which"):
        run_manifest(load_manifest(begun), INLINE, Said())
    assert json.loads(path.read_text())["presets"] == {"default": 9}
    with pytest.raises(ManifestError, match="preset: default@5"):
        show_plan(begun, Options(), as_json=False, measured=False)


def test_a_plan_shows_what_the_run_goes_on_with(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_plan(begun, Options(), as_json=False, measured=False)
    out = capsys.readouterr()
    assert "1 job, 1 done, 0 to run" in out.out and "version 1 of preset default" in out.err
