"""Settings that have to go together do so at every point of the grid, and with every pair's own."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest import PRESETS, Manifest, Settings, load_manifest
from pipeline.manifest import check as module
from pipeline.manifest.check import concerns_others, together_problems
from pipeline.plan import Plan

Load = Callable[[str], Manifest]
CHOICES: dict[str, list[Any]] = {
    "preset": [*PRESETS, "default@1"],
    "strength": [None, "subtle", "extreme"],
    "stroke": [None, "large"],
    "size": [64, 512, 20_000, "64x64", "640x480", "original"],
    "max_size": [0, 9, 600],
    "fit": ["long", "short", "exact", "stretch"],
    "format": ["png", "jpg", "webp", "tiff"],
    "depth": [8, 16],
    "profile": ["srgb", "content"],
    "exif": [False, True],
    "animation": ["none", "webp"],
    "alpha": ["flatten", "keep"],
    "seed": [0, 1],
}
some = st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in CHOICES.items()})
axes = st.fixed_dictionaries(
    {},
    optional={
        name: st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)
        for name, values in CHOICES.items()
    },
)


@settings(max_examples=150)
@given(some, axes)
def test_no_point_of_a_grid_is_left_out(given: dict[str, Any], swept: dict[str, Any]) -> None:
    points = [dict(zip(swept, p, strict=True)) for p in itertools.product(*swept.values())]
    every = {Settings.model_validate({**given, **point}).problem() for point in points} - {None}
    told = list(together_problems(given, {name: tuple(v) for name, v in swept.items()}))
    assert bool(told) == bool(every) and set(told) <= every and len(set(told)) == len(told)


def test_all_that_has_to_go_together_is_looked_at() -> None:
    assert not concerns_others({"seed": 1, "steps": 3}) and concerns_others({"exif": True})
    assert set(CHOICES) - {"seed"} == set(module._TOGETHER)


@pytest.fixture
def load(tmp_path: Path, picture: Callable[..., Path]) -> Load:
    picture("c.png"), picture("s.png")

    def made(text: str) -> Manifest:
        (tmp_path / "m.yaml").write_text(f"output: run\nbackbone: lite\n{text}\n")
        return load_manifest(tmp_path / "m.yaml")

    return made


STRETCHED = "size 256 with fit stretch does not go; size: WxH is needed"
BOTH = "content: c.png\nstyle: s.png\n"
PAIR = "pairs: [{content: c.png, style: s.png, settings: {%s}}]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            BOTH + "settings: {size: 256}\ngrid: {preset: [default, tutorial]}",
            f"m.yaml:6: grid: {STRETCHED}",
        ),
        (
            BOTH + "grid: {preset: [tutorial], size: ['64x64', 256, 100, 300]}",
            "m.yaml:5: grid: size 100 with fit stretch does not go",
        ),
        (
            PAIR % "size: 256" + "grid: {preset: [default, tutorial]}",
            f"m.yaml:3: pairs[0].settings: {STRETCHED}",
        ),
        (
            PAIR % "preset: tutorial" + "grid: {size: ['64x64', 256]}",
            f"m.yaml:3: pairs[0].settings: {STRETCHED}",
        ),
        (
            PAIR % "seed: 1" + "grid: {size: ['64x64', 256]}",
            "m.yaml:4: grid: size 64x64 with fit long does not go; fit: exact is needed",
        ),
        (
            PAIR % "depth: 16" + "grid: {format: [png, jpg]}",
            "m.yaml:3: pairs[0].settings: depth 16 with format jpg does not go; png or tiff",
        ),
        (
            PAIR % "preset: gatys2016" + "grid: {stroke: [fine]}",
            "m.yaml:3: pairs[0].settings: stroke fine with preset gatys2016 does not go",
        ),
    ],
)
def test_what_does_not_go_together_is_told_before_anything_runs(
    load: Load, text: str, said: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        load(text)
    assert said in str(caught.value)


def test_what_only_pairs_need_has_to_go_with_them_alone(load: Load) -> None:
    assert load(PAIR % "preset: tutorial" + "grid: {size: ['64x64', 128x64]}").pairs


def test_a_map_is_told_by_its_row(load: Load, tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("content,style,size\nc.png,s.png,64x64\nc.png,s.png,256\n")
    with pytest.raises(ManifestError, match=rf"map.csv:3: settings: {STRETCHED}"):
        load("pairs: map.csv\ngrid: {preset: [tutorial]}")


def test_a_huge_grid_is_not_gone_through_point_by_point(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = ", ".join(map(str, range(16, 3016)))
    rest = ", ".join(map(str, range(3000)))
    looked = []
    problem = Settings.problem
    monkeypatch.setattr(Settings, "problem", lambda self: looked.append(1) or problem(self))
    text = f"grid: {{size: [{sizes}], seed: [{rest}], format: [png, jpg]}}"
    manifest = load(BOTH + text)
    assert len(manifest.axes["size"]) == 3000 and len(looked) < 10
    with pytest.raises(ManifestError, match="size 3015 with fit stretch does not go"):
        load(BOTH + text.replace("{size", "{preset: [default, tutorial], size"))


def test_a_job_whose_settings_do_not_go_together_is_never_begun(load: Load) -> None:
    manifest = load(BOTH + "settings: {size: 64}")
    kept = replace(manifest, presets={"default": "tutorial"})  # as if it had been another once
    with pytest.raises(ManifestError, match=r"m.yaml:1: size 64 with fit stretch does not go"):
        list(Plan(kept, lambda s: "", 1).jobs())


def test_a_value_beside_a_wrong_one_is_told_at_its_own_place(tmp_path: Path) -> None:
    lines = "grid: {init: [content, gone.png, content, gone2.png], style_layers: [[no], [conv3_4]]}"
    (tmp_path / "m.yaml").write_text(
        f"output: run\ncontent: c.png\nstyle: s.png\nbackbone: vgg16\n{lines}\n"
    )
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "m.yaml")
    said = str(caught.value)
    assert "grid.init[1]: neither" in said and "grid.init[3]: neither" in said
    assert "grid.init[2]: 'content' stands twice" in said
    assert "grid.style_layers[1]: backbone vgg16 has no conv3_4" in said
